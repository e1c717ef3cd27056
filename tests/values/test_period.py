"""Days and nights by the clock of São Paulo."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciranda.instant import Instant, later, parse_rfc3339
from ciranda.period import day_of, night_of, periods_of, start_of_day

HOUR_MS = 60 * 60 * 1000
INSTANTS = st.integers(0, 253_402_300_799_999 - 24 * HOUR_MS).map(Instant)


def at(text: str) -> Instant:
    """In São Paulo."""
    return parse_rfc3339(f"{text}-03:00")


@pytest.mark.parametrize(
    ("time", "day", "night"),
    [
        ("2026-11-23T00:00:00.000", "2026-11-23", "2026-11-22 night"),
        ("2026-11-23T05:59:59.999", "2026-11-23", "2026-11-22 night"),
        ("2026-11-23T06:00:00.000", "2026-11-23", None),
        ("2026-11-23T19:59:59.999", "2026-11-23", None),
        ("2026-11-23T20:00:00.000", "2026-11-23", "2026-11-23 night"),
        ("2026-11-23T23:59:59.999", "2026-11-23", "2026-11-23 night"),
        ("2026-11-24T00:00:00.000", "2026-11-24", "2026-11-23 night"),
        ("2027-01-01T03:00:00.000", "2027-01-01", "2026-12-31 night"),
        ("2028-02-29T21:00:00.000", "2028-02-29", "2028-02-29 night"),
        ("1970-01-01T00:00:00.000", "1970-01-01", "1969-12-31 night"),
    ],
)
def test_a_day_is_from_midnight_and_a_night_from_eight_to_six(time: str, day: str, night: str | None) -> None:
    assert (day_of(at(time)), night_of(at(time))) == (day, night)
    assert periods_of(at(time)) == ((day,) if night is None else (day, night))


@given(INSTANTS)
def test_every_instant_is_in_the_day_that_began_at_its_midnight(instant: Instant) -> None:
    midnight = start_of_day(instant)
    assert midnight <= instant < later(midnight, 24 * HOUR_MS)
    assert day_of(midnight) == day_of(instant) != day_of(later(midnight, -1))
    assert day_of(later(midnight, 24 * HOUR_MS - 1)) == day_of(instant)


@given(INSTANTS)
def test_a_night_is_ten_hours_whole_and_its_own(instant: Instant) -> None:
    hours = [later(instant, hour * HOUR_MS) for hour in range(24)]
    nights = [night for hour in hours if (night := night_of(hour)) is not None]
    assert len(nights) == 10
    assert len(set(nights)) <= 2


def test_the_rule_is_the_time_zone_databases() -> None:
    """When this fails, Brazil has changed its clocks: `ciranda.period` must know from when on."""
    zone = ZoneInfo("America/Sao_Paulo")
    moment = datetime(2019, 3, 1, tzinfo=UTC)
    while moment.year < 2040:
        assert moment.astimezone(zone).utcoffset() == timedelta(hours=-3), moment
        instant = Instant(int(moment.timestamp()) * 1000)
        assert day_of(instant) == f"{moment.astimezone(zone):%Y-%m-%d}"
        moment += timedelta(hours=5)
