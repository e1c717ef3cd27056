"""A mandate: a holder's permission, kept by the bank that holds the account, that another bank may start debits on it.

Its token is derived, so that it can be given again and is stored nowhere: the mandate's id and an HMAC of it under a
secret of the bank. It is worth something only in the hands of its initiator, asking for its payer.
"""

import hmac
from hashlib import sha256
from typing import Literal

import msgspec

from ciranda.identity import Address, Document, Ispb
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

    def serves(self, scope: Scope, account: Address, initiator: Ispb, payer: Document, now: Instant) -> bool:
        return (
            scope in self.scopes
            and self.account == account
            and self.initiator == initiator
            and self.payer == payer
            and self.approved_at is not None
            and self.revoked_at is None
            and now < self.expires_at
        )

    def allows(self, amount: int) -> bool:
        """Whether one payment may take `amount`, the sum of its transfers under this mandate."""
        return (self.per_payment is None or amount <= self.per_payment) and (
            self.total is None or self.used + amount <= self.total
        )


def token_of(id: str, secret: bytes) -> str:
    return f"{id}.{hmac.new(secret, id.encode(), sha256).hexdigest()}"


def id_of(token: str, secret: bytes) -> str | None:
    """The id of the mandate whose token this is; None if it is not one of ours."""
    id = token.partition(".")[0]
    return id if hmac.compare_digest(token_of(id, secret).encode(), token.encode()) else None
