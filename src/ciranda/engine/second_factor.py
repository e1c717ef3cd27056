"""A customer's second factor, as the bank keeps it: what it needs to check a code, and which were used.

Codes are those of RFC 6238: one for each `STEP_MS`, derived from a secret that the customer's device has too.
"""

import msgspec

from ciranda.engine.attempts import NONE_YET, Allowance, Tally
from ciranda.identity import Document
from ciranda.instant import Instant

STEP_MS = 30_000
STEPS_OFF = 1
"""By so many steps a device's clock may differ."""

ALLOWANCE = Allowance(free=5, drain_ms=60 * 60 * 1000)
DAY_MS = 24 * 60 * 60 * 1000


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True):
    document: Document
    sealed: bytes
    """The secret, encrypted."""
    made_at: Instant
    confirmed_at: Instant | None
    """None: it guards nothing yet, for no code has shown that the customer's device has the secret."""
    used_step: int
    """The step of the last code that was taken: an earlier one, or the same, is not taken any more …"""
    used_for: str
    """… but for the very request that it was taken for, sent again."""
    recovery: tuple[str, ...]
    """SHA-256 of each recovery code that was not used yet, in hexadecimal."""
    payments_from: int | None
    """The customer's own figure, where it is lower than the bank's."""
    at_login: bool
    unguarded: int
    """What was paid without a code since `unguarded_since`, for a day at most."""
    unguarded_since: Instant
    tally: Tally = NONE_YET
    """Of wrong codes."""

    @property
    def on(self) -> bool:
        return self.confirmed_at is not None

    def unguarded_at(self, now: Instant) -> int:
        """What was paid without a code in the day that is running."""
        return self.unguarded if 0 <= now - self.unguarded_since < DAY_MS else 0

    def steps_taken(self, now: Instant, use: str) -> list[int]:
        """The steps whose code is taken now, for the request that `use` names."""
        step = now // STEP_MS
        around = range(step - STEPS_OFF, step + STEPS_OFF + 1)
        return [
            one
            for one in around
            if one > self.used_step or (one == self.used_step and use and use == self.used_for)
        ]
