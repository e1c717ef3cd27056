"""`ciranda up`: all banks of a consortium as children of this one process, until it ends."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ciranda.cli.child import Child, NotReady, stop_all
from ciranda.cli.screen import CommandError, err, out, table
from ciranda.roster import Roster
from ciranda.settings import CONSORTIUM, load_consortium


def up(dir: Annotated[Path, typer.Argument(help="The consortium's folder.", metavar="DIR")]) -> None:
    """Run all banks of a consortium until SIGTERM or Ctrl-C. What each says is in its folder's serve.log.

    Example: ciranda up ./consortium
    """
    roster = load_consortium(dir / CONSORTIUM)
    raise typer.Exit(asyncio.run(_up(dir, roster)))


async def _up(dir: Path, roster: Roster) -> int:
    told_to_end = asyncio.Event()
    on_end(told_to_end.set)
    children = [Child(member, dir) for member in roster.members.values()]
    try:
        for child in children:
            await child.start()
        if not await _unless(told_to_end, asyncio.gather(*(child.ready() for child in children))):
            return 0
        out.print(addresses(children))
        out.print("\nAll banks are up. Press Ctrl-C to stop.")
        watching = asyncio.gather(*(_watch(child) for child in children))
        if await _unless(told_to_end, watching):
            raise CommandError("All banks have ended.")
        out.print("Stopping.")
        return 0
    except NotReady as error:
        raise CommandError(str(error)) from error
    finally:
        await stop_all(children)


def addresses(children: list[Child]) -> Table:
    """A table of where the banks are."""
    shown = table("bank", "ISPB", "public", "peers", "process", right=("process",))
    for child in children:
        member = child.member
        shown.add_row(member.name, member.ispb, member.public_url, member.peer_url, str(child.pid))
    return shown


def on_end(react: Callable[[], None]) -> None:
    """Calls `react` when this process is told to end: by Ctrl-C, by SIGTERM, or because its terminal is gone."""
    loop = asyncio.get_running_loop()
    for what in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(what, react)


async def _watch(child: Child) -> None:
    """Says so when a bank ends by itself; the others go on, as a consortium does."""
    code = await child.ended()
    err.print(f"{child.member.name} has ended ({code}). {child.last_words()}", style="red")


async def _unless(told_to_end: asyncio.Event, work: asyncio.Future[list[None]]) -> bool:
    """Waits for the work, or until we are told to end; whether the work was done. What it raises, this raises."""
    ending = asyncio.ensure_future(told_to_end.wait())
    both: set[asyncio.Future[Any]] = {ending, work}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work
            return True
        return False
    finally:
        ending.cancel()
        work.cancel()
