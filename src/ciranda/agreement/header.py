"""A payment's header: what all its banks must agree on, and its digest. None of it ever changes (PROTOCOL 1.1).

A header lists the payment's transfers only as *leaves*, salted hashes, so that a bank learns of the transfers that
concern it and of no others, and yet all banks vote on the very same payment.
"""

from collections.abc import Iterable
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

    @property
    def banks(self) -> frozenset[Ispb]:
        """All that have a part in it, the coordinator among them: it is a witness."""
        return frozenset((*self.participants, *self.witnesses))


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


def witness_count(wanted: int, members: int) -> int:
    """The largest odd number up to what the roster wants and has (PROTOCOL 1.3)."""
    return max(1, (min(wanted, members) - 1) // 2 * 2 + 1)


def choose_witnesses(
    id: EndToEndId,
    coordinator: Ispb,
    sources: set[Ispb],
    participants: set[Ispb],
    members: Iterable[Ispb],
    down: frozenset[Ispb],
    wanted: int,
) -> tuple[Ispb, ...]:
    """The banks that will keep a copy of the decision (PROTOCOL 1.3).

    The coordinator alone, if nobody else's customers' money is held. Otherwise the coordinator, the other
    participants, then further members, those known to be down last; within each group a hash spreads the work.
    """
    if sources == {coordinator}:
        return (coordinator,)
    banks = list(members)
    rank = {
        bank: (
            bank != coordinator,
            bank not in participants,
            bank in down,
            sha256(f"{id}{bank}".encode()).digest(),
        )
        for bank in banks
    }
    return tuple(sorted(banks, key=rank.__getitem__)[: witness_count(wanted, len(banks))])


def concerns(part: Part, bank: Ispb) -> bool:
    """Whether `bank` holds one of the transfer's accounts."""
    return bank in (bank_of(part.transfer.source), bank_of(part.transfer.target))
