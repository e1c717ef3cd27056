"""A payment's header: what all its banks must agree on, and its digest. None of it ever changes (PROTOCOL 1.1).

A header lists the payment's transfers only as *leaves*, salted hashes, so that a bank learns of the transfers that
concern it and of no others, and yet all banks vote on the very same payment.
"""

from hashlib import sha256

import msgspec

from ciranda.identity import EndToEndId, Ispb, bank_of
from ciranda.instant import Instant
from ciranda.payment import Transfer

_encode = msgspec.json.Encoder(order="deterministic").encode


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: EndToEndId
    deadline: Instant
    participants: tuple[Ispb, ...]
    """The banks that hold one of the payment's accounts, sorted."""
    witnesses: tuple[Ispb, ...]
    """The banks that keep a copy of the decision; the coordinator first."""
    roster_version: int
    leaves: tuple[str, ...]
    """One salted hash a transfer, in the payment's order, in hexadecimal."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One transfer of a payment, with what proves that it is the one that the header means."""

    index: int
    transfer: Transfer
    salt: str


def leaf(part: Part) -> str:
    """The leaf of one transfer: SHA-256 over its place, its content and its salt, in hexadecimal."""
    return sha256(_encode(part)).hexdigest()


def digest(header: Header) -> str:
    """SHA-256 of the header, in hexadecimal."""
    return sha256(_encode(header)).hexdigest()


def choose_witnesses(coordinator: Ispb, sources: set[Ispb]) -> tuple[Ispb, ...]:
    """The witnesses of a payment (PROTOCOL 1.3). For now the coordinator witnesses every payment alone."""
    del sources
    return (coordinator,)


def concerns(part: Part, bank: Ispb) -> bool:
    """Whether `bank` holds one of the transfer's accounts."""
    return bank in (bank_of(part.transfer.source), bank_of(part.transfer.target))
