"""`ciranda simulate`: many whole banks in one process, under faults, with every rule of the protocol watched."""

from pathlib import Path
from typing import Annotated

import typer

from ciranda.cli.screen import CommandError, JsonOption


def simulate(
    scenario: Annotated[
        str, typer.Option("--scenario", "-s", help="One that comes with Ciranda, or a TOML file.")
    ] = "everything",
    seeds: Annotated[int, typer.Option("--seeds", "-n", min=1, help="How many seeds to run.")] = 100,
    first: Annotated[int, typer.Option("--first", min=0, help="The first of them.")] = 1,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Only this seed.", show_default=False)
    ] = None,
    without: Annotated[
        str | None,
        typer.Option("--without", metavar="FAULT,…", help="Leave these faults out.", show_default=False),
    ] = None,
    payments: Annotated[
        int | None,
        typer.Option(
            "--payments",
            min=1,
            help="So many payments a seed, instead of the scenario's.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, help="Processes. Default: one for each processor.", show_default=False
        ),
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option("--transcript", help="With --seed: write down all that happened.", show_default=False),
    ] = None,
    list_scenarios: Annotated[
        bool, typer.Option("--list", help="Show the scenarios that come with Ciranda.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Runs whole consortia under faults, one for each seed, and watches that nothing is lost and nobody waits for ever.

    The same seed does the same, to the letter. The first failure is shown with the shortest command that repeats it.

    Example: ciranda simulate --seeds 1000
    """
    # Whole banks are heavy to import, and other commands do without them.
    from ciranda.cli import watching

    if list_scenarios:
        watching.show_scenarios()
        return
    if transcript is not None and seed is None:
        raise CommandError("--transcript is of one seed: name it with --seed")
    chosen = watching.chosen(scenario, without, payments)
    if seed is not None:
        tally = watching.watch_one(chosen, seed, transcript)
    else:
        tally = watching.watch(chosen, range(first, first + seeds), jobs, quiet=as_json)
    if as_json:
        watching.show_as_json(tally)
    else:
        watching.report(tally, chosen, scenario, without, payments)
    if tally.failed:
        raise typer.Exit(1)
