"""A consortium under one seed: its banks, its clients, what befalls it, and those who watch.

First the storm: the workloads order, the faults rage, both as the scenario says. Then the calm: the network is
whole, the clocks are right, every bank but the ones that are gone for ever is up again, and the clients ask until
they know. In the end nothing may be in doubt, and everything must add up.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from ciranda.agreement.message import Answer, Busy, Question
from ciranda.engine.limits import Figures, LimitRules
from ciranda.engine.record import Record
from ciranda.identity import EndToEndId, Ispb
from ciranda.payment import Transfer
from ciranda.simulator.bank import SimulatedBank
from ciranda.simulator.checkers import CHECKERS, Checker
from ciranda.simulator.clients import Clients, Told
from ciranda.simulator.dice import SeededDice
from ciranda.simulator.disk import Disk
from ciranda.simulator.founding import NAMES, Founded, found, key_of, roster_of
from ciranda.simulator.loop import Process, VirtualLoop
from ciranda.simulator.network import Network
from ciranda.simulator.scenario import Scenario
from ciranda.simulator.transcript import Transcript
from ciranda.storage.rows import RECORDS

CALM_S = 45.0
"""Virtual seconds within which all doubt must end once the faults have stopped."""
FIND_S = 5.0
ONCE_MORE_S = 15.0
QUIET_S = 30.0
"""After so long without anything, banks wait longer between their rounds."""
_LOOK_S = 0.5


class Failure(Exception):
    """Something that must hold does not."""

    def __init__(self, checker: str, what: str) -> None:
        super().__init__(f"{checker}: {what}")
        self.checker = checker
        self.what = what


class World:
    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self.loop = VirtualLoop()
        self.transcript = Transcript()
        self.failure: Failure | None = None
        self.faults_seen: Counter[str] = Counter()
        """How often each kind of fault struck."""
        self.lies: set[EndToEndId] = set()
        """Payments that a bank lied about: of these only each honest bank's own book can be whole."""
        self.meddled: set[EndToEndId] = set()
        """Real payments about which a bank that has no part in them has said something."""
        self.gone: set[Ispb] = set()
        """Banks that never return."""
        self._stirred = 0.0
        dice = self.dice("world")
        count = dice.whole(*scenario.consortium.banks)
        deadline_ms = dice.whole(*scenario.consortium.deadline_ms)
        self.witnesses = dice.pick(scenario.consortium.witnesses)
        self.founded: Founded = found(count)
        self.roster = roster_of(
            self.founded.banks, self.witnesses, deadline_ms, dice.pick(scenario.consortium.credit_limit)
        )
        self.limits = _limits(self.dice("limits").pick(scenario.consortium.per_day))
        self.network = Network(self.loop, self.dice("network"), self)
        self.banks: dict[Ispb, SimulatedBank] = {}
        for slot, bank in enumerate(self.founded.banks):
            disk = Disk(slot, self.founded.images[bank], self.dice(f"disk {bank}"))
            self.banks[bank] = SimulatedBank(
                bank,
                NAMES[slot],
                self.roster,
                key_of(bank),
                disk,
                dice.whole(*scenario.consortium.workers),
                self.loop,
                self.network,
                seed,
                self.note,
                self.quiet,
                self.limits,
            )
        self.clients = Clients(self.banks, self.dice("clients"), self._told, self.note)
        self.checkers: list[Checker] = [kind(self) for kind in CHECKERS]
        for simulated in self.banks.values():
            simulated.disk.on_commit = self._on_commit(simulated)
        self.note(
            "world",
            f"seed {seed}, {count} banks, {self.witnesses} witnesses, a deadline of {deadline_ms} ms",
        )

    # For faults, workloads and checkers.

    def dice(self, name: str) -> SeededDice:
        return SeededDice(self.seed, name)

    def note(self, who: str, what: str) -> None:
        self.transcript.add(self.loop.time(), who, what)

    def strike(self, fault: str, what: str) -> None:
        """A fault does something: it is counted and written down."""
        self.faults_seen[fault] += 1
        self.note(fault, what)
        self._stir()

    def quiet(self) -> bool:
        """Whether for a while no client has waited, no fault has struck and no message was lost."""
        return self.loop.time() > self._stirred + QUIET_S

    def _stir(self) -> None:
        self._stirred = self.loop.time()

    def fail(self, checker: str, what: str) -> None:
        """What must hold does not: the run ends here."""
        if self.failure is None:
            self.failure = Failure(checker, what)
            self.note("VIOLATION", f"{checker}: {what}")
            self._stop()

    def living(self) -> list[SimulatedBank]:
        """All that are not gone for ever."""
        return [bank for bank in self.banks.values() if bank.ispb not in self.gone]

    def record(self, bank: Ispb, payment: EndToEndId) -> Record | None:
        """What stands on the bank's disk."""
        books = self.banks[bank].disk.books
        row = books.execute("SELECT * FROM payments WHERE id = ?", (payment,)).fetchone()
        return None if row is None else RECORDS.from_row(row)

    def records(self, bank: Ispb) -> list[Record]:
        books = self.banks[bank].disk.books
        return [RECORDS.from_row(row) for row in books.execute("SELECT * FROM payments ORDER BY id")]

    # The network's Watcher.

    def asked(self, process: Process, sender: Ispb, receiver: Ispb, question: Question) -> None:
        words = self.transcript.question(question)
        if words is not None:
            self._stir()
            self.note(f"{self.banks[sender].name} > {self.banks[receiver].name}", words)
            for checker in self.checkers:
                checker.on_asked(process.name, sender, receiver, question)

    def answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        words = self.transcript.answer(question, answer)
        if words is not None:
            self.note(f"{self.banks[sender].name} > {self.banks[receiver].name}", words)
            if not isinstance(answer, Busy):
                for checker in self.checkers:
                    checker.on_answered(sender, receiver, question, answer)

    def delivered(self, process: Process, answering: Ispb, question: Question, answer: Answer) -> None:
        for checker in self.checkers:
            checker.on_delivered(process.name, answering, question, answer)

    def missed(self, sender: Ispb, receiver: Ispb, what: str) -> None:
        self._stir()
        self.note(f"{self.banks[sender].name} > {self.banks[receiver].name}", f"a {what} is lost")

    def _told(self, told: Told) -> None:
        for checker in self.checkers:
            checker.on_told(told)

    def _on_commit(self, bank: SimulatedBank) -> Callable[[], None]:
        def committed() -> None:
            for checker in self.checkers:
                if checker.watches_commits:
                    checker.on_commit(bank)

        return committed

    def watch(self, checker: Checker) -> None:
        """One more that watches."""
        self.checkers.append(checker)

    # The course of events.

    def run(self) -> None:
        """To the end, or to the first failure."""
        before = structlog.get_config()
        structlog.configure(
            processors=[self._hear_log], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
        )

        self.loop.create_task(self._go()).add_done_callback(lambda _: self._stop())
        try:
            self.loop.run_forever()
        finally:
            self.transcript.ended = True
            self.loop.run_until_complete(self._cease())
            for bank in self.banks.values():
                for worker in bank.workers:
                    worker.process.on_death.clear()
                    worker.process.die()
            self.loop.close()
            structlog.configure(**before)
            for bank in self.banks.values():
                bank.disk.close()
        if self.failure is None and self.loop.mishaps:
            self.failure = Failure("no mistakes", self.loop.mishaps[0])

    async def _go(self) -> None:
        try:
            await self._storm()
            await self._calm()
        except Exception as error:
            self.fail("simulator", repr(error))
            raise

    def _stop(self) -> None:
        if not self.transcript.ended:
            self.loop.stop()

    async def _cease(self) -> None:
        """After a failure clients and faults are still at work."""
        left = [task for task in self.loop.outside if not task.done() and task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _storm(self) -> None:
        dice = self.dice("storm")
        for bank in self.banks.values():
            bank.start()
        await self._until(lambda: all(_serves(bank) for bank in self.banks.values()), 30)
        raging = [
            self.loop.create_task(fault.rage(self, self.dice(f"fault {fault.name}")))
            for fault in self.scenario.drawn_faults(self.seed)
        ]
        length = dice.within(self.scenario.storm.seconds)
        placing = self.loop.create_task(self._order(length))
        await asyncio.sleep(length)
        self.note("world", "the storm is over")
        for fault in raging:
            fault.cancel()
        for result in await asyncio.gather(*raging, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await placing

    async def _order(self, length: float) -> None:
        """The scenario's payments, at random moments of the storm."""
        dice = self.dice("orders")
        moments = sorted(dice.between(0, length * 0.95) for _ in range(self.scenario.storm.payments))
        begun = self.loop.time()
        workloads = self.scenario.workloads
        shares = [workload.share for workload in workloads]
        for moment in moments:
            await asyncio.sleep(max(0.0, begun + moment - self.loop.time()))
            workload = workloads[_draw(dice, shares)]
            for ordering in workload.order(self, dice):
                self.loop.create_task(ordering)

    async def _calm(self) -> None:
        self._stir()
        for bank in self.living():
            bank.resume()
            bank.clock.wrong_by_ms = 0
            bank.disk.full = False
            bank.disk.commits_failing = 0.0
            bank.disk.statements_to_power_cut = None
            bank.locked = False
            bank.start()
        calm_since = self.loop.time()
        await self._until(self._nothing_is_left, CALM_S)
        took = self.loop.time() - calm_since
        self.note("world", f"nothing is left to do after {took:.1f} s of calm")
        await self._try_once_more()
        for checker in self.checkers:
            checker.at_end()

    async def _try_once_more(self) -> None:
        """Whatever they went through, the banks still pay: each a centavo, to itself and to the next."""
        # So long they may need to find each other again.
        await asyncio.sleep(FIND_S)
        banks = [bank.ispb for bank in self.living()]
        payer, payee, _ = self.founded.customers
        orders = []
        for bank, following in zip(banks, [*banks[1:], banks[0]], strict=True):
            for target in ((bank, payee), (following, payee)):
                paid = Transfer(
                    source=self.founded.accounts[bank, payer], target=self.founded.accounts[target], amount=1
                )
                orders.append(self.clients.place(bank, payer, [paid], [None]))
        for order in orders:
            self.loop.create_task(self.clients.insist(order))
        await self._until(lambda: all(order.number in self.clients.final for order in orders), ONCE_MORE_S)
        for order in orders:
            told = self.clients.final.get(order.number)
            if told is None or "unreachable" in told.why or "deadline" in told.why:
                what = "not answered" if told is None else f"refused {told.why}"
                self.fail("doubt ends", f"all is well again, and {order.key} was {what}")
        await self._until(self._nothing_is_left, ONCE_MORE_S)

    def _nothing_is_left(self) -> bool:
        living = self.living()
        if not all(_serves(bank) for bank in living):
            return False
        if any(
            order.number not in self.clients.final and order.bank not in self.gone
            for order in self.clients.orders
        ):
            return False
        return not any(self.unfinished(bank.ispb) for bank in living)

    def unfinished(self, bank: Ispb) -> list[Record]:
        """What a living bank has left to do and could: not what only a bank that is gone for ever could end."""
        connection = self.banks[bank].disk.connection
        rows = connection.execute("SELECT * FROM payments WHERE due IS NOT NULL").fetchall()
        left = []
        for record in map(RECORDS.from_row, rows):
            if record.state.decided:
                waits = not set(record.untold) <= self.gone
            else:
                assert record.header is not None, "what is undecided has left its bank"
                waits = not set(record.header.witnesses) <= self.gone
            if waits and record.id not in self.lies:
                left.append(record)
        return left

    async def _until(self, holds: Callable[[], bool], limit_s: float) -> None:
        """Goes on when it holds, or when the limit is reached: the checkers say what that means."""
        end = self.loop.time() + limit_s
        while not holds() and self.loop.time() < end:
            await asyncio.sleep(_LOOK_S)

    def _hear_log(self, _logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        """What the banks' own programs log goes into the transcript; their errors are mistakes of ours."""
        said = " ".join(f"{name}={value}" for name, value in event.items() if name != "exc_info")
        self.note("log", said)
        if level in ("error", "exception", "critical"):
            self.fail("no mistakes", said)
        raise structlog.DropEvent


def _limits(per_day: int) -> LimitRules | None:
    if per_day == 0:
        return None
    figures = Figures(per_transfer=None, per_day=per_day, per_night=per_day * 3 // 5)
    return LimitRules(persons=figures, companies=figures)


def _serves(bank: SimulatedBank) -> bool:
    return bank.up and all(worker.answers_clients for worker in bank.workers)


def _draw(dice: SeededDice, shares: list[float]) -> int:
    left = dice.between(0, sum(shares))
    for place, share in enumerate(shares):
        left -= share
        if left <= 0:
            return place
    return len(shares) - 1
