"""`ciranda serve`: one bank, in the foreground, until it is told to end."""

from pathlib import Path
from typing import Annotated

import typer

from ciranda.cli.screen import CommandError


def serve(
    bank_toml: Annotated[Path, typer.Argument(help="The bank's settings.", metavar="BANK_TOML")],
    workers: Annotated[
        int, typer.Option("--workers", help="Processes; more than one needs PostgreSQL.", min=1, max=64)
    ] = 1,
) -> None:
    """Run one bank until SIGTERM or Ctrl-C, which let it finish what it has begun.

    Example: ciranda serve ./consortium/ipe/bank.toml
    """
    # The whole bank is heavy to import, and other commands do without it.
    from ciranda import assembly, storage
    from ciranda.ports import Unavailable

    try:
        assembly.serve(bank_toml, workers)
    except (assembly.CannotServe, storage.DatabaseTaken, storage.SchemaMismatch, Unavailable) as error:
        raise CommandError(f"{bank_toml}: {error}.") from error
