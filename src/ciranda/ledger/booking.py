"""A booking: one debit and one credit of the same amount in one bank's book.

It is *placed*, which holds the amount back from the debtor and keeps room for it at the creditor, and then either
*posted*, which moves it, or *released*, which forgets it. Posting cannot fail: what could make it fail was checked
and kept back when the booking was placed.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from ciranda.identity import AccountId, EndToEndId
from ciranda.instant import Instant
from ciranda.ledger.account import Account
from ciranda.ledger.entry import Entry

replace = msgspec.structs.replace


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    debit: AccountId
    credit: AccountId
    amount: int
    source: AccountId
    """Where the transfer that this booking serves comes from; `debit`, if that is in this bank."""
    target: AccountId


class Shortage(StrEnum):
    """Why a booking cannot be placed."""

    UNDER_FLOOR = "under_floor"
    OVER_CEILING = "over_ceiling"


class Book:
    """A working copy of the accounts that one input touches; the original is left as it is.

    Its law (PROTOCOL I1): what is posted sums to zero, and no account ends under its floor or over its ceiling.
    """

    def __init__(self, read: Callable[[AccountId], Account | None]) -> None:
        self._read = read
        self.changed: dict[AccountId, Account] = {}
        self.entries: list[Entry] = []

    def find(self, id: AccountId) -> Account | None:
        return self.changed.get(id) or self._read(id)

    def __getitem__(self, id: AccountId) -> Account:
        account = self.find(id)
        assert account is not None, f"account {id} was not read"
        return account

    def place(self, booking: Booking) -> Shortage | None:
        debtor, creditor = self[booking.debit], self[booking.credit]
        if debtor.available < booking.amount:
            return Shortage.UNDER_FLOOR
        if creditor.room < booking.amount:
            return Shortage.OVER_CEILING
        self.changed[debtor.id] = replace(debtor, held=debtor.held + booking.amount)
        self.changed[creditor.id] = replace(creditor, incoming=creditor.incoming + booking.amount)
        return None

    def post(self, booking: Booking, payment: EndToEndId, now: Instant) -> None:
        debtor, creditor = self[booking.debit], self[booking.credit]
        previous = (debtor.latest, creditor.latest)
        assert debtor.held >= booking.amount, "only a placed booking is posted"
        assert creditor.incoming >= booking.amount, "only a placed booking is posted"
        debtor = replace(
            debtor,
            held=debtor.held - booking.amount,
            balance=debtor.balance - booking.amount,
            entries=debtor.entries + 1,
            latest=payment,
        )
        creditor = replace(
            creditor,
            incoming=creditor.incoming - booking.amount,
            balance=creditor.balance + booking.amount,
            entries=creditor.entries + 1,
            latest=payment,
        )
        self.changed[debtor.id], self.changed[creditor.id] = debtor, creditor
        for account, before, amount, counterpart in (
            (debtor, previous[0], -booking.amount, booking.target),
            (creditor, previous[1], booking.amount, booking.source),
        ):
            self.entries.append(
                Entry(
                    payment=payment,
                    account=account.id,
                    number=account.entries,
                    previous=before,
                    amount=amount,
                    balance=account.balance,
                    counterpart=counterpart,
                    booked_at=now,
                )
            )

    def release(self, booking: Booking) -> None:
        debtor, creditor = self[booking.debit], self[booking.credit]
        assert debtor.held >= booking.amount, "only a placed booking is released"
        assert creditor.incoming >= booking.amount, "only a placed booking is released"
        self.changed[debtor.id] = replace(debtor, held=debtor.held - booking.amount)
        self.changed[creditor.id] = replace(creditor, incoming=creditor.incoming - booking.amount)
