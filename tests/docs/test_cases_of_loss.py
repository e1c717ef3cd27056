"""What PROTOCOL.md says becomes of a payment whose coordinator dies is played in the simulator, row by row.

One payment, out of three banks to a fourth or out of one to another. Its coordinator dies in the very moment that the
row names, stays away for long, and returns.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ciranda.agreement.message import Accepted, Answer, Prepare, Propose, Question, Tell, Vote
from ciranda.agreement.participant import State
from ciranda.engine.input import GRACE_MS
from ciranda.identity import Ispb
from ciranda.payment import Transfer
from ciranda.simulator.bank import SimulatedBank
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Outcome
from ciranda.simulator.dice import SeededDice
from ciranda.simulator.scenario import Consortium, Scenario, Storm
from ciranda.simulator.world import FIND_S, World
from tests.docs import pages

DEADLINE_MS = 3_000
FOUND_S = (DEADLINE_MS + GRACE_MS) / 1000 + 5
"""So long the living banks may take to find the decision: the deadline, the grace, and a try or two."""
AWAY_S = 20.0
SEEDS = (1, 2, 3)
THREE_WITNESSES = "### The coordinator, with three witnesses"
ONE_WITNESS = "### The coordinator, as the only witness"

Moment = Callable[[list[object]], bool]
"""Whether this is it, given what the coordinator has asked, was answered, and has written until now."""


def when(kind: type, count: int = 1) -> Moment:
    return lambda seen: sum(isinstance(one, kind) for one in seen) == count


def written(state: State) -> Moment:
    return lambda seen: state in seen


def never(seen: list[object]) -> bool:
    """Then it is its first write in which it dies."""
    return False


PACKAGE = {
    "before *begin* is committed": never,
    "after *begin*, before any Prepare has left": written(State.PREPARED),
    "after Prepare was sent": when(Prepare, 3),
    "when every yes is there, before it proposes": when(Vote, 3),
    "after one of the three witnesses wrote commit": when(Propose),
    "after two of the three witnesses wrote commit": when(Accepted, 2),
    "after it wrote the decision itself, before the client is told": written(State.COMMITTED),
    "after it told one bank": when(Tell),
}
"""The rows of the page's table: after the moment no message leaves, and what is on its way still arrives."""

ALONE = {
    "after Prepare was sent": when(Prepare),
    "when the yes is there, before it decides": when(Vote),
    "after it wrote the decision, before it told anybody": written(State.COMMITTED),
}


class Assassin(Checker):
    """Kills the coordinator once."""

    name = "assassin"
    watches_commits = True

    def __init__(self, world: World, victim: SimulatedBank, moment: Moment) -> None:
        super().__init__(world)
        self.victim = victim
        self.moment = moment
        self.seen: list[object] = []
        self.struck = False
        self.known: dict[Ispb, float] = {}
        """Since when each bank knows the decision."""

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if sender == self.victim.ispb:
            self.look(question)

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(answer, Accepted):
            # The witness has written it, whether or not anybody hears of it.
            self.look(answer)

    def on_delivered(self, process: str, answering: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(answer, Vote):
            self.look(answer)

    def on_commit(self, bank: SimulatedBank) -> None:
        for record in self.world.records(bank.ispb):
            if record.header is not None and record.state.decided:
                self.known.setdefault(bank.ispb, self.world.loop.time())
            if record.header is not None and bank is self.victim:
                self.look(record.state)

    def look(self, what: object) -> None:
        if self.struck:
            return
        self.seen.append(what)
        if self.moment(self.seen):
            self.struck = self.victim.locked = True
            self.victim.crash("in the very moment")


class Play:
    """As a fault: it places the order, and lets the coordinator return."""

    name, chance = "play", 1.0

    def __init__(self, sources: tuple[int, ...], moment: Moment) -> None:
        self.sources = sources
        self.moment = moment
        self.meanwhile: dict[Ispb, State] = {}
        """What the living banks said before the coordinator returned."""
        self.took: dict[Ispb, float] = {}
        """How long each needed for the decision."""

    async def rage(self, world: World, dice: SeededDice) -> None:
        banks, (payer, payee, _) = world.founded.banks, world.founded.customers
        accounts, coordinator = world.founded.accounts, world.banks[world.founded.banks[1]]
        transfers = [
            Transfer(source=accounts[banks[source], payer], target=accounts[banks[3], payee], amount=100)
            for source in self.sources
        ]
        tokens = [world.founded.mandates.get((banks[source], payer, banks[1])) for source in self.sources]
        assassin = Assassin(world, coordinator, self.moment)
        world.watch(assassin)
        await asyncio.sleep(FIND_S)
        begun = world.loop.time()
        order = world.clients.place(banks[1], payer, transfers, tokens)
        if self.moment is never:
            assassin.struck = coordinator.locked = True
            coordinator.disk.statements_to_power_cut = 0
        asking = asyncio.create_task(world.clients.insist(order))
        await asyncio.sleep(AWAY_S)
        assert not coordinator.up, "it has died"
        for bank in world.living():
            for record in world.records(bank.ispb):
                if record.header is not None and bank is not coordinator:
                    self.meanwhile[bank.ispb] = record.state
        self.took = {bank: known - begun for bank, known in assassin.known.items()}
        coordinator.locked = False
        coordinator.start()
        await asking


def played(sources: tuple[int, ...], moment: Moment, seed: int) -> tuple[World, Play]:
    play = Play(sources, moment)
    parts: Any = {"workloads": (), "faults": (play,)}
    world = World(
        Scenario(
            name="one loss",
            consortium=Consortium(banks=(4, 4), witnesses=(3,), deadline_ms=(DEADLINE_MS, DEADLINE_MS)),
            storm=Storm(seconds=(AWAY_S + 20, AWAY_S + 20), payments=0),
            **parts,
        ),
        seed,
    )
    world.run()
    assert world.failure is None, f"{world.failure}\n{world.transcript.text()}"
    return world, play


def told_by_the_page(heading: str) -> dict[str, str]:
    """Each row's moment and outcome."""
    rows = pages.rows(pages.section("docs/PROTOCOL.md", heading))
    return {row[0]: row[1].strip("*") for row in rows}


STATES = {"committed": State.COMMITTED, "aborted": State.ABORTED}
ANSWERS = {"committed": Outcome.SETTLED, "aborted": Outcome.REFUSED, "begun anew": Outcome.SETTLED}


def test_every_row_is_played() -> None:
    assert set(told_by_the_page(THREE_WITNESSES)) == set(PACKAGE)
    assert set(told_by_the_page(ONE_WITNESS)) == set(ALONE)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("row", PACKAGE)
def test_the_living_banks_decide_without_the_coordinator_of_a_package(row: str, seed: int) -> None:
    outcome = told_by_the_page(THREE_WITNESSES)[row]
    world, play = played((0, 1, 2), PACKAGE[row], seed)
    assert world.clients.final[1].outcome is ANSWERS[outcome]
    assert set(play.meanwhile.values()) <= {STATES.get(outcome)}
    assert max(play.took.values(), default=0) <= FOUND_S


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("row", ALONE)
def test_a_coordinator_that_is_the_only_witness_is_waited_for(row: str, seed: int) -> None:
    outcome = told_by_the_page(ONE_WITNESS)[row]
    world, play = played((1,), ALONE[row], seed)
    assert set(play.meanwhile.values()) == {State.PREPARED}
    assert world.clients.final[1].outcome is ANSWERS[outcome]
