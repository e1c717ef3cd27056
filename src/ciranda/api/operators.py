"""`/v1/operator/operators`: the bank's own people, by name."""

import re
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from msgspec import UNSET, Meta, UnsetType

from ciranda.api import body, shape
from ciranda.api.answers import bad_request, denied, describe, nothing, ok, stop
from ciranda.api.caller import any_operator, may, node_of, operator_of
from ciranda.api.proposals import ProposalView, proposed
from ciranda.engine.operator import Operator, Right, Role, is_name
from ciranda.engine.proposal import Proposal
from ciranda.engine.reply import Denied, OperatorMade, Reply
from ciranda.instant import rfc3339
from ciranda.money import AMOUNT_MAX
from ciranda.node.operators import TokenOrder

_HASH = re.compile(r"[0-9a-f]{64}")


class OperatorBody(body.Body, frozen=True, kw_only=True):
    name: shape.OperatorName
    role: Literal["teller", "operator", "auditor", "admin"]
    cash_limit: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None
    """A teller's: the most that one deposit or withdrawal may be."""
    token_hash: shape.TokenHash | None = None
    """SHA-256 of a token that the operator has drawn, in hexadecimal; needed where two people must agree."""
    expires_at: shape.Expiry | None = None
    """When the token ends; 90 days from now if not given."""


class TokenBody(body.Body, frozen=True, kw_only=True):
    token_hash: shape.TokenHash | None = None
    expires_at: shape.Expiry | None = None


class OperatorView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: str
    cash_limit: int | None
    expires_at: str
    added_by: str
    added_at: str
    ended_at: str | None
    token: str | UnsetType = UNSET
    """Shown once, and only if the bank drew it."""


class Operators(msgspec.Struct, frozen=True, kw_only=True):
    operators: list[OperatorView]


_operator = msgspec.json.Decoder(OperatorBody)
_token = msgspec.json.Decoder(TokenBody)


@post(
    "/v1/operator/operators",
    guards=[may(Right.OPERATORS)],
    opt=describe(body=OperatorBody, answers={201: OperatorView, 202: ProposalView}, problems=(409,)),
)
async def add_operator(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Names an operator, and gives them a token. 202: a second one must approve it."""
    order = await body.parse(request, _operator)
    if not is_name(order.name):
        bad_request("name", "2 to 32 small letters, digits and -, a letter first, and not root")
    if order.cash_limit is not None and order.role != "teller":
        bad_request("cash_limit", "only a teller has one")
    done, token = await node_of(request).operators.add(
        operator_of(request),
        order.name,
        Role(order.role),
        order.cash_limit,
        _token_order(request, order.token_hash, order.expires_at, theirs=True),
    )
    return _made(request, done, token)


@get("/v1/operator/operators", guards=[may(Right.READ)], opt=describe(answers={200: Operators}))
async def list_operators(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The bank's operators by name, also those who were ended; no token and nothing of one."""
    found = await node_of(request).store.operators()
    return ok(Operators(operators=[_view(operator) for operator in found]))


@delete(
    "/v1/operator/operators/{name:str}",
    status_code=204,
    guards=[may(Right.OPERATORS)],
    opt=describe(answers={204: None}, problems=(404,)),
)
async def end_operator(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends an operator at once, in all workers, with the token and for ever."""
    done = await node_of(request).operators.end(operator_of(request), _name(request))
    if isinstance(done, Denied):
        denied(done)
    return nothing()


@post(
    "/v1/operator/operators/{name:str}/token",
    guards=[any_operator],
    opt=describe(body=TokenBody, answers={201: OperatorView, 202: ProposalView}, problems=(404,)),
)
async def renew_token(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Gives an operator a new token in place of the one they have: one's own, or an admin gives it."""
    order, name = await body.parse(request, _token), _name(request)
    theirs = name != operator_of(request)
    done, token = await node_of(request).operators.renew(
        operator_of(request), name, _token_order(request, order.token_hash, order.expires_at, theirs=theirs)
    )
    return _made(request, done, token)


def _token_order(
    request: Request[Any, Any, Any], token_hash: str | None, expires_at: str | None, *, theirs: bool
) -> TokenOrder:
    """`theirs`: the token is for somebody else than the caller."""
    if token_hash is None and theirs and node_of(request).bank.two_person is not None:
        # Whoever saw another person's token would be two persons.
        bad_request(
            "token_hash", "its holder draws the token, and only its hash is told: ciranda operator draw"
        )
    if token_hash is not None and not _HASH.fullmatch(token_hash):
        bad_request("token_hash", "64 hexadecimal digits in small letters")
    return TokenOrder(
        token_hash=None if token_hash is None else bytes.fromhex(token_hash),
        expires_at=None if expires_at is None else body.expiry("expires_at", expires_at),
    )


def _made(request: Request[Any, Any, Any], done: Reply | Proposal, token: str | None) -> Response[bytes]:
    if isinstance(done, Denied):
        denied(done)
    if isinstance(done, Proposal):
        return proposed(request, done)
    assert isinstance(done, OperatorMade), f"an operator was asked for, and {done} came"
    return ok(msgspec.structs.replace(_view(done.operator), token=token or UNSET), 201)


def _name(request: Request[Any, Any, Any]) -> str:
    name: str = request.path_params["name"]
    if not is_name(name):
        stop("not_found")
    return name


def _view(operator: Operator) -> OperatorView:
    return OperatorView(
        name=operator.name,
        role=operator.role.value,
        cash_limit=operator.cash_limit,
        expires_at=rfc3339(operator.expires_at),
        added_by=operator.added_by,
        added_at=rfc3339(operator.added_at),
        ended_at=None if operator.ended_at is None else rfc3339(operator.ended_at),
    )
