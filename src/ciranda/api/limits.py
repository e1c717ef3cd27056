"""`/v1/accounts/{address}/limits`: how much may leave an account, as its holders choose."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, put
from msgspec import UNSET, Meta, UnsetType

from ciranda.api import body
from ciranda.api.accounts import seen_account
from ciranda.api.answers import denied, describe, ok
from ciranda.api.caller import anyone_known, customer_only, document_of, node_of
from ciranda.api.code import code_of
from ciranda.engine.limits import Span
from ciranda.engine.reply import Denied
from ciranda.identity import AccountId
from ciranda.instant import rfc3339
from ciranda.money import AMOUNT_MAX
from ciranda.node.limiting import LimitsNow

Figure = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]


class LimitsBody(body.Body, frozen=True, kw_only=True):
    """What is not given stays as it is."""

    per_transfer: Figure | UnsetType = UNSET
    per_day: Figure | UnsetType = UNSET
    per_night: Figure | UnsetType = UNSET


class RaiseView(msgspec.Struct, frozen=True, kw_only=True):
    limit: Literal["per_transfer", "per_day", "per_night"]
    amount: int
    acts_at: str


class LimitsView(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    enforced: bool
    """False: this bank keeps no limits, and none can be chosen."""
    per_transfer: int | None
    """What holds now, in minor units; null for no limit."""
    per_day: int | None
    per_night: int | None
    raises: list[RaiseView]
    """What was chosen and does not act yet."""
    spent_today: int
    """What has left the account since midnight, or is held to leave it."""
    spent_tonight: int | None
    """The same since 20:00; null by day."""


_limits = msgspec.json.Decoder(LimitsBody)


@get(
    "/v1/accounts/{address:str}/limits",
    guards=[anyone_known],
    opt=describe(answers={200: LimitsView}, problems=(404,)),
)
async def show_limits(request: Request[Any, Any, Any]) -> Response[bytes]:
    """An account's limits, and what was spent against them. For its holders, and the operator."""
    account = await seen_account(request)
    return ok(_view(account.id, await node_of(request).limits_of(account)))


@put(
    "/v1/accounts/{address:str}/limits",
    guards=[customer_only],
    opt=describe(body=LimitsBody, answers={200: LimitsView}, problems=(404, 422, 429), code=True),
)
async def set_limits(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Chooses limits: a lower one acts at once, a higher one after 24 hours, and needs a code."""
    order = await body.parse(request, _limits)
    given = {span: getattr(order, span.value) for span in Span}
    account = await seen_account(request)
    limits = await node_of(request).set_limits(
        document_of(request),
        account,
        {span: amount for span, amount in given.items() if amount is not UNSET},
        code_of(request),
    )
    if isinstance(limits, Denied):
        denied(limits)
    return ok(_view(account.id, limits))


def _view(account: AccountId, limits: LimitsNow) -> LimitsView:
    amounts = {span: limit.amount for span, limit in limits.spans.items()}
    return LimitsView(
        account=account,
        enforced=bool(limits.spans),
        per_transfer=amounts.get(Span.TRANSFER),
        per_day=amounts.get(Span.DAY),
        per_night=amounts.get(Span.NIGHT),
        raises=[
            RaiseView(limit=span.value, amount=limit.awaited[0], acts_at=rfc3339(limit.awaited[1]))
            for span, limit in limits.spans.items()
            if limit.awaited is not None
        ],
        spent_today=limits.spent_today,
        spent_tonight=limits.spent_tonight,
    )
