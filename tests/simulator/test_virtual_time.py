"""The virtual loop: time leaps, processes die and stand still between any two steps."""

import asyncio
from collections.abc import Iterator

import pytest

from ciranda.simulator.loop import Process, Stuck, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_a_year_passes_at_once(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(365 * 24 * 3600))
    assert loop.time() == pytest.approx(365 * 24 * 3600)


def test_what_waits_for_nothing_is_found_out(loop: VirtualLoop) -> None:
    with pytest.raises(Stuck):
        loop.run_until_complete(loop.create_future())


def test_a_killed_process_does_nothing_more_and_cleans_nothing_up(loop: VirtualLoop) -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            done.append("begun")
            await asyncio.sleep(1)
            done.append("went on")
        finally:
            done.append("cleaned up")

    process = Process(loop, "bank#1")
    process.on_death.append(lambda: done.append("died"))
    process.spawn(work())
    loop.call_later(0.5, process.die)
    loop.run_until_complete(asyncio.sleep(3))
    assert done == ["begun", "died"]


def test_a_paused_process_does_later_what_was_due_in_its_order(loop: VirtualLoop) -> None:
    done: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append((name, loop.time()))

    process = Process(loop, "bank#1")
    process.spawn(wait("second", 2))
    process.spawn(wait("first", 1))
    loop.call_later(0.5, process.pause)
    loop.call_later(10, process.resume)
    loop.run_until_complete(asyncio.sleep(11))
    assert done == [("first", 10), ("second", 10)]


def test_what_a_paused_process_had_given_up_does_not_happen(loop: VirtualLoop) -> None:
    done: list[str] = []

    async def work() -> None:
        handle = loop.call_later(2, done.append, "given up")
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(5)
        except TimeoutError:
            handle.cancel()
            done.append("timed out")

    process = Process(loop, "bank#1")
    process.spawn(work())
    loop.call_later(0.5, process.pause)
    loop.call_later(10, process.resume)
    loop.run_until_complete(asyncio.sleep(11))
    assert done[-1] == "timed out"


def test_what_belongs_to_nobody_goes_on(loop: VirtualLoop) -> None:
    process = Process(loop, "bank#1")
    done: list[float] = []

    async def work() -> None:
        from ciranda.simulator.loop import OUTSIDE

        loop.call_later(1, lambda: done.append(loop.time()), context=OUTSIDE)
        await asyncio.sleep(5)

    process.spawn(work())
    loop.call_later(0.5, process.die)
    loop.run_until_complete(asyncio.sleep(2))
    assert done == [1]
