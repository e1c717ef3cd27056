"""Idempotency keys: the same request sent again has one effect and gets the same answer."""

import msgspec

from ciranda.instant import Instant

KEPT_MS = 7 * 24 * 60 * 60 * 1000


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The key that a request brings; its scope is the caller and the route."""

    scope: str
    key: str
    body: str
    """The hash of the request's body."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was used up: for what body, and what came of it."""

    scope: str
    key: str
    body: str
    made: str | None
    """The id or address of what was made."""
    denial: str | None
    """The code of the answer, if nothing was made."""
    used_at: Instant


def used(claim: Claim, made: str | None, denial: str | None, now: Instant) -> Key:
    return Key(scope=claim.scope, key=claim.key, body=claim.body, made=made, denial=denial, used_at=now)
