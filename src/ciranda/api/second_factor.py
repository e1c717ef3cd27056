"""`/v1/second-factor`: codes from the customer's own device, which guard what a stolen session must not do."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post, put
from msgspec import Meta

from ciranda.api import body, shape
from ciranda.api.answers import bad_request, denied, describe, nothing, ok, stop
from ciranda.api.caller import customer_of, customer_only, document_of, may, node_of, operator_of
from ciranda.api.code import check_code, code_of
from ciranda.api.origin import origin_of
from ciranda.api.proposals import ProposalView, proposed
from ciranda.api.sessions import PASSWORD_READ_MAX
from ciranda.engine.operator import Right
from ciranda.engine.proposal import Proposal
from ciranda.engine.reply import Denied
from ciranda.identity import Document
from ciranda.instant import rfc3339
from ciranda.money import AMOUNT_MAX


class Password(body.Body, frozen=True, kw_only=True):
    password: shape.Password


class FirstCode(body.Body, frozen=True, kw_only=True):
    code: shape.Code


class Guard(body.Body, frozen=True, kw_only=True):
    payments_from: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None
    """Null: the bank's figure."""
    at_login: bool


class Whose(body.Body, frozen=True, kw_only=True):
    document: shape.Document
    """The customer's."""


class SecondFactorView(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["off", "unconfirmed", "on"]
    since: str | None
    payments_from: int
    at_login: bool
    recovery_codes_left: int


class EnrolmentView(msgspec.Struct, frozen=True, kw_only=True):
    secret: str
    uri: str


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    recovery_codes: list[str]


_password = msgspec.json.Decoder(Password)
_first_code = msgspec.json.Decoder(FirstCode)
_guard = msgspec.json.Decoder(Guard)
_whose = msgspec.json.Decoder(Whose)


@get("/v1/second-factor", guards=[customer_only], opt=describe(answers={200: SecondFactorView}))
async def show_second_factor(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Whether the caller has one, and what it guards."""
    return ok(await _view(request, document_of(request)))


@post(
    "/v1/second-factor",
    guards=[customer_only],
    opt=describe(body=Password, answers={201: EnrolmentView}, problems=(409, 429)),
)
async def enrol(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A fresh secret for the caller's device. It guards nothing until a first code confirms it."""
    await _must_know_password(request)
    made = await node_of(request).second_factors.enrol(customer_of(request))
    if made is None:
        stop("second_factor_exists")
    return ok(EnrolmentView(secret=made.secret, uri=made.uri), 201)


@post(
    "/v1/second-factor/confirmation",
    status_code=200,
    guards=[customer_only],
    opt=describe(body=FirstCode, answers={200: RecoveryCodes}, problems=(404, 409, 429)),
)
async def confirm(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Switches the second factor on. Its recovery codes are shown this once."""
    code = check_code("code", (await body.parse(request, _first_code)).code)
    codes = await node_of(request).second_factors.confirm(document_of(request), code)
    if codes == "not_enrolled":
        stop("not_found")
    if codes == "on_already":
        stop("second_factor_exists")
    return ok(RecoveryCodes(recovery_codes=codes))


@put(
    "/v1/second-factor",
    guards=[customer_only],
    opt=describe(body=Guard, answers={200: SecondFactorView}, problems=(429,), code=True),
)
async def set_guard(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sets from which sum on payments need a code, and whether signing in does. Needs a code."""
    guard, factors = await body.parse(request, _guard), node_of(request).second_factors
    if guard.payments_from is not None and guard.payments_from > factors.limit_max:
        bad_request("payments_from", f"at most the bank's own figure, {factors.limit_max}")
    await factors.set_guard(document_of(request), code_of(request), guard.payments_from, guard.at_login)
    return ok(await _view(request, document_of(request)))


@post(
    "/v1/second-factor/recovery-codes",
    status_code=200,
    guards=[customer_only],
    opt=describe(answers={200: RecoveryCodes}, problems=(429,), code=True),
)
async def renew_recovery_codes(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Fresh recovery codes; those of before are worth nothing any more. Needs a code."""
    codes = await node_of(request).second_factors.renew_recovery_codes(document_of(request), code_of(request))
    return ok(RecoveryCodes(recovery_codes=codes))


@post(
    "/v1/second-factor/removal",
    status_code=204,
    guards=[customer_only],
    opt=describe(body=Password, answers={204: None}, problems=(429,), code=True),
)
async def remove_second_factor(request: Request[Any, Any, Any]) -> Response[None]:
    """Switches the second factor off. Needs a code, and the password too."""
    code = code_of(request)
    await _must_know_password(request)
    await node_of(request).second_factors.remove(document_of(request), code)
    return nothing()


@post(
    "/v1/operator/second-factor/removal",
    status_code=200,
    guards=[may(Right.ACCOUNTS)],
    opt=describe(body=Whose, answers={200: SecondFactorView, 202: ProposalView}, problems=(404, 422)),
)
async def reset_second_factor(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Takes away the second factor of a customer who has lost it, and ends all their sessions. 202: a second operator
    must approve it."""
    document = body.document((await body.parse(request, _whose)).document)
    done = await node_of(request).operators.reset_second_factor(operator_of(request), document)
    if isinstance(done, Denied):
        denied(done)
    return proposed(request, done) if isinstance(done, Proposal) else ok(await _view(request, document))


async def _must_know_password(request: Request[Any, Any, Any]) -> None:
    password = (await body.parse(request, _password)).password
    if len(password) > PASSWORD_READ_MAX:
        stop("wrong_credentials")
    people = node_of(request).people
    plain = body.plain("password", password)
    if not await people.knows_password(document_of(request), plain, origin_of(request)):
        stop("wrong_credentials")


async def _view(request: Request[Any, Any, Any], customer: Document) -> SecondFactorView:
    factors = node_of(request).second_factors
    factor = await factors.of(customer)
    if factor is None:
        return SecondFactorView(
            status="off",
            since=None,
            payments_from=factors.limit_max,
            at_login=False,
            recovery_codes_left=0,
        )
    return SecondFactorView(
        status="on" if factor.on else "unconfirmed",
        since=None if factor.confirmed_at is None else rfc3339(factor.confirmed_at),
        payments_from=factors.limit_of(factor),
        at_login=factor.at_login,
        recovery_codes_left=len(factor.recovery),
    )
