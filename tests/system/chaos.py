"""Chaos: a consortium of real banks is paid through while a nemesis strikes it, for as long as one says.

    python -m tests.system.chaos --minutes 30 --seed 7

It ends in a report, and in exit status 1 if anything is not as it was promised; then the banks' folder is kept.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import takewhile
from pathlib import Path

from rich.console import RenderableType

from ciranda.cli.nemesis import Round, Strike, rounds, until_each_has_struck
from ciranda.cli.screen import out
from ciranda.cli.tally import RECOVERY_S, Ending, Recovery, Tally, report
from tests.system.answers import Json
from tests.system.consortium import Bank
from tests.system.nemesis.kinds import Arsenal
from tests.system.nemesis.namespaces import Namespaces, allowed, entered
from tests.system.nemesis.world import World, world
from tests.system.patience import eventually
from tests.system.postgresql import SLUGS, postgresql
from tests.system.reconciliation import check_nobodys_money_waits, reconcile
from tests.system.workload import Order, Town, ask_while

BALANCE = 1_000_000
CUSTOMERS = 24
RETURNING = 2_000
"""So many of those who know the end of their payment ask again all the same."""
INSIDE = "CHAOS_IS_IN_A_NETWORK_NAMESPACE"
CALM_S = 4 * RECOVERY_S
"""How long we go on looking before we give up on a recovery."""

Say = Callable[[str], None]


class Chaos:
    """One run: the customers in a thread of their own, the nemesis in this one."""

    def __init__(self, struck: World, seed: int, say: Say, customers: int = CUSTOMERS) -> None:
        self.tally = Tally()
        self.orders: list[Order] = []
        self.findings: list[str] = []
        self.longest: Recovery | None = None
        self.without_s: float | None = None
        self._world = struck
        self._banks = struck.circle.banks
        self._arsenal = Arsenal(struck)
        self._dice = random.Random(seed)
        self._say = say
        self._customers = customers
        self._town = Town(struck.circle, BALANCE)
        self._kinds = self._arsenal.kinds(struck.deadline_s)
        self._planned = rounds(seed, self._kinds, [bank.slug for bank in self._banks])

    def run_for(self, minutes: float) -> Ending:
        end_s = time.monotonic() + 60 * minutes
        return self._run(takewhile(lambda _: time.monotonic() < end_s, self._planned))

    def run_once_through(self) -> Ending:
        """Until each kind of fault has struck."""
        return self._run(until_each_has_struck(self._planned, self._kinds))

    def report(self, ending: Ending) -> RenderableType:
        return report(self.tally, ending, "BRL", self._arsenal.means)

    @property
    def kinds(self) -> set[str]:
        return {kind.name for kind in self._kinds}

    def _run(self, planned: Iterable[Round]) -> Ending:
        """Through all the rounds; then everybody comes to rest, and the books are read."""
        over = threading.Event()
        stream = self._noted(self._town.for_ever(random.Random(self._dice.random())))
        with ThreadPoolExecutor(1) as crowd:
            paying = crowd.submit(ask_while, lambda: not over.is_set(), stream, self._customers)
            try:
                for round in planned:
                    self._suffer(round)
                    if paying.done():
                        break
                self._lose(self._dice.choice(self._banks), over.set)
            except KeyboardInterrupt:
                self._say("told to end before its time")
            except Exception as error:
                self.findings.append(f"the nemesis was stopped: {error!r}")
            finally:
                over.set()
        if (complaint := paying.exception()) is not None:
            self.findings.append(f"customers were answered what no bank may answer: {complaint!r}")
        return self._end()

    def count(self) -> Tally:
        """What the customers have been told so far."""
        tally = self.tally
        orders = list(self.orders)
        tally.tried = len(orders)
        tally.settled = sum(any(status == "settled" for _, status in order.told) for order in orders)
        tally.pending = sum(status == "pending" for order in orders for _, status in order.told)
        tally.refused.clear()
        tally.refused.update(order.refusal for order in orders if order.refusal is not None)
        return tally

    def _noted(self, orders: Iterator[Order]) -> Iterator[Order]:
        for order in orders:
            self.orders.append(order)
            yield order

    def _suffer(self, round: Round) -> None:
        """All strikes of one round, each in its time, and the calm after them."""
        told = ", ".join(f"{strike} for {strike.lasts_s:.1f} s" for strike in round.strikes)
        self._say(f"round {round.number}: {told}")
        dice = [random.Random(self._dice.random()) for _ in round.strikes]
        with ThreadPoolExecutor(len(round.strikes)) as hands:
            striking = [hands.submit(self._strike, *each) for each in zip(round.strikes, dice, strict=True)]
        ended = max(strike.result() for strike in striking)
        recovery = Recovery(seconds=self._recovered() - ended, round=f"round {round.number}: {told}")
        if self.longest is None or recovery.seconds > self.longest.seconds:
            self.longest = recovery
        if recovery.seconds > RECOVERY_S:
            self.findings.append(f"recovery took {recovery.seconds:.0f} s after {recovery.round}")
        self._say(f"round {round.number}: recovered in {recovery.seconds:.1f} s; {self.count()}")

    def _strike(self, strike: Strike, dice: random.Random) -> float:
        """When it was over: from then on banks recover, and a killed one has yet to start."""
        fault = self._arsenal.fault(strike, dice)
        never = threading.Event()
        never.wait(strike.after_s)
        fault.begin()
        try:
            self.tally.faults[strike.kind] += 1
            never.wait(strike.lasts_s)
        finally:
            ended = time.monotonic()
            fault.end()
        return ended

    def _recovered(self) -> float:
        """When nothing is in doubt any more that is so now. Customers pay on meanwhile."""
        waiting = {bank: eventually(partial(_in_doubt, bank), CALM_S) for bank in self._banks}

        def decided() -> None:
            for bank in self._banks:
                if waiting[bank]:
                    waiting[bank] &= _in_doubt(bank)
                assert not waiting[bank], f"{bank.slug} is in doubt of {sorted(waiting[bank])[:5]}"

        eventually(decided, CALM_S)
        return time.monotonic()

    def _lose(self, lost: Bank, go_home: Callable[[], None]) -> None:
        """One bank is killed and stays away, in the middle of its payments: the others do not wait for it."""
        lost.kill()
        died = time.monotonic()
        go_home()
        living = [bank for bank in self._banks if bank is not lost]

        def nobody_waits() -> None:
            for bank in living:
                check_nobodys_money_waits(bank, lost, self._town)

        eventually(nobody_waits, CALM_S)
        self.without_s = time.monotonic() - died
        if self.without_s > RECOVERY_S:
            self.findings.append(
                f"money waited for {lost.slug}, which stays away, for {self.without_s:.0f} s"
            )
        self._say(
            f"{lost.slug} is killed, and stays away: nobody's money waits for it after {self.without_s:.1f} s"
        )
        lost.restart()

    def _end(self) -> Ending:
        """Everybody comes to rest, and the books are held against what customers were told."""
        returning = [order for order in self.orders if not order.is_decided]
        decided = [order for order in self.orders if order.is_decided]
        returning += self._dice.sample(decided, min(RETURNING, len(decided)))
        self._check(lambda: reconcile(self._world.circle, self._town, self.orders, returning))
        self._check(self._world.circle.check_logs)
        self.count()
        audits: list[Json] = []
        for bank in self._banks:
            self._check(partial(_look_at, bank, audits))
        return Ending(
            in_doubt=sum(audit["payments"]["in_doubt"] for audit in audits),
            held=sum(audit["held"] for audit in audits),
            before=self._town.money,
            after=sum(audit["balances"]["customers"] for audit in audits),
            longest=self.longest,
            without_s=self.without_s,
            findings=tuple(self.findings),
        )

    def _check(self, check: Callable[[], object]) -> None:
        try:
            check()
        except Exception as error:
            self.findings.append(f"{type(error).__name__}: {error}"[:2_000])


def _look_at(bank: Bank, audits: list[Json]) -> None:
    audits.append(eventually(bank.audit))


def _in_doubt(bank: Bank) -> set[str]:
    return {doubt["id"] for doubt in bank.audit()["in_doubt"]}


def main(words: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(words)
    if asked.netns and INSIDE not in os.environ:
        if not allowed():
            out.print("Network namespaces are not allowed here. Without --netns proxies make the partitions.")
            return 2
        again = [sys.executable, "-m", "tests.system.chaos", *(sys.argv[1:] if words is None else words)]
        os.environ[INSIDE] = "yes"
        os.execvp("unshare", entered(again))  # Nothing of this process is left to come back to.
    seed: int = random.randrange(10**6) if asked.seed is None else asked.seed
    folder = Path(tempfile.mkdtemp(prefix="ciranda-chaos-"))
    began = time.monotonic()
    database = "PostgreSQL, two workers a bank" if asked.postgres else "SQLite"
    out.print(f"seed {seed}: {asked.banks} banks on {database}, {asked.minutes:g} minutes, in {folder}")

    def say(line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        out.print(f"{minutes:3}:{seconds:02}  {line}", soft_wrap=True)

    with ExitStack() as stack:
        server = stack.enter_context(postgresql()) if asked.postgres else None
        struck = stack.enter_context(
            world(
                folder / "banks",
                seed,
                banks=asked.banks,
                server=server,
                namespaces=not asked.no_namespaces,
                network=Namespaces() if asked.netns else None,
            )
        )
        chaos = Chaos(struck, seed, say, asked.customers)
        ending = chaos.run_for(asked.minutes)
        out.print()
        out.print(chaos.report(ending))
        out.print(f"seed {seed}")
    if ending.holds:
        shutil.rmtree(folder)
        return 0
    out.print(f"What the banks wrote and said is kept in {folder}", style="bold red")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument(
        "--seed", type=int, help="of everything that is left to chance; drawn, and told, if not given"
    )
    parser.add_argument("--banks", type=int, default=5, choices=range(3, len(SLUGS) + 1))
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="who pay at the same time")
    parser.add_argument(
        "--postgres", action="store_true", help="a PostgreSQL server, and two workers for each bank"
    )
    parser.add_argument(
        "--netns", action="store_true", help="partitions in network namespaces, not by proxies"
    )
    parser.add_argument("--no-namespaces", action="store_true", help="as where Linux does not allow any")
    return parser


if __name__ == "__main__":
    sys.exit(main())
