"""How a bank notices that it was put back, and who may tell it so (PROTOCOL 2.6)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ciranda.agreement.height import NOTHING, Height
from ciranda.identity import Ispb
from ciranda.node.heights import HeightKeeper
from ciranda.ports import PutBack
from ciranda.storage.store import SqlStore
from tests.node.banks import MovableClock, consortium

A, B = Ispb("10000001"), Ispb("10000002")
KEY = b"a secret that is in no database"
clock = MovableClock()


class Later:
    """The store of a bank that has written so much more."""

    def __init__(self, store: SqlStore) -> None:
        self.written = store.height() + 1

    def height(self) -> int:
        return self.written


def run(folder: Path, story: Callable[[SqlStore, HeightKeeper, list[str]], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with consortium(folder, count=2) as banks:
            stopped: list[str] = []
            keeper = HeightKeeper(banks.stores[A], stopped.append, KEY, clock)
            await story(banks.stores[A], keeper, stopped)

    asyncio.run(tell())


def later_word(store: SqlStore, key: bytes) -> Height:
    """What the bank with this secret will say of itself when it has written more."""
    return HeightKeeper(Later(store), lambda why: None, key, clock).own()  # type: ignore[arg-type]


def test_no_peer_can_stop_a_bank_by_saying_that_it_has_seen_more_of_it_than_there_is(tmp_path: Path) -> None:
    """One request of one member did that: whoever has a key could have stopped all others for ever."""

    async def story(store: SqlStore, heights: HeightKeeper, stopped: list[str]) -> None:
        present, theirs = heights.own(), later_word(store, b"another bank's secret")
        for stamp in ("", present.stamp, "0" * 32, theirs.stamp):
            with capture_logs() as logged:
                await heights.heard(B, NOTHING, Height(present.number + 1, stamp))
            clock.ahead_ms += 2_000
            assert [(line["event"], line["peer"]) for line in logged] == [("false_height", B)]
        assert stopped == []

    run(tmp_path, story)


def test_a_bank_that_is_shown_its_own_later_word_stops(tmp_path: Path) -> None:
    async def story(store: SqlStore, heights: HeightKeeper, stopped: list[str]) -> None:
        with pytest.raises(PutBack):
            await heights.heard(B, NOTHING, later_word(store, KEY))
        assert len(stopped) == 1

    run(tmp_path, story)


def test_what_a_peer_shows_of_itself_is_given_back_to_it_with_its_stamp(tmp_path: Path) -> None:
    async def story(store: SqlStore, heights: HeightKeeper, stopped: list[str]) -> None:
        for number in (5, 9, 7):
            await heights.heard(B, Height(number, f"{number:032x}"), heights.own())
        assert heights.seen(B) == Height(9, f"{9:032x}")

    run(tmp_path, story)
