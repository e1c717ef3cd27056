"""The storm that `ciranda demo --chaos` shows: banks are killed and stand still while they are paid through.

It only does to banks what happens to machines, and shows only what they answer. (The tests have worse: partitions, bad
lines, full disks, wrong clocks.)
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ciranda.cli.child import Child
from ciranda.cli.crowd import Crowd
from ciranda.cli.nemesis import Kind, Strike, rounds
from ciranda.cli.screen import out, table
from ciranda.cli.story import chapter, step
from ciranda.cli.tally import RECOVERY_S, Ending, Recovery, Tally
from ciranda.client import Audit, BankClient
from ciranda.settings import OPERATOR_TOKEN, read_operator_token

KILLED = Kind("kill -9", "some", 5.0)
PAUSED = Kind("kill -STOP", "some", 8.0)
"""Longer than the banks wait for each other."""
REST_S = 4 * RECOVERY_S
LOOK_S = 0.25


class Storm:
    def __init__(self, folder: Path, children: Sequence[Child], seed: int, minutes: float) -> None:
        self.tally = Tally()
        self._folder = folder
        self._children = children
        self._seed = seed
        self._seconds = 60 * minutes
        self._stack = AsyncExitStack()
        self._operators: list[BankClient] = []
        self._states = {child.member.slug: Text("up", style="green") for child in children}
        self._began = 0.0
        self._longest: Recovery | None = None
        self._findings: list[str] = []

    async def __aenter__(self) -> Self:
        for child in self._children:
            token = read_operator_token(self._folder / child.member.slug / OPERATOR_TOKEN)
            client = BankClient(child.member.public_url, token)
            self._operators.append(await self._stack.enter_async_context(client))
        self._crowd = Crowd(self._children, self._operators, self.tally)
        self._stack.push_async_callback(self._crowd.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def rage(self) -> Ending:
        """Until the time is up, all banks are up again, and every customer knows the end of each payment."""
        chapter("Customers", "They sign up at every bank, and bring cash to every teller.")
        with out.status("The customers are coming"):
            await self._crowd.settle_in()
        before = sum(audit.balances.customers for audit in await self._audits())
        chapter(
            "The storm",
            "They pay each other without a pause, out of several banks at once, and whoever gets no answer asks again under "
            "the same key. Meanwhile banks are killed, and stand still for longer than the others wait. "
            f"(seed {self._seed})",
        )
        self._began = time.monotonic()
        with Live(get_renderable=self._scene, console=out, refresh_per_second=4, transient=True):
            await self._all_at_once()
            await self._until(self._at_rest)
        audits = await self._audits()
        return Ending(
            in_doubt=sum(audit.payments.in_doubt for audit in audits),
            held=sum(audit.held for audit in audits),
            before=before,
            after=sum(audit.balances.customers for audit in audits),
            longest=self._longest,
            findings=tuple(self._findings),
        )

    async def _all_at_once(self) -> None:
        """The customers pay for as long as the storm lasts. What goes wrong first ends both, and is raised."""
        storm = asyncio.create_task(self._strike_in_rounds())
        crowd = asyncio.create_task(self._crowd.pay(random.Random(self._seed), lambda: not storm.done()))
        try:
            await asyncio.gather(storm, crowd)
        finally:
            for task in (storm, crowd):
                task.cancel()
            await asyncio.gather(storm, crowd, return_exceptions=True)

    async def _strike_in_rounds(self) -> None:
        slugs = [child.member.slug for child in self._children]
        for round in rounds(self._seed, [KILLED, PAUSED], slugs):
            if time.monotonic() - self._began > self._seconds:
                return
            ended = max(await asyncio.gather(*(self._strike(strike) for strike in round.strikes)))
            doubts = [_ids(audit) for audit in await self._audits()]
            await self._until(partial(self._have_left, doubts))
            struck = ", ".join(f"{strike.kind} {self._names(strike)}" for strike in round.strikes)
            recovery = Recovery(seconds=time.monotonic() - ended, round=struck)
            self._tell("all decided", f"{recovery.seconds:.1f} s later; {self.tally}")
            if self._longest is None or recovery.seconds > self._longest.seconds:
                self._longest = recovery
            if recovery.seconds > RECOVERY_S:
                self._findings.append(f"recovery took {recovery.seconds:.0f} s after {recovery.round}")

    async def _strike(self, strike: Strike) -> float:
        """When it was over: from then on banks recover, and a killed one has yet to start."""
        victims = [child for child in self._children if child.member.slug in strike.victims]
        names = self._names(strike)
        await asyncio.sleep(strike.after_s)
        self.tally.faults[strike.kind] += 1
        self._tell(strike.kind, names, style="bold red")
        if strike.kind == KILLED.name:
            await asyncio.gather(*(child.kill() for child in victims))
            self._show(victims, Text("killed", style="bold red"))
            await asyncio.sleep(strike.lasts_s)
            self._show(victims, Text("starting", style="yellow"))
            ended = time.monotonic()
            for child in victims:
                await child.start()
            await asyncio.gather(*(child.ready() for child in victims))
            self._tell(
                "back", f"{names}, ready {time.monotonic() - ended:.1f} s after the start", style="bold green"
            )
        else:
            for child in victims:
                child.pause()
            self._show(victims, Text("stands still", style="bold yellow"))
            await asyncio.sleep(strike.lasts_s)
            ended = time.monotonic()
            for child in victims:
                child.resume()
            self._tell("kill -CONT", names, style="bold green")
        self._show(victims, Text("up", style="green"))
        return ended

    # What the banks are asked.

    async def _audits(self) -> list[Audit]:
        return await asyncio.gather(*(operator.audit() for operator in self._operators))

    async def _have_left(self, doubts: list[set[str]]) -> bool:
        """Whether no bank is in doubt any more of what it was in doubt of then."""
        now = [_ids(audit) for audit in await self._audits()]
        return not any(before & present for before, present in zip(doubts, now, strict=True))

    async def _at_rest(self) -> bool:
        return all(audit.payments.in_doubt == audit.held == 0 for audit in await self._audits())

    async def _until(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Until it is so, or has not been for so long that the report has to say it."""
        patience_ends = time.monotonic() + REST_S
        so = await check()
        while not so and time.monotonic() < patience_ends:
            await asyncio.sleep(LOOK_S)
            so = await check()

    # How it is shown.

    def _tell(self, what: str, whom: str, style: str = "") -> None:
        step((f"{self._clock()}  ", "dim"), (f"{what:<12}", style), whom)

    def _names(self, strike: Strike) -> str:
        return ", ".join(child.member.name for child in self._children if child.member.slug in strike.victims)

    def _show(self, victims: Sequence[Child], state: Text) -> None:
        for child in victims:
            self._states[child.member.slug] = state

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes:2}:{seconds:02}"

    def _scene(self) -> RenderableType:
        """The banks as they are now, and what customers have been told."""
        shown = table("   ", "bank", "process", "", right=("process",))
        for child in self._children:
            pid = str(child.pid) if child.running else "–"
            shown.add_row("", child.member.name, pid, self._states[child.member.slug])
        again = self._crowd.asking_again
        counts = Text.assemble(
            (f"   {self._clock()}  ", "dim"),
            str(self.tally),
            (f" · {again} asked for again" if again else "", "yellow"),
        )
        return Group(Text(), shown, Text(), counts)


def _ids(audit: Audit) -> set[str]:
    return {doubt.id for doubt in audit.in_doubt}
