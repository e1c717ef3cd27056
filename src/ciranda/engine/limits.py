"""Limits: how much may leave an account in one transfer, in one day and in one night, as its holders choose.

The law: to lower a limit acts at once, and to raise one after 24 hours. So whoever gets hold of a customer's session
gets no more than what was allowed the day before, and the holder has a day to see it and to lower the limit again.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from ciranda.identity import VAULT, AccountId, Address, Ispb, bank_of
from ciranda.instant import Instant, later
from ciranda.ledger.account import AccountKind
from ciranda.payment import Transfer

RAISED_AFTER_MS = 24 * 60 * 60 * 1000


class Span(StrEnum):
    """What a limit is for."""

    TRANSFER = "per_transfer"
    DAY = "per_day"
    NIGHT = "per_night"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The bank's own limits for an account whose holders chose none; in minor units, None for no limit."""

    per_transfer: int | None = None
    per_day: int | None = None
    per_night: int | None = None

    def of(self, span: Span) -> int | None:
        match span:
            case Span.TRANSFER:
                return self.per_transfer
            case Span.DAY:
                return self.per_day
            case Span.NIGHT:
                return self.per_night


class LimitRules(msgspec.Struct, frozen=True, kw_only=True):
    """A bank that keeps limits has these."""

    persons: Figures
    """Individual and joint accounts."""
    companies: Figures
    """Business accounts."""

    def for_kind(self, kind: AccountKind) -> Figures:
        return self.companies if kind is AccountKind.BUSINESS else self.persons


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    chosen: int | None = None
    """None: the bank's figure."""
    raised_to: int | None = None
    raised_at: Instant | None = None
    """From when on it is `raised_to`."""

    def at(self, now: Instant, default: int | None) -> int | None:
        """What may be spent; None for no limit."""
        chosen = self._chosen(now)
        return default if chosen is None else chosen

    def awaited(self, now: Instant) -> tuple[int, Instant] | None:
        """What it will be, and from when on."""
        if self.raised_to is None or self.raised_at is None or now >= self.raised_at:
            return None
        return self.raised_to, self.raised_at

    def is_raised_by(self, amount: int, now: Instant, default: int | None) -> bool:
        """Whether to set it so would let out more, at whatever time, than it does now or was to do."""
        present, awaited = self.at(now, default), self.awaited(now)
        return present is not None and amount > (present if awaited is None else awaited[0])

    def set_to(self, amount: int, now: Instant, default: int | None) -> "Limit":
        present, awaited = self.at(now, default), self.awaited(now)
        if present is None or amount <= present:
            # Nothing more is awaited either: to lower a limit takes back that it was to be raised.
            return Limit(chosen=amount)
        raised_at = later(now, RAISED_AFTER_MS)
        if awaited is not None and amount <= awaited[0]:
            # So much was asked for before, and the time that has passed since counts.
            raised_at = min(raised_at, awaited[1])
        return Limit(chosen=self._chosen(now), raised_to=amount, raised_at=raised_at)

    def _chosen(self, now: Instant) -> int | None:
        raised = self.raised_at is not None and now >= self.raised_at
        return self.raised_to if raised else self.chosen


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the holders of one account chose."""

    account: Address
    per_transfer: Limit = Limit()
    per_day: Limit = Limit()
    per_night: Limit = Limit()

    def of(self, span: Span) -> Limit:
        match span:
            case Span.TRANSFER:
                return self.per_transfer
            case Span.DAY:
                return self.per_day
            case Span.NIGHT:
                return self.per_night


def leaving(transfers: Iterable[Transfer], bank: Ispb) -> dict[AccountId, list[int]]:
    """What leaves each account of `bank` for another account, transfer by transfer.

    Also for another account of the same holders: money that may leave that one too would pass twice the limit. Cash is
    not counted: a teller sees who stands there.
    """
    debits: dict[AccountId, list[int]] = {}
    for transfer in transfers:
        if VAULT not in (transfer.source, transfer.target) and bank_of(transfer.source) == bank:
            debits.setdefault(transfer.source, []).append(transfer.amount)
    return debits
