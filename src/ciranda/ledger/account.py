"""An account, as TigerBeetle has them: a balance, what is held of it, and a floor.

The law: `balance - held` never goes under the floor, and `balance + incoming` never over the ceiling. The floor is 0
for a customer and minus the agreed credit limit for a clearing account, so that "insufficient funds" and "the peer's
credit limit is reached" are one rule.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from ciranda.identity import VAULT, AccountId, Address, Document, EndToEndId, Ispb, clearing
from ciranda.instant import Instant
from ciranda.money import BALANCE_MAX, OWN_BALANCE_MAX


class AccountKind(StrEnum):
    INDIVIDUAL = "individual"
    BUSINESS = "business"
    JOINT = "joint"
    CLEARING = "clearing"
    VAULT = "vault"


class AccountStatus(StrEnum):
    OPEN = "open"
    BLOCKED = "blocked"
    CLOSED = "closed"


Signatures = Literal["any", "all"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    id: AccountId
    kind: AccountKind
    status: AccountStatus
    signatures: Signatures | None
    """Joint accounts only: whether one holder may pay, or all must sign."""
    holders: tuple[Document, ...]
    balance: int
    held: int
    """What placed bookings keep back from the balance: the sum of their debits."""
    incoming: int
    """What placed bookings will credit: it is not there yet, but room is kept for it."""
    floor: int
    ceiling: int
    entries: int
    """How many entries the account has; the number of its last one,"""
    latest: EndToEndId | None
    """and the payment which that one belongs to."""
    opened_at: Instant

    @property
    def available(self) -> int:
        """What may be promised to a payment."""
        return self.balance - self.held - self.floor

    @property
    def room(self) -> int:
        """What may still be credited."""
        return self.ceiling - self.balance - self.incoming

    @property
    def idle(self) -> bool:
        """Nothing in it and nothing on its way: such an account may be closed."""
        return self.balance == self.held == self.incoming == 0


def customers_account(
    address: Address,
    kind: AccountKind,
    holders: tuple[Document, ...],
    signatures: Signatures | None,
    now: Instant,
) -> Account:
    return Account(
        id=address,
        kind=kind,
        status=AccountStatus.OPEN,
        signatures=signatures,
        holders=holders,
        balance=0,
        held=0,
        incoming=0,
        floor=0,
        ceiling=BALANCE_MAX,
        entries=0,
        latest=None,
        opened_at=now,
    )


def own_account(id: AccountId, kind: AccountKind, floor: int, now: Instant) -> Account:
    return Account(
        id=id,
        kind=kind,
        status=AccountStatus.OPEN,
        signatures=None,
        holders=(),
        balance=0,
        held=0,
        incoming=0,
        floor=floor,
        ceiling=OWN_BALANCE_MAX,
        entries=0,
        latest=None,
        opened_at=now,
    )


def vault(now: Instant) -> Account:
    """Cash: its balance is minus what customers brought, so its floor is as good as none."""
    return own_account(VAULT, AccountKind.VAULT, -OWN_BALANCE_MAX, now)


def clearing_account(peer: Ispb, credit_limit: int, now: Instant) -> Account:
    """What `peer` owes this bank is this account's debit balance; it may owe `credit_limit` at most."""
    return own_account(clearing(peer), AccountKind.CLEARING, -credit_limit, now)
