"""`ciranda demo`: a consortium of four banks on this machine, and what a newcomer wants to see it do.

The banks are real: processes with databases and keys of their own, in a folder that goes when the demo ends, unless it
was named. However the demo ends, they end with it.
"""

import asyncio
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from ciranda.cli.audit import examine, told
from ciranda.cli.child import Child, NotReady, stop_all
from ciranda.cli.init import BASE_PORT, PEER_OFFSET, found
from ciranda.cli.screen import CommandError, err, out
from ciranda.cli.story import MARIA, PASSWORD, Story, StoryBroken, chapter
from ciranda.cli.up import until_ended
from ciranda.client import BankAway, ProblemError
from ciranda.roster import Roster
from ciranda.settings import OPERATOR_TOKEN

BANKS = 4
INTERRUPTED = 130


def demo(
    dir: Annotated[
        Path | None,
        typer.Option("--dir", help="Keep the consortium in this new folder.", show_default="a temporary one"),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End after the audit, with its exit code, instead of staying up.")
    ] = False,
) -> None:
    """See it work: four banks, customers, a payment out of three banks, a bank killed in the middle, the audit.

    Example: ciranda demo

    Example: ciranda demo --dir ./consortium --once
    """
    code = asyncio.run(until_ended(_tell(dir, once)))
    if code is None:
        # Whoever asked for one run from end to end, a script say, did not get it.
        code = INTERRUPTED if once else 0
    raise typer.Exit(code)


async def _tell(dir: Path | None, once: bool) -> int:
    """The whole demo; the exit code of its audit."""
    with ExitStack() as stack:
        folder = dir or stack.enter_context(_temporary_folder())
        out.print(_welcome())
        roster = found(folder, banks=BANKS, base_port=free_base_port(), database=None)
        children = [Child(member, folder) for member in roster.members.values()]
        try:
            async with Story(folder, children, roster.currency) as story:
                await story.tell()
            chapter(
                "The audit", "Every bank is asked for its books, and they are checked against each other."
            )
            report = await examine(folder, roster)
            out.print(told(report, roster))
            if not once:
                _where_to_look(roster, folder)
                await asyncio.Event().wait()
            return report.code
        except (NotReady, StoryBroken, ProblemError, BankAway) as error:
            err.print(f"\nThe demo cannot go on: {error}", style="red")
            for child in children:
                err.print(child.last_words(), style="dim")
            return 1
        finally:
            await stop_all(children)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ciranda-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_base_port() -> int:
    """A base port with which nothing else listens where the banks will: the usual one, if it can be."""
    # Below the ports that the system gives to outgoing connections, which could take one before a bank does.
    for base in (BASE_PORT, *(random.randrange(10_000, 30_000, 200) for _ in range(100))):
        if all(
            _is_free(base + offset + number) for offset in (0, PEER_OFFSET) for number in range(1, BANKS + 1)
        ):
            return base
    raise CommandError("No free ports for four banks were found on this machine.")


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
