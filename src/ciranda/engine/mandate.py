"""A mandate: a holder's permission, kept by the bank that holds the account, that another bank may start debits on it.

Its token is derived, so that it can be given again and is stored nowhere: the mandate's id and an HMAC of it under a
secret of the bank. It is worth something only in the hands of its initiator, asking for its payer.
"""

import hmac
from hashlib import sha256
from typing import Literal

import msgspec

from ciranda.identity import Address, Document, EndToEndId, Ispb
from ciranda.instant import Instant

Scope = Literal["pay", "read"]


class Mandate(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    account: Address
    giver: Document
    """The holder who gave it, or asked the others to sign it with them."""
    initiator: Ispb
    payer: Document
    """The initiator's customer who may use it, and nobody else."""
    scopes: tuple[Scope, ...]
    per_payment: int | None
    total: int | None
    used: int
    """What it has paid or holds back, over all payments that were not undone."""
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None
    approved_at: Instant | None
    """When everyone who must sign had signed; None while, or because, somebody has not."""
    per_day: int | None = None
    """By the calendar and the clock of the bank that holds the account."""
    starts_at: Instant | None = None
    """None: at once."""
    paused_at: Instant | None = None

    def serves(self, scope: Scope, account: Address, initiator: Ispb, payer: Document, now: Instant) -> bool:
        return (
            scope in self.scopes
            and self.account == account
            and self.initiator == initiator
            and self.payer == payer
            and self.approved_at is not None
            and self.revoked_at is None
            and self.paused_at is None
            and (self.starts_at is None or now >= self.starts_at)
            and now < self.expires_at
        )

    def allows(self, amount: int, today: int) -> bool:
        """Whether one payment may take `amount`, the sum of its transfers under this mandate, after `today` was taken."""
        return (
            (self.per_payment is None or amount <= self.per_payment)
            and (self.per_day is None or today + amount <= self.per_day)
            and (self.total is None or self.used + amount <= self.total)
        )


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One payment took `amount` under a mandate, or holds it back, or did until it was undone."""

    mandate: str
    used_at: Instant
    payment: EndToEndId
    amount: int


def token_of(id: str, secret: bytes) -> str:
    return f"{id}.{hmac.new(secret, id.encode(), sha256).hexdigest()}"


def id_of(token: str, secret: bytes) -> str | None:
    """The id of the mandate whose token this is; None if it is not one of ours."""
    id = token.partition(".")[0]
    return id if hmac.compare_digest(token_of(id, secret).encode(), token.encode()) else None
