"""An approval: what needs the signatures of all holders of an account, and who has given theirs.

Kept beside the payment or mandate that it is about, under the same id, and for ever: it says who signed. While it is
open, nothing is held and nothing is allowed.
"""

from enum import StrEnum

import msgspec

from ciranda.identity import AccountId, Document
from ciranda.instant import Instant

WAIT_MS = 24 * 60 * 60 * 1000
"""How long the holders have."""

WAITING_MAX = 100
"""How much may wait for the holders of one account."""


class Subject(StrEnum):
    PAYMENT = "payment"
    MANDATE = "mandate"


class Party(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An account that needs all signatures, and its holders, who never change."""

    account: AccountId
    holders: tuple[Document, ...]


class Signed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    holder: Document
    at: Instant


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """The payment's, or the mandate's."""
    subject: Subject
    asker: Document
    """To ask is to approve."""
    parties: tuple[Party, ...]
    approved: tuple[Signed, ...]
    refused_by: Document | None
    """The holder who ended it; None while it is open, when all signed, and when it expired."""
    sealed: bytes | None
    """The tokens of mandates at other banks that came with a payment, encrypted under a secret of this bank; gone once
    it is over."""
    asked_at: Instant
    expires_at: Instant
    ended_at: Instant | None

    @property
    def holders(self) -> tuple[Document, ...]:
        """All who must sign, each once."""
        return tuple(dict.fromkeys(holder for party in self.parties for holder in party.holders))

    @property
    def missing(self) -> tuple[Document, ...]:
        signed = {one.holder for one in self.approved}
        return tuple(holder for holder in self.holders if holder not in signed)

    def shares(self, holder: Document) -> set[Document]:
        """Those with whom `holder` has one of these accounts together."""
        return {one for party in self.parties if holder in party.holders for one in party.holders}


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits for the holders of one account."""

    account: AccountId
    waiting: int
