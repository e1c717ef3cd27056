"""How soon all is well again: what a bank that dies for ever leaves behind, and what one that returns comes back to."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.system.answers import found
from tests.system.consortium import Bank, Consortium, Person, consortium, new_key
from tests.system.crowd import while_under_way
from tests.system.nemesis.world import world
from tests.system.patience import eventually
from tests.system.reconciliation import (
    check_nobodys_money_waits,
    check_one_outcome,
    check_positions,
    check_rest,
    reconcile,
)
from tests.system.workload import Town, ask_while

ANSWERS_S = 5.0
DECIDED_S = 30.0
UNDER_WAY = 10_000
A_BATCH = 2_500


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Five banks, which wait long enough for thousands of payments to be under way at once."""
    with consortium(tmp_path_factory.mktemp("shared") / "banks", banks=5, deadline_ms=10_000) as circle:
        yield circle


@pytest.fixture
def circle(shared: Consortium) -> Iterator[Consortium]:
    """The same, which a test may leave in any state."""
    yield shared
    shared.mend()


def test_when_a_coordinator_dies_for_ever_nobody_elses_money_waits_for_it(circle: Consortium) -> None:
    lost, slow, *others = circle.banks
    living = [slow, *others]
    town = Town(circle, 100_000)
    orders = town.orders(random.Random(8), 400, tellers=[lost])
    over = threading.Event()
    with ThreadPoolExecutor(1) as crowd:
        paying = crowd.submit(ask_while, lambda: not over.is_set(), orders)
        try:
            # One bank stands still, so that packages wait for it in the middle; then their coordinator dies.
            with slow.paused():
                for bank in others:
                    eventually(partial(has_promised_packages_of, bank, lost))
                lost.kill()
            died = time.monotonic()
        finally:
            over.set()
        paying.result()

    def waits_for_nobody() -> None:
        for bank in living:
            check_nobodys_money_waits(bank, lost, town)

    eventually(waits_for_nobody, within_s=died + DECIDED_S - time.monotonic())

    lost.restart()
    reconcile(circle, town, orders)


def has_promised_packages_of(bank: Bank, coordinator: Bank) -> None:
    doubts = bank.audit()["in_doubt"]
    packages = [
        doubt for doubt in doubts if doubt["coordinator"] == coordinator.ispb and len(doubt["witnesses"]) > 1
    ]
    assert len(packages) >= 3, doubts


@pytest.mark.parametrize("place", [0, 1], ids=["who coordinates them", "who holds accounts of them"])
def test_a_bank_killed_with_ten_thousand_payments_under_way_is_soon_back_and_in_no_doubt(
    circle: Consortium, place: int
) -> None:
    teller, holder, payee = circle.banks[:3]
    killed = circle.banks[place]
    people = [Person([teller], [teller, holder], UNDER_WAY) for _ in range(4)]
    _, till = payee.someone("Rui Barbosa")
    money = circle.money()

    # The payee's bank stands still, so that all of them must wait for it.
    with payee.paused(), ThreadPoolExecutor(len(people)) as crowd:
        asking = [crowd.submit(ask_for_many, person, teller, killed, till) for person in people]
        eventually(partial(is_in_doubt_of, killed, UNDER_WAY))
        killed.kill()
        payee.resume()
        started = time.monotonic()
        killed.start()
        killed.wait_ready()
        assert people[0].at[killed].balance(people[0].account[killed]) <= UNDER_WAY
        assert time.monotonic() - started < ANSWERS_S
        eventually(partial(is_in_doubt_of, killed, 0), within_s=started + DECIDED_S - time.monotonic())
    for asked in asking:
        asked.result()

    check_rest(circle.banks)
    check_one_outcome(circle.banks)
    check_positions(circle.banks)
    assert circle.money() == money


def ask_for_many(person: Person, teller: Bank, killed: Bank, till: str) -> None:
    """Thousands of payments, at least half of them out of two banks. If it is the asked bank that dies, there is no
    answer."""
    both = [person.transfer(teller, bank, till, 1) for bank in person.account]
    packages = [both, both[:1] if killed is teller else both] * (A_BATCH // 2)
    orders = [{"key": new_key(), "transfers": package} for package in packages]
    asked = suppress(httpx.TransportError) if killed is teller else nullcontext()
    with asked:
        found(person.at[teller].call("POST", "/v1/payments/batches", {"payments": orders}))


def is_in_doubt_of(bank: Bank, count: int) -> None:
    assert bank.audit()["payments"]["in_doubt"] == count


def test_a_bank_that_died_while_its_clock_was_ahead_does_not_wait_for_that_time_to_come(
    tmp_path: Path,
) -> None:
    with world(tmp_path / "banks", 1, banks=3) as struck:
        teller, holder, payee = struck.circle.banks
        ana = Person([teller], [teller, holder], 1_000)
        _, till = payee.someone("Rui Barbosa")
        legs = [ana.transfer(teller, bank, till, 100) for bank in (teller, holder)]
        struck.clocks.set(teller, 60)

        def die_when_promised() -> None:
            ana.at[holder].hold_becomes(ana.account[holder], 100)
            teller.kill()
            payee.resume()

        def pay_in_vain() -> None:
            with pytest.raises(httpx.TransportError):
                ana.at[teller].pay(*legs)

        with payee.paused():
            while_under_way(pay_in_vain, die_when_promised)
        struck.clocks.set(teller, 0)
        teller.restart()
        eventually(partial(is_in_doubt_of, teller, 0), within_s=DECIDED_S)
        check_rest(struck.circle.banks)
