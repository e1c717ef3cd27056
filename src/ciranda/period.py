"""Days and nights by the clock of São Paulo, as limits and mandates count them.

The rule stands here, and is not read from the machine's time zones. Those may be missing or old, and two workers of one
bank must agree on what today is. Brasília's time has been three hours behind UTC all the year round since 2019, when
Decree 9.772 ended the summer time; a test holds this rule against the time zone database, and fails when that changes.
"""

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NewType

from ciranda.instant import Instant

Period = NewType("Period", str)
"""`2026-11-23`, a day; or `2026-11-23 night`, the night that began in that day's evening."""

BEHIND_UTC_MS = 3 * 60 * 60 * 1000
NIGHT_FROM_HOUR = 20
NIGHT_UNTIL_HOUR = 6

_HOUR_MS = 60 * 60 * 1000
_DAY_MS = 24 * _HOUR_MS
_EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def day_of(instant: Instant) -> Period:
    """The calendar day, from midnight to midnight."""
    return _day(_local(instant) // _DAY_MS)


def night_of(instant: Instant) -> Period | None:
    """The night, from 20:00 to 06:00; None by day."""
    day, within = divmod(_local(instant), _DAY_MS)
    hour = within // _HOUR_MS
    if NIGHT_UNTIL_HOUR <= hour < NIGHT_FROM_HOUR:
        return None
    evening = day if hour >= NIGHT_FROM_HOUR else day - 1
    return Period(f"{_day(evening)} night")


def periods_of(instant: Instant) -> tuple[Period, ...]:
    """The day, and by night the night too: what is paid at night counts for both."""
    night = night_of(instant)
    return (day_of(instant),) if night is None else (day_of(instant), night)


def start_of_day(instant: Instant) -> Instant:
    """The midnight with which the instant's day began."""
    return Instant(instant - _local(instant) % _DAY_MS)


def _local(instant: Instant) -> int:
    return instant - BEHIND_UTC_MS


@lru_cache(16)
def _day(since_epoch: int) -> Period:
    return Period(date.fromordinal(_EPOCH_DAY + since_epoch).isoformat())
