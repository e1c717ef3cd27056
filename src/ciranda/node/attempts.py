"""Attempts to sign in: how many a document and an address have, and the wait of whoever has had too many."""

import ipaddress
from typing import Annotated

import msgspec

from ciranda.engine.attempts import Allowance
from ciranda.identity import Document

HOUR_MS = 60 * 60 * 1000
GUESSES_PER_HOUR = 50
"""Joint accounts that a customer asks for with somebody who is none: more is no slip, but a search for who is one."""

PER_DOCUMENT = Allowance(free=5, drain_ms=24 * HOUR_MS)
"""In a row: a session forgets them."""


class AttemptRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    failures_per_address: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 300
    """Wrong passwords, and documents that were taken when somebody signed up with them, in an hour."""
    sign_ups_per_address: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """In an hour, whatever came of them; 0: as many as come."""


class MustWait(Exception):
    """Too many attempts: this one was not looked at."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(f"{wait_ms} ms")
        self.seconds = max(1, -(-wait_ms // 1000))


NetAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request comes from, as far as it can be known."""

    address: NetAddress | None
    agent: str | None
    """What the program says that it is."""

    @property
    def counted_as(self) -> str:
        """An IPv6 customer has a whole /64 to come from."""
        address = self.address
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.IPv6Network((address, 64), strict=False))
        return str(address or "unknown")

    @property
    def shown_as(self) -> str | None:
        """The network: enough for its owner to know it again, and no more than that is kept."""
        if self.address is None:
            return None
        return str(
            ipaddress.ip_network((self.address, 24 if self.address.version == 4 else 48), strict=False)
        )


def of_document(document: Document) -> str:
    return f"document {document}"


def of_address(origin: Origin) -> str:
    return f"address {origin.counted_as}"


def of_sign_ups(origin: Origin) -> str:
    return f"sign-ups {origin.counted_as}"


def of_guesses(document: Document) -> str:
    return f"holders {document}"


def per_hour(count: int) -> Allowance:
    return Allowance(free=count, drain_ms=max(1, HOUR_MS // count))
