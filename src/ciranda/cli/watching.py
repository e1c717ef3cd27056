"""What `ciranda simulate` does: runs the seeds, shows how far it is, and tells what was found."""

import time
from pathlib import Path

from ciranda.cli.screen import CommandError, err, out, show_json, table
from ciranda.simulator.campaign import Tally, run
from ciranda.simulator.run import Result, shorten, simulate
from ciranda.simulator.scenario import BadScenario, Scenario, load, shipped

_LAST_LINES = 25
_PROGRESS_S = 1.0
_PROGRESS_PIPED_S = 20.0


def chosen(name: str, without: str | None, payments: int | None) -> Scenario:
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


def watch_one(scenario: Scenario, seed: int, transcript: Path | None) -> Tally:
    result = simulate(scenario, seed, keep_transcript=True)
    if transcript is not None:
        transcript.write_text(result.transcript)
    tally = Tally()
    tally.add(result)
    return tally


def watch(scenario: Scenario, seeds: range, jobs: int | None, *, quiet: bool) -> Tally:
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


def report(tally: Tally, scenario: Scenario, name: str, without: str | None, payments: int | None) -> None:
    minutes = tally.virtual_s / 60
    length = f"{minutes / 60:,.1f} hours" if minutes >= 60 else f"{minutes:.1f} minutes"
    out.print(
        f"Scenario {scenario.name}: {tally.seeds:,} seed{'s' * (tally.seeds > 1)}, {length} of virtual time."
    )
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
    out.print(f"Payments: {tally.orders:,}" + (f" ({told})." if told else "."))
    if tally.faults:
        faults = table("fault", "struck", right=("struck",))
        for fault, count in sorted(tally.faults.items()):
            faults.add_row(fault, f"{count:,}")
        out.print(faults)
    if not tally.failed:
        out.print("No violation.", style="green")
        return
    failed = min(tally.failed, key=lambda result: result.seed)
    _show_failure(failed, name, scenario, without, payments)


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


def show_as_json(tally: Tally) -> None:
    figures = {
        "seeds": tally.seeds,
        "payments": tally.orders,
        "virtual_seconds": round(tally.virtual_s, 3),
        "outcomes": dict(sorted(tally.outcomes.items())),
        "faults": dict(sorted(tally.faults.items())),
        "violations": [
            {"seed": result.seed, "checker": result.checker, "what": result.what} for result in tally.failed
        ],
    }
    show_json(figures)


def show_scenarios() -> None:
    listed = table("scenario", "about")
    for name in shipped():
        listed.add_row(name, load(name).about)
    out.print(listed)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]
