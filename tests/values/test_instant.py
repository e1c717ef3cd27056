"""Instants: whole milliseconds, written as RFC 3339."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciranda.instant import Instant, later, minute_stamp, parse_rfc3339, rfc3339

YEAR_1970 = 0
YEAR_9999 = 253_402_300_799_999


def test_an_instant_is_written_with_milliseconds_and_z() -> None:
    assert rfc3339(Instant(0)) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(Instant(1_795_410_860_123)) == "2026-11-23T05:14:20.123Z"
    assert rfc3339(Instant(YEAR_9999)) == "9999-12-31T23:59:59.999Z"


@given(st.integers(YEAR_1970, YEAR_9999).map(Instant))
def test_what_is_written_is_read_as_the_same_instant(instant: Instant) -> None:
    assert parse_rfc3339(rfc3339(instant)) == instant


@given(st.integers(YEAR_1970, YEAR_9999 - 10**12), st.integers(0, 10**12))
def test_later_instants_are_written_later(instant: int, more: int) -> None:
    """Texts of one width: they sort as the instants do."""
    assert rfc3339(Instant(instant)) <= rfc3339(later(Instant(instant), more))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-23T02:14:20.123-03:00", "2026-11-23T05:14:20.123Z"),
        ("2026-11-23T05:14:20Z", "2026-11-23T05:14:20.000Z"),
        ("2026-11-23T05:14:20.123999Z", "2026-11-23T05:14:20.123Z"),
        ("2026-11-24T00:14:20.123+19:00", "2026-11-23T05:14:20.123Z"),
    ],
)
def test_offsets_are_taken_away_and_finer_parts_cut(text: str, same: str) -> None:
    assert rfc3339(parse_rfc3339(text)) == same


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-23", "2026-11-23T05:14:20", "2026-13-23T05:14:20Z", "2026-11-23T25:14:20Z"]
)
def test_what_is_no_time_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)


def test_the_minute_of_an_id_is_utcs() -> None:
    """PROTOCOL 1.1."""
    assert minute_stamp(Instant(1_795_410_860_123)) == "202611230514"
