"""`/v1/customers`: becoming a customer of this bank."""

import re
from typing import Any, Literal

import msgspec
from litestar import Request, Response, post

from ciranda.api import body
from ciranda.api.answers import bad_request, describe, ok, stop
from ciranda.api.caller import node_of
from ciranda.identity import kind_of

PASSWORD_MIN, PASSWORD_MAX = 8, 128
CONTACT_MAX = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE = re.compile(r"\+?[0-9 ()-]{4,30}")
_PUNCTUATION = re.compile(r"[ ./-]")
"""What a document may be written with; it makes no secret of it."""


class SignUp(body.Body, frozen=True, kw_only=True):
    document: str
    name: str
    password: str
    email: str | None = None
    phone: str | None = None


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    document: str
    name: str
    kind: Literal["person", "company"]


_sign_up = msgspec.json.Decoder(SignUp)


@post(
    "/v1/customers",
    opt=describe(body=SignUp, answers={201: CustomerView}, problems=(409, 422), public=True),
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
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX or document in _PUNCTUATION.sub(
        "", password.upper()
    ):
        stop("weak_password")
    customer = await node_of(request).people.sign_up(document, name, password, email, phone)
    if customer == "document_taken":
        stop("document_taken")
    return ok(CustomerView(document=document, name=name, kind=kind_of(document)), 201)


def _contact(field: str, value: str | None, pattern: re.Pattern[str]) -> str | None:
    if value is None:
        return None
    value = body.text(field, value, CONTACT_MAX)
    if not pattern.fullmatch(value):
        bad_request(field, "not well formed")
    return value
