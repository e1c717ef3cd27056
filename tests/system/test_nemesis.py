"""The nemesis itself: its plan is the seed's, and each of its faults is felt as long as it lasts, and no longer."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ciranda.cli.nemesis import Kind, rounds, until_each_has_struck
from ciranda.instant import parse_rfc3339
from tests.system.answers import problem, refused, settled
from tests.system.consortium import Bank, new_key, transfer
from tests.system.nemesis.disk import FullDisk
from tests.system.nemesis.fault import Fault
from tests.system.nemesis.link import SLOW_S, LossyLink, SlowLink
from tests.system.nemesis.partition import OneWayPartition, Partition
from tests.system.nemesis.world import World, world
from tests.system.patience import eventually

KINDS = [
    Kind("kill", "some", 3.0),
    Kind("pause", "some", 4.0),
    Kind("clock", "some", 4.0, shares=True),
    Kind("partition", "side", 4.0),
    Kind("one-way", "pair", 4.0),
    Kind("disk", "ground", 3.0),
]
BANKS = ["ipe", "jatoba", "sumauma", "buriti", "umbu"]


# Its plan.


def test_the_same_seed_strikes_in_the_same_way() -> None:
    one, other, third = (list(itertools.islice(rounds(seed, KINDS, BANKS), 50)) for seed in (7, 7, 8))
    assert one == other
    assert one != third


@pytest.mark.parametrize("seed", range(20))
def test_no_kind_of_fault_is_forgotten(seed: int) -> None:
    planned = list(until_each_has_struck(rounds(seed, KINDS, BANKS), KINDS))
    assert {strike.kind for round in planned for strike in round.strikes} == {kind.name for kind in KINDS}
    assert len(planned) <= len(KINDS)


def test_no_bank_is_killed_while_it_stands_still_or_has_lost_the_ground_under_it() -> None:
    for round in itertools.islice(rounds(9, KINDS, BANKS), 500):
        struck = [
            slug for strike in round.strikes if strike.kind in ("kill", "pause") for slug in strike.victims
        ]
        assert len(struck) == len(set(struck)), round
        assert not (struck and any(strike.kind == "disk" for strike in round.strikes)), round


# What its faults do.


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("struck") / "banks", 1, banks=3) as made:
        yield made


class Pair:
    """Two banks, and a customer of the first who pays one of the second."""

    def __init__(self, here: Bank, there: Bank) -> None:
        self.here, self.there = here, there
        self._ana, self._mine = here.someone("Ana Maria", 1_000)
        self._rui, self._till = there.someone("Rui Barbosa")

    def pays(self) -> None:
        settled(self._ana.pay(transfer(self._mine, self._till, 1)))

    def cannot_pay(self) -> None:
        answer = self._ana.pay(transfer(self._mine, self._till, 1))
        assert answer.status_code == 422, answer.text
        assert refused(answer, answer.json()["code"])["code"] in ("bank_unreachable", "deadline_passed")


@contextmanager
def lasting(fault: Fault) -> Iterator[None]:
    fault.begin()
    try:
        yield
    finally:
        fault.end()


@pytest.fixture
def pair(struck: World) -> Iterator[Pair]:
    yield Pair(*struck.circle.banks[:2])
    struck.circle.wait_connected()


def test_two_sides_of_a_partition_do_not_hear_each_other(struck: World, pair: Pair) -> None:
    within = Pair(struck.circle.banks[1], struck.circle.banks[2])
    with lasting(Partition(struck.network, struck.circle.banks, [pair.here])):
        pair.cannot_pay()
        within.pays()
    eventually(pair.pays)


@pytest.mark.parametrize("silent", [0, 1])
def test_a_payment_needs_both_ways_between_two_banks(struck: World, pair: Pair, silent: int) -> None:
    banks = [pair.here, pair.there]
    with lasting(OneWayPartition(struck.network, banks[silent], banks[1 - silent])):
        pair.cannot_pay()
    eventually(pair.pays)


def test_what_two_partitions_cut_is_whole_when_both_are_over(struck: World, pair: Pair) -> None:
    outer = Partition(struck.network, struck.circle.banks, [pair.here])
    outer.begin()
    with lasting(Partition(struck.network, struck.circle.banks, [pair.there])):
        outer.end()
        pair.cannot_pay()
    eventually(pair.pays)


def test_on_a_slow_line_a_payment_takes_its_time(struck: World, pair: Pair) -> None:
    with lasting(SlowLink(struck.wires, [pair.there])):
        began = time.monotonic()
        pair.pays()
        assert time.monotonic() - began >= 2 * SLOW_S


def test_on_a_lossy_line_some_payments_fail(struck: World, pair: Pair) -> None:
    with lasting(LossyLink(struck.wires, [pair.there])):
        eventually(pair.cannot_pay)
    eventually(pair.pays)


@pytest.mark.parametrize("ahead_s", [-3_600, 3_600])
def test_a_bank_goes_by_its_own_wrong_clock(struck: World, ahead_s: int) -> None:
    bank = struck.circle.banks[0]
    _, account = bank.someone("Ana Maria")

    def ahead() -> float:
        return parse_rfc3339(bank.deposit(account, 1)["created_at"]) / 1000 - time.time()

    struck.clocks.set(bank, ahead_s)
    assert ahead() == pytest.approx(ahead_s, abs=30)
    struck.clocks.set(bank, 0)
    assert ahead() == pytest.approx(0, abs=30)


@pytest.mark.parametrize("namespaces", [True, False], ids=["file system", "limit"])
def test_a_bank_with_a_full_disk_takes_nothing_in_and_goes_on_when_there_is_room(
    tmp_path: Path, namespaces: bool
) -> None:
    with world(tmp_path / "banks", 1, banks=2, namespaces=namespaces) as full:
        bank = full.last
        _, account = bank.someone("Ana Maria", 1_000)
        deposit = {"account": account, "amount": 1}
        used: list[str] = []

        def is_refused() -> None:
            used.append(new_key())
            problem(bank.operate("POST", "/v1/deposits", deposit, key=used[-1]), 503, "unavailable")

        with lasting(FullDisk(full.disks, bank)):
            # What the bank had room for already may take in some more.
            eventually(is_refused)
        settled(bank.operate("POST", "/v1/deposits", deposit, key=used[-1]))
        assert bank.audit()["balances"]["customers"] == 1_000 + len(used)
