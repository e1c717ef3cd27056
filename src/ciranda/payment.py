"""A payment: one atomic list of transfers, asked by one client, known to all banks by its EndToEndId."""

from enum import StrEnum

import msgspec

from ciranda.identity import AccountId, Ispb, bank_of

TRANSFERS_MAX = 64


class Kind(StrEnum):
    PAYMENT = "payment"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class Status(StrEnum):
    """What the outside sees of a payment. It only ever moves down this list."""

    AWAITING_APPROVAL = "awaiting_approval"
    PENDING = "pending"
    SETTLED = "settled"
    REFUSED = "refused"


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One amount from a source to a target. In a deposit the source, in a withdrawal the target, is the vault."""

    source: AccountId
    target: AccountId
    amount: int


def banks_of(transfers: tuple[Transfer, ...], own: Ispb) -> set[Ispb]:
    """The banks that hold an account of these transfers; the vault is `own`'s."""
    accounts = {account for transfer in transfers for account in (transfer.source, transfer.target)}
    return {bank_of(account) if "." in account else own for account in accounts}
