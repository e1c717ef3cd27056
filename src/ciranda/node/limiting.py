"""An account's limits as they stand now: what its holders chose, where they chose nothing the bank's own, and what was
spent against them.
"""

from collections.abc import Mapping

import msgspec

from ciranda.engine.bank import Bank
from ciranda.engine.limits import Limits, Span
from ciranda.identity import Address
from ciranda.instant import Instant
from ciranda.ledger.account import Account
from ciranda.period import day_of, night_of
from ciranda.ports import Store


class LimitNow(msgspec.Struct, frozen=True, kw_only=True):
    amount: int | None
    """None: no limit."""
    awaited: tuple[int, Instant] | None
    """What it is raised to, and when."""


class LimitsNow(msgspec.Struct, frozen=True, kw_only=True):
    spans: dict[Span, LimitNow]
    """Empty if this bank keeps no limits."""
    spent_today: int
    spent_tonight: int | None
    """None by day."""


async def is_raise(
    bank: Bank, store: Store, account: Account, amounts: Mapping[Span, int], now: Instant
) -> bool:
    """Whether to choose these would let out more than now."""
    if bank.limits is None:
        return False
    limits, defaults = await store.limits(Address(account.id)), bank.limits.for_kind(account.kind)
    return any(
        limits.of(span).is_raised_by(amount, now, defaults.of(span)) for span, amount in amounts.items()
    )


async def limits_now(
    bank: Bank, store: Store, account: Account, chosen: Limits | None, now: Instant
) -> LimitsNow:
    """`chosen` as it was just written, or None to look."""
    if bank.limits is None:
        return LimitsNow(spans={}, spent_today=0, spent_tonight=None)
    address, defaults = Address(account.id), bank.limits.for_kind(account.kind)
    limits = chosen or await store.limits(address)
    today, tonight = day_of(now), night_of(now)
    spent = await store.spent(address, [today] if tonight is None else [today, tonight])
    return LimitsNow(
        spans={
            span: LimitNow(
                amount=limits.of(span).at(now, defaults.of(span)), awaited=limits.of(span).awaited(now)
            )
            for span in Span
        },
        spent_today=spent[today],
        spent_tonight=None if tonight is None else spent[tonight],
    )
