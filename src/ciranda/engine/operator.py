"""An operator: one of the bank's own people, with a role that says what they may do.

Who may do what stands in two tables. One person is one name, whichever token they hold, and a name is never given again.
"""

import re
from enum import StrEnum

import msgspec

from ciranda.instant import Instant

ROOT = "root"
"""Whoever holds the bank's `operator.token`: it comes with the bank, and is no row of any table."""

_NAME = re.compile(r"[a-z][a-z0-9-]{1,31}")


class Role(StrEnum):
    TELLER = "teller"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"
    ROOT = "root"


class Right(StrEnum):
    """What a role may do."""

    SEE = "see"
    """An account, its statement, a payment: what a customer is asked about at the counter."""
    READ = "read"
    """The bank's own books, its peers, its operators and all that they did."""
    CASH = "cash"
    ACCOUNTS = "accounts"
    PEERS = "peers"
    OPERATORS = "operators"
    APPROVE = "approve"
    """To be the second of two; each proposal says besides whose approval it needs."""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.TELLER: frozenset({Right.SEE, Right.CASH, Right.APPROVE}),
    Role.OPERATOR: frozenset({Right.SEE, Right.READ, Right.ACCOUNTS, Right.PEERS, Right.APPROVE}),
    Role.AUDITOR: frozenset({Right.SEE, Right.READ}),
    Role.ADMIN: frozenset({Right.READ, Right.OPERATORS, Right.APPROVE}),
    Role.ROOT: frozenset(Right),
}

ROOT_OF_TWO = frozenset({Right.READ, Right.OPERATORS})
"""What is left to root where two people must agree: a file on the bank's machine is nobody's second pair of eyes."""


class TwoPerson(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that what costs most needs two people."""

    withdrawals_above: int
    """A withdrawal of up to so much needs one person only."""


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: Role
    cash_limit: int | None
    """A teller's: the most that one deposit or withdrawal may be. None: as much as any amount may be."""
    token_hash: bytes
    """SHA-256 of the one token that is good now."""
    expires_at: Instant
    """When that token ends."""
    added_by: str
    added_at: Instant
    ended_at: Instant | None

    def alive(self, now: Instant) -> bool:
        return self.ended_at is None and now < self.expires_at

    def may(self, right: Right, two_person: TwoPerson | None) -> bool:
        if self.role is Role.ROOT and two_person is not None:
            return right in ROOT_OF_TWO
        return right in RIGHTS[self.role]

    def may_hand(self, amount: int) -> bool:
        """Whether so much cash may pass through these hands at once."""
        return self.cash_limit is None or amount <= self.cash_limit


def root(token_hash: bytes) -> Operator:
    return Operator(
        name=ROOT,
        role=Role.ROOT,
        cash_limit=None,
        token_hash=token_hash,
        expires_at=Instant(2**62),
        added_by=ROOT,
        added_at=Instant(0),
        ended_at=None,
    )


def is_name(text: str) -> bool:
    return text != ROOT and _NAME.fullmatch(text) is not None
