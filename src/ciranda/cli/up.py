"""`ciranda up`: all banks of a consortium as children of this one process, until it ends."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from ciranda.cli.child import Child, NotReady, all_ready, stop_all
from ciranda.cli.screen import CommandError, err, out, table
from ciranda.roster import Roster
from ciranda.settings import CONSORTIUM, load_consortium

Result = TypeVar("Result")


def up(dir: Annotated[Path, typer.Argument(help="The consortium's folder.", metavar="DIR")]) -> None:
    """Run all banks of a consortium until SIGTERM or Ctrl-C. What each says is in its folder's serve.log.

    Example: ciranda up ./consortium
    """
    roster = load_consortium(dir / CONSORTIUM)
    asyncio.run(until_ended(_up(dir, roster)))


async def _up(dir: Path, roster: Roster) -> None:
    children = [Child(member, dir) for member in roster.members.values()]
    try:
        for child in children:
            await child.start()
        await all_ready(children)
        out.print(addresses(children))
        out.print("\nAll banks are up. Press Ctrl-C to stop.")
        await asyncio.gather(*(_watch(child) for child in children))
    except NotReady as error:
        raise CommandError(str(error)) from error
    finally:
        await stop_all(children)
    raise CommandError("All banks have ended.")


async def _watch(child: Child) -> None:
    """Says so when a bank ends by itself; the others go on, as a consortium does."""
    code = await child.ended()
    err.print(f"{child.member.name} has ended ({code}). {child.last_words()}", style="red")


def addresses(children: list[Child]) -> Table:
    """A table of where the banks are."""
    shown = table("bank", "ISPB", "public", "peers", "process", right=("process",))
    for child in children:
        member = child.member
        shown.add_row(member.name, member.ispb, member.public_url, member.peer_url, str(child.pid))
    return shown


async def until_ended(work: Coroutine[Any, Any, Result]) -> Result | None:
    """Does the work. Told to end before it is done, by Ctrl-C, by SIGTERM or because its terminal is gone, lets it
    clean up, and returns None. Told twice, it does not wait for banks that take their time.
    """
    doing = asyncio.create_task(work)

    def end() -> None:
        out.print("\nStopping.")
        doing.cancel()

    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Ignored: we were started with nohup.
        ends.append(signal.SIGHUP)
    for what in ends:
        asyncio.get_running_loop().add_signal_handler(what, end)
    try:
        return await doing
    except asyncio.CancelledError:
        return None
