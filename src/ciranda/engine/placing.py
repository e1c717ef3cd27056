"""Promising our part of a payment: every check that this bank makes by itself, and then the bookings.

The same for a client of ours and for a peer that asks: no bank takes another bank's word (PROTOCOL 3.3).
"""

from ciranda.engine.counting import exceeded
from ciranda.engine.record import Clause, bookings_of
from ciranda.engine.view import View, Writes
from ciranda.identity import VAULT, bank_of
from ciranda.instant import Instant
from ciranda.ledger.account import Account, AccountKind, AccountStatus
from ciranda.ledger.booking import Book, Booking, Shortage
from ciranda.refusal import Code

_OBSTACLE = {
    AccountStatus.OPEN: None,
    AccountStatus.BLOCKED: Code.BLOCKED_ACCOUNT,
    AccountStatus.CLOSED: Code.CLOSED_ACCOUNT,
}


def place(view: View, book: Book, clauses: tuple[Clause, ...], now: Instant) -> list[Code]:
    """Places our bookings for `clauses` in `book`; returns every reason against it, and then `book` is worthless.

    Whether the payer may debit the sources was found out before; how much the mandates and
    the holders' limits allow is checked here.
    """
    codes = [code for clause in clauses for code in _obstacles(view, book, clause)]
    codes += exceeded(view, clauses, now)
    if codes:
        return codes
    for booking in bookings_of(clauses, view.bank.ispb):
        shortage = book.place(booking)
        if shortage is not None:
            codes.append(_reason(book, booking, shortage))
    return codes


def booked(book: Book) -> Writes:
    return Writes(accounts=book.changed, entries=book.entries)


def _obstacles(view: View, book: Book, clause: Clause) -> list[Code]:
    """What is wrong with the accounts of one transfer that this bank holds."""
    codes = []
    for account_id in (clause.transfer.source, clause.transfer.target):
        if account_id == VAULT or bank_of(account_id) != view.bank.ispb:
            continue
        obstacle = _obstacle(book.find(account_id))
        if obstacle is not None:
            codes.append(obstacle)
    return codes


def _obstacle(account: Account | None) -> Code | None:
    if account is None:
        return Code.UNKNOWN_ACCOUNT
    if account.kind in (AccountKind.CLEARING, AccountKind.VAULT):
        return Code.WRONG_ACCOUNT_KIND
    return _OBSTACLE[account.status]


def _reason(book: Book, booking: Booking, shortage: Shortage) -> Code:
    kind = book[booking.debit].kind
    if shortage is Shortage.OVER_CEILING:
        return Code.BALANCE_EXCEEDED
    if kind is AccountKind.CLEARING and book[booking.credit].room < booking.amount:
        # Both are in the way, and a full account comes before a full limit in the list.
        return Code.BALANCE_EXCEEDED
    match kind:
        case AccountKind.CLEARING:
            return Code.PEER_LIMIT_EXCEEDED
        case AccountKind.VAULT:
            return Code.BALANCE_EXCEEDED
        case _:
            return Code.INSUFFICIENT_FUNDS
