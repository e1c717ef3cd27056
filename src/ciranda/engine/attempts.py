"""Attempts: how often something may be tried, and how long one waits who has tried it too often.

Of the attempts counted so far one is forgotten after every `drain_ms`, so that all that need be kept of them is the
moment when the last is forgotten, and until when no further one is allowed. Pure: what is counted where, the store says.
"""

import msgspec

from ciranda.instant import Instant, later

FIRST_WAIT_MS = 30_000
LONGEST_WAIT_MS = 60 * 60 * 1000
DOUBLINGS_MAX = 10


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    free: int
    """So many are free; the last of them, and each one after it, is followed by a wait, each twice as long."""
    drain_ms: int


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the attempts of one document, or from one address."""

    forgotten_at: Instant
    blocked_until: Instant


NONE_YET = Tally(forgotten_at=Instant(0), blocked_until=Instant(0))


def counted(tally: Tally, allowance: Allowance, now: Instant) -> Tally:
    """After one more attempt at `now`, which was allowed."""
    most = allowance.free + DOUBLINGS_MAX
    number = min(number_of(tally, allowance, now), most) + 1
    last = min(max(tally.forgotten_at, now), later(now, most * allowance.drain_ms))
    return Tally(
        forgotten_at=later(last, allowance.drain_ms), blocked_until=later(now, wait_ms(number, allowance))
    )


def number_of(tally: Tally, allowance: Allowance, now: Instant) -> int:
    """How many attempts are not forgotten."""
    return max(0, -(-(tally.forgotten_at - now) // allowance.drain_ms))


def wait_ms(number: int, allowance: Allowance) -> int:
    """Nothing for the first few; then half a minute, a minute, two … up to an hour."""
    if number < allowance.free:
        return 0
    doubled: int = FIRST_WAIT_MS * 2 ** min(number - allowance.free, DOUBLINGS_MAX)
    return min(LONGEST_WAIT_MS, doubled)
