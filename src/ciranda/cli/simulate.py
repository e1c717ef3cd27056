"""`ciranda simulate`: many whole banks in one process, under faults, with every rule of the protocol watched."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ciranda.cli.screen import CommandError, JsonOption, err, out, show_json, table
from ciranda.simulator.campaign import Tally, run
from ciranda.simulator.run import Result, shorten
from ciranda.simulator.run import simulate as simulate_one
from ciranda.simulator.scenario import EVERYTHING, BadScenario, Scenario, load, shipped

_LAST_LINES = 25
_PROGRESS_S = 1.0
_PROGRESS_PIPED_S = 20.0


def simulate(
    scenario: Annotated[
        str, typer.Option("--scenario", "-s", help="One that comes with Ciranda, or a TOML file.")
    ] = EVERYTHING,
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
    if list_scenarios:
        _list()
        return
    if transcript is not None and seed is None:
        raise CommandError("--transcript is of one seed: name it with --seed")
    chosen = _chosen(scenario, without, payments)
    if seed is not None:
        result = simulate_one(chosen, seed, keep_transcript=True)
        if transcript is not None:
            transcript.write_text(result.transcript)
        tally = Tally()
        tally.add(result)
    else:
        tally = _many(chosen, range(first, first + seeds), jobs, quiet=as_json)
    if as_json:
        show_json(_as_json(tally))
    else:
        _report(tally, chosen)
        if tally.failed:
            _show_failure(
                min(tally.failed, key=lambda result: result.seed), scenario, chosen, without, payments
            )
    if tally.failed:
        raise typer.Exit(1)


def _chosen(name: str, without: str | None, payments: int | None) -> Scenario:
    try:
        scenario = load(name)
    except BadScenario as error:
        raise CommandError(str(error)) from error
    left_out = _words(without)
    unknown = sorted(set(left_out) - {fault.name for fault in scenario.faults})
    if unknown:
        raise CommandError(f"the scenario {scenario.name} has no fault {', '.join(unknown)}")
    scenario = scenario.without(left_out)
    return scenario if payments is None else scenario.with_payments(payments)


def _many(scenario: Scenario, seeds: range, jobs: int | None, *, quiet: bool) -> Tally:
    tally = Tally()
    begun = shown = time.monotonic()
    every = _PROGRESS_S if err.is_terminal else _PROGRESS_PIPED_S
    for result in run(scenario, seeds, jobs):
        tally.add(result)
        now = time.monotonic()
        if not quiet and (now - shown >= every or result.checker is not None):
            shown = now
            line = (
                f"{tally.seeds:,} of {len(seeds):,} seeds, {tally.orders:,} payments, "
                f"{len(tally.failed)} violations, {now - begun:.0f} s"
            )
            err.print(line, end="\r" if err.is_terminal else "\n", style="dim")
        if tally.failed:
            break
    if err.is_terminal and not quiet:
        err.print(" " * 79, end="\r")
    return tally


def _report(tally: Tally, scenario: Scenario) -> None:
    minutes = tally.virtual_s / 60
    length = f"{minutes / 60:,.1f} hours" if minutes >= 60 else f"{minutes:.1f} minutes"
    out.print(
        f"Scenario {scenario.name}: {tally.seeds:,} seed{'s' * (tally.seeds > 1)}, {length} of virtual time."
    )
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
    out.print(f"Payments: {tally.orders:,}" + (f" ({told})." if told else "."))
    if tally.faults:
        faults = table("fault", "struck", right=("struck",))
        for name, count in sorted(tally.faults.items()):
            faults.add_row(name, f"{count:,}")
        out.print(faults)
    if not tally.failed:
        out.print("No violation.", style="green")


def _show_failure(
    failed: Result, name: str, scenario: Scenario, without: str | None, payments: int | None
) -> None:
    err.print(f"\nSeed {failed.seed} violates “{failed.checker}”: {failed.what}", style="red")
    err.print("Looking for the shortest command that repeats it …", style="dim")
    least, left_out, result = shorten(scenario, failed)
    words = ["ciranda simulate", f"--scenario {name}", f"--seed {failed.seed}"]
    dropped = [*_words(without), *left_out]
    if dropped:
        words.append(f"--without {','.join(sorted(set(dropped)))}")
    if least.storm.payments != scenario.storm.payments or payments is not None:
        words.append(f"--payments {least.storm.payments}")
    file = Path(f"simulate-{scenario.name.replace(' ', '-')}-{failed.seed}.txt")
    file.write_text(result.transcript)
    err.print(f"\nIt ended so (the whole transcript: {file}):\n")
    for line in result.transcript.splitlines()[-_LAST_LINES:]:
        err.print(f"  {line}")
    err.print("\nAgain: " + " ".join(words), style="bold")


def _as_json(tally: Tally) -> dict[str, object]:
    return {
        "seeds": tally.seeds,
        "payments": tally.orders,
        "virtual_seconds": round(tally.virtual_s, 3),
        "outcomes": dict(sorted(tally.outcomes.items())),
        "faults": dict(sorted(tally.faults.items())),
        "violations": [
            {"seed": result.seed, "checker": result.checker, "what": result.what} for result in tally.failed
        ],
    }


def _list() -> None:
    listed = table("scenario", "about")
    for name in shipped():
        listed.add_row(name, load(name).about)
    out.print(listed)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]
