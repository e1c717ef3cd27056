"""Instants: whole milliseconds since 1970-01-01T00:00:00Z.

An instant is only ever *given* to the pure half of the bank; nothing here reads a clock.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

Instant = NewType("Instant", int)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def later(instant: Instant, duration_ms: int) -> Instant:
    return Instant(instant + duration_ms)


def rfc3339(instant: Instant) -> str:
    """`2026-11-23T05:14:20.123Z`."""
    return f"{_second(instant // 1000)}.{instant % 1000:03d}Z"


def parse_rfc3339(text: str) -> Instant:
    """The instant of an RFC 3339 time with an offset, cut to milliseconds. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time needs an offset, such as Z")
    return Instant((moment - _EPOCH) // timedelta(milliseconds=1))


def minute_stamp(instant: Instant) -> str:
    """UTC `yyyyMMddHHmm`, as an EndToEndId carries it."""
    return _minute(instant // 60_000)


# Most instants are of this very second, and of this very minute.


@lru_cache(256)
def _second(since_epoch: int) -> str:
    return f"{_EPOCH + timedelta(seconds=since_epoch):%Y-%m-%dT%H:%M:%S}"


@lru_cache(16)
def _minute(since_epoch: int) -> str:
    return f"{_EPOCH + timedelta(minutes=since_epoch):%Y%m%d%H%M}"
