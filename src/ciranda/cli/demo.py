"""`ciranda demo`: a consortium of banks on this machine, and what a newcomer wants to see it do: a story with four of
them, or with `--chaos` a storm over five.

The banks are real: processes with databases and keys of their own, in a folder that goes when the demo ends, unless it
was named. However the demo ends, they end with it.
"""

import asyncio
import random
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.panel import Panel
from rich.text import Text

from ciranda.cli.audit import examine, told
from ciranda.cli.child import Child, NotReady, stop_all
from ciranda.cli.init import BASE_PORT, PEER_OFFSET, found
from ciranda.cli.screen import CommandError, err, out
from ciranda.cli.storm import Storm
from ciranda.cli.story import EACH_ITS_OWN, MARIA, PASSWORD, Story, StoryBroken, bring_up, chapter
from ciranda.cli.tally import report
from ciranda.cli.up import until_ended
from ciranda.client import BankAway, ProblemError
from ciranda.roster import Roster
from ciranda.settings import OPERATOR_TOKEN

BANKS = 4
BANKS_IN_CHAOS = 5
INTERRUPTED = 130


def demo(
    dir: Annotated[
        Path | None,
        typer.Option("--dir", help="Keep the consortium in this new folder.", show_default="a temporary one"),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End after the audit, with its exit code, instead of staying up.")
    ] = False,
    chaos: Annotated[
        bool,
        typer.Option(
            "--chaos", help="Five banks that are killed and stand still while they are paid through."
        ),
    ] = False,
    minutes: Annotated[
        float, typer.Option("--minutes", help="How long the chaos lasts.", min=0.1, max=1_000_000)
    ] = 1.0,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", help="The same seed strikes in the same way.", show_default="drawn, and shown"
        ),
    ] = None,
) -> None:
    """See it work: four banks, customers, a payment out of three banks, a bank killed in the middle, the audit.

    With --chaos: five banks that are killed and stand still for as long as you say while customers pay through them;
    then the audit, and the sum of all money before and after.

    Example: ciranda demo

    Example: ciranda demo --dir ./consortium --once

    Example: ciranda demo --chaos --minutes 5
    """
    if chaos:
        drawn = random.randrange(1_000_000) if seed is None else seed
        code = asyncio.run(until_ended(_in(dir, BANKS_IN_CHAOS, lambda banks: _storm(banks, drawn, minutes))))
    else:
        code = asyncio.run(until_ended(_in(dir, BANKS, lambda banks: _story(banks, once))))
    if code is None:
        # Whoever asked for one run from end to end, a script say, did not get it.
        code = INTERRUPTED if once or chaos else 0
    raise typer.Exit(code)


class Banks(NamedTuple):
    folder: Path
    roster: Roster
    children: list[Child]


async def _in(dir: Path | None, count: int, show: Callable[[Banks], Awaitable[int]]) -> int:
    """Shows something of banks that are there for it alone; its exit code."""
    with ExitStack() as stack:
        folder = dir or stack.enter_context(_temporary_folder())
        out.print(_welcome())
        roster = found(folder, banks=count, base_port=free_base_port(count), database=None)
        banks = Banks(folder, roster, [Child(member, folder) for member in roster.members.values()])
        try:
            return await show(banks)
        except (NotReady, StoryBroken, ProblemError, BankAway) as error:
            err.print(f"\nThe demo cannot go on: {error}", style="red")
            for child in banks.children:
                err.print(child.last_words(), style="dim")
            return 1
        finally:
            await stop_all(banks.children)


async def _story(banks: Banks, once: bool) -> int:
    async with Story(banks.folder, banks.children, banks.roster.currency) as story:
        await story.tell()
    code = await _audit(banks)
    if not once:
        _where_to_look(banks.roster, banks.folder)
        await asyncio.Event().wait()
    return code


async def _storm(banks: Banks, seed: int, minutes: float) -> int:
    chapter("Five banks", EACH_ITS_OWN)
    await bring_up(banks.children)
    async with Storm(banks.folder, banks.children, seed, minutes) as storm:
        ending = await storm.rage()
    code = await _audit(banks)
    chapter("The storm is over", "What customers were told, what struck, and what is left of it.")
    out.print(report(storm.tally, ending, banks.roster.currency))
    return code if ending.holds else 1


async def _audit(banks: Banks) -> int:
    chapter("The audit", "Every bank is asked for its books, and they are checked against each other.")
    examined = await examine(banks.folder, banks.roster)
    out.print(told(examined, banks.roster))
    return examined.code


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ciranda-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_base_port(banks: int = BANKS, *, usual: tuple[int, ...] = (BASE_PORT,)) -> int:
    """A base port with which nothing else listens where the banks will: the usual one, if it can be."""
    # Below the ports that the system gives to outgoing connections, which could take one before a bank does.
    for base in (*usual, *(random.randrange(10_000, 30_000, 200) for _ in range(100))):
        if all(
            _is_free(base + offset + number) for offset in (0, PEER_OFFSET) for number in range(1, banks + 1)
        ):
            return base
    raise CommandError("No free ports for the banks were found on this machine.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _welcome() -> Panel:
    return Panel(
        Text.assemble(
            ("Ciranda", "bold"),
            " · instant payments between banks, with no bank in the middle.\n",
            "Everything below is really happening, on this machine, as you read it.",
        ),
        border_style="cyan",
    )


def _where_to_look(roster: Roster, folder: Path) -> None:
    jatoba = list(roster.members.values())[1]
    chapter("Look around", "The banks stay up. Everything can be tried in another terminal.")
    _look(
        "The API, to read and to try", *(f"{m.name:<8} {m.public_url}/docs" for m in roster.members.values())
    )
    _look(
        f"As {MARIA.name}, a customer; her password: {PASSWORD}",
        f"export CIRANDA_CONSORTIUM={folder}",
        f"ciranda login --bank {jatoba.slug} --document {MARIA.document}",
        "ciranda accounts",
    )
    _look(
        "As a program",
        f"curl -s {jatoba.public_url}/v1/sessions -H 'content-type: application/json' \\",
        f'  -d \'{{"document": "{MARIA.document}", "password": "{PASSWORD}"}}\'',
    )
    _look(
        f"As the operator; the token is in {folder / jatoba.slug / OPERATOR_TOKEN}",
        f"ciranda audit {folder}",
    )
    out.print("Press Ctrl-C to stop", style="bold")


def _look(title: str, *lines: str) -> None:
    out.print(title, style="bold", soft_wrap=True)
    for line in lines:
        out.print(f"  {line}", soft_wrap=True)
    out.print()
