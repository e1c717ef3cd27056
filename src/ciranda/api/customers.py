"""`/v1/customers`: becoming a customer of this bank, and another password."""

import re
from typing import Any, Literal

import msgspec
from litestar import Request, Response, post, put

from ciranda.api import body, shape
from ciranda.api.answers import bad_request, describe, nothing, ok, stop
from ciranda.api.caller import customer_of, customer_only, node_of, token_of
from ciranda.api.origin import origin_of
from ciranda.api.sessions import PASSWORD_READ_MAX
from ciranda.identity import kind_of
from ciranda.node.weak_passwords import is_weak

CONTACT_MAX = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE = re.compile(r"\+?[0-9 ()-]{4,30}")


class SignUp(body.Body, frozen=True, kw_only=True):
    document: shape.Document
    name: shape.Name
    password: shape.FreshPassword
    email: shape.Email | None = None
    phone: shape.Phone | None = None


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    document: str
    name: str
    kind: Literal["person", "company"]


class NewPassword(body.Body, frozen=True, kw_only=True):
    old_password: shape.Password
    new_password: shape.FreshPassword


_sign_up = msgspec.json.Decoder(SignUp)
_new_password = msgspec.json.Decoder(NewPassword)


@post(
    "/v1/customers",
    opt=describe(body=SignUp, answers={201: CustomerView}, problems=(409, 422, 429), public=True),
)
async def sign_up(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Signs up a person or a company."""
    order = await body.parse(request, _sign_up)
    name = body.text("name", order.name, body.NAME_MAX)
    if not name.strip():
        bad_request("name", "a name, not blanks")
    email = _contact("email", order.email, _EMAIL)
    phone = _contact("phone", order.phone, _PHONE)
    document = body.document(order.document)
    password = body.plain("password", order.password)
    if is_weak(password, document, name):
        stop("weak_password")
    people = node_of(request).people
    customer = await people.sign_up(document, name, password, email, phone, origin_of(request))
    if customer == "document_taken":
        stop("document_taken")
    return ok(CustomerView(document=document, name=name, kind=kind_of(document)), 201)


@put(
    "/v1/customers/me/password",
    status_code=204,
    guards=[customer_only],
    opt=describe(body=NewPassword, answers={204: None}, problems=(422, 429)),
)
async def change_password(request: Request[Any, Any, Any]) -> Response[None]:
    """Another password. All the caller's sessions end but the one that this call is made with."""
    order, caller = await body.parse(request, _new_password), customer_of(request)
    new = body.plain("new_password", order.new_password)
    if len(order.old_password) > PASSWORD_READ_MAX:
        stop("wrong_credentials")
    old = body.plain("old_password", order.old_password)
    if is_weak(new, caller.document, caller.name):
        stop("weak_password")
    people, token = node_of(request).people, token_of(request)
    if not await people.change_password(caller.document, old, new, token, origin_of(request)):
        stop("wrong_credentials")
    return nothing()


def _contact(field: str, value: str | None, pattern: re.Pattern[str]) -> str | None:
    if value is None:
        return None
    value = body.text(field, value, CONTACT_MAX)
    if not pattern.fullmatch(value):
        bad_request(field, "not well formed")
    return value
