"""What a payment costs: durable steps in each bank, and rounds of messages, until the client is answered.

Counted in whole banks without faults, from the order to the answer.
"""

from collections import Counter

import pytest

from ciranda.agreement.message import Answer, Ask, Prepare, Propose, Question, Tell
from ciranda.identity import Ispb
from ciranda.payment import Transfer
from ciranda.simulator.bank import SimulatedBank
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Told
from ciranda.simulator.dice import SeededDice
from ciranda.simulator.scenario import Scenario, load
from ciranda.simulator.workloads.workload import Workload
from ciranda.simulator.world import World


class Meter(Checker):
    """Counts, until the client is told."""

    name = "meter"
    watches_commits = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.steps: Counter[Ispb] = Counter()
        """Durable writes about the payment: those in which a payment's row changed."""
        self.rounds: list[str] = []
        """The kinds of questions, in the order in which each was first asked."""
        self.outcome: str | None = None
        self._rows: dict[Ispb, list[tuple[object, ...]]] = {}

    def on_commit(self, bank: SimulatedBank) -> None:
        rows = bank.disk.connection.execute("SELECT * FROM payments WHERE kind = 'payment'").fetchall()
        if self.outcome is None and rows != self._rows.get(bank.ispb, []):
            self.steps[bank.ispb] += 1
        self._rows[bank.ispb] = rows

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        kind = type(question).__name__
        if self.outcome is None and kind not in self.rounds:
            assert isinstance(question, Prepare | Propose | Ask | Tell)
            self.rounds.append(kind)

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        pass

    def on_told(self, told: Told) -> None:
        self.outcome = self.outcome or told.outcome.value


class OnePayment(Workload, frozen=True, kw_only=True, tag="one_payment"):
    """A single one, out of `sources` banks to another, asked at the first of them or at a bank that has no part."""

    sources: int
    from_outside: bool = False

    def order(self, world: World, dice: SeededDice):  # type: ignore[no-untyped-def]
        banks, payer = world.founded.banks, world.founded.customers[0]
        coordinator = banks[-1] if self.from_outside else banks[0]
        target = world.founded.accounts[banks[self.sources], world.founded.customers[1]]
        transfers = [
            Transfer(source=world.founded.accounts[bank, payer], target=target, amount=100)
            for bank in banks[: self.sources]
        ]
        tokens = [world.founded.mandates.get((bank, payer, coordinator)) for bank in banks[: self.sources]]
        yield world.clients.insist(world.clients.place(coordinator, payer, transfers, tokens))


def measured(workload: OnePayment, banks: int) -> tuple[World, Meter]:
    calm = load("calm")
    scenario = Scenario(
        name="one payment",
        consortium=type(calm.consortium)(banks=(banks, banks), witnesses=(3,)),
        storm=type(calm.storm)(seconds=(3.0, 3.0), payments=1),
        workloads=(workload,),  # type: ignore[arg-type]
    )
    world = World(scenario, 1)
    meter = Meter(world)
    world.watch(meter)
    world.run()
    assert world.failure is None, world.failure
    assert meter.outcome == "settled"
    return world, meter


def test_between_two_banks_two_durable_steps_in_each_and_one_round_of_messages() -> None:
    _, meter = measured(OnePayment(sources=1), banks=3)
    assert meter.rounds in (["Prepare"], ["Prepare", "Tell"])
    assert set(meter.steps.values()) <= {1, 2}
    assert len(meter.steps) == 2


@pytest.mark.parametrize("from_outside", [False, True])
def test_a_package_with_three_witnesses_costs_one_round_more(from_outside: bool) -> None:
    _, meter = measured(OnePayment(sources=3, from_outside=from_outside), banks=5)
    assert [kind for kind in meter.rounds if kind != "Tell"] == ["Prepare", "Propose"]
    assert max(meter.steps.values()) <= 2


def test_inside_one_bank_one_durable_step_and_no_message() -> None:
    class Inside(OnePayment, frozen=True, kw_only=True, tag="inside_one"):
        def order(self, world: World, dice: SeededDice):  # type: ignore[no-untyped-def]
            bank, (payer, payee, _) = world.founded.banks[0], world.founded.customers
            paid = Transfer(
                source=world.founded.accounts[bank, payer],
                target=world.founded.accounts[bank, payee],
                amount=100,
            )
            yield world.clients.insist(world.clients.place(bank, payer, [paid], [None]))

    world, meter = measured(Inside(sources=1), banks=3)
    assert meter.rounds == []
    assert meter.steps == {world.founded.banks[0]: 1}
