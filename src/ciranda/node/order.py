"""What clients order from their bank, parsed and well formed."""

from typing import Literal

import msgspec

from ciranda.engine.mandate import Scope
from ciranda.identity import Address, Document, Ispb
from ciranda.instant import Instant
from ciranda.ledger.account import AccountKind, Signatures
from ciranda.payment import Kind, Transfer


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """An idempotency key as a request brings it."""

    key: str
    route: str
    """Which call: `payments`, `deposits`, `withdrawals`, `accounts`, `mandates`, `links`."""
    body: str
    """SHA-256 of the parsed body, in hexadecimal: two spellings of one body are the same body."""


class PaymentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """In a deposit each transfer's source is the vault; in a withdrawal its target is."""

    once: Once | None
    """None for one that was asked for before, and is begun now that all have signed."""
    kind: Kind
    caller: Document | None
    """None for the operator."""
    transfers: tuple[Transfer, ...]
    tokens: tuple[str | None, ...]
    """For each transfer the mandate's token that the client gave."""
    description: str | None
    reference: str | None
    code: str | None = None
    """Of the caller's second factor."""


class AccountOrder(msgspec.Struct, frozen=True, kw_only=True):
    once: Once | None
    caller: Document
    kind: Literal[AccountKind.INDIVIDUAL, AccountKind.BUSINESS, AccountKind.JOINT]
    holders: tuple[Document, ...]
    """The caller alone, unless it is a joint account."""
    signatures: Signatures | None


class MandateOrder(msgspec.Struct, frozen=True, kw_only=True):
    once: Once | None
    caller: Document
    account: Address
    initiator: Ispb
    payer: Document
    scopes: tuple[Scope, ...]
    per_payment: int | None
    total: int | None
    expires_at: Instant
    per_day: int | None = None
    starts_at: Instant | None = None
    """None: at once."""
    code: str | None = None
    """Of the caller's second factor."""


class LinkOrder(msgspec.Struct, frozen=True, kw_only=True):
    once: Once | None
    caller: Document
    account: Address
    token: str
