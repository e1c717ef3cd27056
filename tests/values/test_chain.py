"""The chain's bytes: nothing in them can be changed without another hash, and they come back as they were."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciranda import chain
from ciranda.identity import Ispb
from ciranda.instant import Instant

DIGESTS = st.binary(min_size=32, max_size=32)
KEYS = st.tuples(st.text(max_size=8), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=4))
NOTES = st.dictionaries(
    st.text(max_size=6), st.dictionaries(KEYS, DIGESTS, min_size=1, max_size=4), max_size=4
)


@given(NOTES)
def test_contents_come_back_as_they_were(notes: dict[str, dict[Any, bytes]]) -> None:
    # Every second row was found as something.
    before = {
        strip: {key: digest[:8] for place, (key, digest) in enumerate(rows.items()) if place % 2}
        for strip, rows in notes.items()
    }
    written = [
        (strip, key, digest, before[strip].get(key, chain.UNSEEN))
        for strip, rows in notes.items()
        for key, digest in rows.items()
    ]
    assert list(chain.rows_in(chain.contents_of(notes, before))) == written


@given(st.binary(max_size=80))
def test_any_bytes_are_contents_or_a_value_error(contents: bytes) -> None:
    try:
        rows = list(chain.rows_in(contents))
    except ValueError:
        return
    assert all(len(row.digest) == 32 and len(row.before) == 8 for row in rows)


@given(NOTES, st.data())
def test_one_byte_that_is_changed_gives_another_hash(notes: dict[str, dict[Any, bytes]], data: Any) -> None:
    contents = chain.contents_of(notes, {})
    place = data.draw(st.integers(0, len(contents) - 1))
    changed = bytearray(contents)
    changed[place] ^= data.draw(st.integers(1, 255))
    before = chain.extended(bytes(32), 1, Instant(0), contents)
    assert chain.extended(bytes(32), 1, Instant(0), bytes(changed)) != before


def test_a_key_is_written_once_however_often_it_is_used() -> None:
    long = "E10000001202611230514abcDEF12345"
    once = chain.contents_of({"entries": {(long, 1): bytes(32)}}, {})
    twice = chain.contents_of({"entries": {(long, 1): bytes(32), (long, 2): bytes(32)}}, {})
    assert len(twice) - len(once) < len(long) + 32


def test_the_hash_is_the_documented_one() -> None:
    contents = chain.contents_of({"actions": {("a",): chain.digest(("a", 1, None))}}, {})
    first = sha256(b"ciranda chain 10000001").digest()
    assert chain.first(Ispb("10000001")) == first
    assert chain.digest(("a", None, 1)) == sha256(b"\x93\xa1a\xc0\x01").digest()
    by_hand = sha256(first + b"\0\0\0\0\0\0\0\1" + b"\0\0\0\0\0\0\0\5" + contents).digest()
    assert chain.extended(first, 1, Instant(5), contents) == by_hand


def test_a_column_that_is_added_later_changes_no_digest_of_before() -> None:
    assert chain.digest(("a", 1)) == chain.digest(("a", 1, None, None))
    assert chain.digest(("a", 1)) != chain.digest(("a", None, 1))


@pytest.mark.parametrize(
    ("places", "digests", "befores"),
    [
        ([0], b"x" * 33, b""),
        ([0, 0, 0], b"x" * 64, b""),
        ([1], b"x" * 32, b""),
        ([-1], b"x" * 32, b""),
        ([], b"x" * 32, b""),
        ([0], b"x" * 32, b"x" * 9),
    ],
)
def test_contents_that_do_not_fit_together_are_refused(
    places: list[int], digests: bytes, befores: bytes
) -> None:
    contents = msgspec.msgpack.encode((["key"], [("actions", places, digests, befores)]))
    with pytest.raises(ValueError, match="fit together"):
        list(chain.rows_in(contents))
