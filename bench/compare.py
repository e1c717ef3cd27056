"""Ciranda and its peers, one after the other in each round, so that a noisy machine hits all alike; and the ratios.

    python -m bench.compare [--seconds 10] [--runs 3] [--connections 64] [--accounts 100000] [--only NAME …] [--json FILE]

All are started before the first round, on one machine and with durable commits. In a round each is loaded by itself, by
a closed loop; its money is summed before and after. A ratio is taken within each round; the median of them is shown.
"""

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from bench.ours import two_banks
from bench.peers.echo_asgi.peer import PEER as ECHO_ASGI
from bench.peers.echo_litestar.peer import PEER as ECHO_LITESTAR
from bench.peers.peers import Running, Site
from bench.peers.pgbench.tpcb import Missing, Pgbench
from bench.peers.textbook.peer import PEER as TEXTBOOK
from bench.peers.xa.peer import PEER as XA
from ciranda.bench.conditions import Conditions, conditions
from ciranda.bench.load import Load, closed_loop

PEERS = (ECHO_ASGI, ECHO_LITESTAR, XA, TEXTBOOK)
PGBENCH = "pgbench"
OURS = {
    "SQLite": ("inside, SQLite", "between, SQLite"),
    "PostgreSQL": ("inside, PostgreSQL", "between, PostgreSQL"),
}
NAMES = (*(peer.name for peer in PEERS), PGBENCH, *OURS["SQLite"], *OURS["PostgreSQL"])

RATIOS: tuple[tuple[str, str, float | None], ...] = (
    ("inside, SQLite", "echo_litestar", 0.45),
    ("inside, PostgreSQL", "echo_litestar", 0.45),
    ("inside, SQLite", "echo_asgi", None),
    ("inside, PostgreSQL", "echo_asgi", None),
    ("inside, PostgreSQL", PGBENCH, None),
    ("between, SQLite", "xa", 4),
    ("between, PostgreSQL", "xa", 4),
    ("between, SQLite", "textbook", 40),
    ("between, PostgreSQL", "textbook", 40),
    ("between, SQLite", "echo_litestar", None),
    ("between, SQLite", "echo_asgi", None),
)
"""Whose rate is divided by whose, and what is aimed at."""

WARM_UP_S = 1.0
_numbers = itertools.count(step=10**8)
"""Where each run begins to number its payments: no two share a number, and so no idempotency key."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One run, or the medians of several."""

    rate: float
    """Payments per second."""
    p50_ms: float | None = None
    """None where it is not told, as p99_ms."""
    p99_ms: float | None = None
    cpu_us: float
    """CPU time per payment of all processes that serve it."""
    load_us: float
    """CPU time per payment of who asks for it."""
    not_settled: int = 0
    """Requests that had another answer, or none. They are not in the rate."""


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    ours: str
    theirs: str
    median: float
    lowest: float
    highest: float
    by_cpu: float
    """The same of payments for each second of CPU time: what other work the machine does disturbs it less."""
    target: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    conditions: dict[str, str]
    runs: dict[str, list[Figures]]
    ratios: list[Ratio]
    missing: list[str]
    """What could not be measured, and why."""


Run = Callable[[], Figures]


def compare(
    *,
    seconds: float,
    runs: int,
    connections: int,
    accounts: int,
    only: Sequence[str] = NAMES,
    tell: Callable[[str], None],
) -> Comparison:
    """`tell` is told of the progress. Raises AssertionError if one of them lost or made money, or settled nothing."""
    with ExitStack() as ending:
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="ciranda-compare-")))
        site = Site(folder, accounts, ending)
        before = _told(conditions(folder, None))
        missing: list[str] = []
        lined_up: dict[str, Run] = {}
        for name, run in _line_up(site, ending, only, connections, seconds, missing):
            tell(f"{name} is ready")
            lined_up[name] = run
        done: dict[str, list[Figures]] = {name: [] for name in lined_up}
        for round in range(runs):
            for name, run in lined_up.items():
                site.settle()
                figures = run()
                done[name].append(figures)
                tell(f"round {round + 1} of {runs}: {name} {figures.rate:,.0f}/s")
        return Comparison(
            conditions={
                **before,
                **site.conditions(),
                "load": f"{runs} runs of {seconds:g} s each, {connections} connections, one transfer a request",
                "accounts": f"{accounts:,} in each bank",
            },
            runs=done,
            ratios=ratios(done),
            missing=missing,
        )


def _line_up(
    site: Site, ending: ExitStack, only: Sequence[str], connections: int, seconds: float, missing: list[str]
) -> Iterator[tuple[str, Run]]:
    """Starts those that are wanted, one by one."""

    def loaded(running: Running) -> Run:
        return partial(run, running, connections, seconds)

    for peer in PEERS:
        if peer.name in only:
            yield peer.name, loaded(ending.enter_context(peer.start(site)))
    if PGBENCH in only:
        try:
            pgbench = Pgbench(site.postgresql, scale=connections)
        except Missing as error:
            missing.append(str(error))
        else:
            yield PGBENCH, partial(run_pgbench, pgbench, site.postgresql.pid, connections, seconds)
    for database, names in OURS.items():
        if set(names) & set(only):
            banks = ending.enter_context(two_banks(site, database))
            yield from ((name, loaded(running)) for name, running in banks.items() if name in only)


def run(running: Running, connections: int, seconds: float) -> Figures:
    def load(seconds: float) -> Load:
        first = next(_numbers)

        def request(number: int) -> bytes:
            return running.request(first + number)

        return uvloop.run(
            closed_loop(running.addresses, request, connections=connections, seconds=seconds, warm_up=0)
        )

    money = running.money()
    load(min(seconds, WARM_UP_S))
    before = cpu_s(running.pids)
    done = load(seconds)
    cpu = cpu_s(running.pids) - before
    assert running.money() == money, "money was made or lost"
    payments = done.done_count
    assert payments, f"nothing was settled: {dict(done.counts)}"
    return Figures(
        rate=done.rate,
        p50_ms=done.p50,
        p99_ms=done.p99,
        cpu_us=cpu / payments * 1e6,
        load_us=done.cpu_seconds / payments * 1e6,
        not_settled=sum(done.counts.values()) - payments,
    )


def run_pgbench(pgbench: Pgbench, server: int, connections: int, seconds: float) -> Figures:
    """`server`: the pid of its PostgreSQL."""
    before = cpu_s([server])
    done = pgbench.measure(connections, seconds)
    cpu = cpu_s([server]) - before
    pgbench.check()
    return Figures(
        rate=done.rate,
        cpu_us=cpu / done.transactions * 1e6,
        load_us=done.own_cpu_s / done.transactions * 1e6,
    )


def cpu_s(pids: Sequence[int]) -> float:
    """CPU time of these processes and of all that they started, also of those that have ended."""
    parents = [psutil.Process(pid) for pid in pids]
    children = {child for parent in parents for child in parent.children(recursive=True)}
    total = 0.0
    # A child that ends while we look is counted with its parent, which therefore comes later.
    for process in (*children.difference(parents), *parents):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def ratios(done: Mapping[str, Sequence[Figures]]) -> list[Ratio]:
    """Those of which both sides were measured."""
    made = []
    for ours, theirs, target in RATIOS:
        if ours in done and theirs in done:
            rounds = list(zip(done[ours], done[theirs], strict=True))
            each = [mine.rate / other.rate for mine, other in rounds]
            made.append(
                Ratio(
                    ours=ours,
                    theirs=theirs,
                    median=statistics.median(each),
                    lowest=min(each),
                    highest=max(each),
                    by_cpu=statistics.median(other.cpu_us / mine.cpu_us for mine, other in rounds),
                    target=target,
                )
            )
    return made


def medians(runs: Sequence[Figures]) -> Figures:
    def of(figure: str) -> Any:
        told = [value for value in (getattr(run, figure) for run in runs) if value is not None]
        return statistics.median(told) if told else None

    return Figures(**{figure: of(figure) for figure in Figures.__struct_fields__})


def _told(conditions: Conditions) -> dict[str, str]:
    return {name: str(value) for name, value in msgspec.structs.asdict(conditions).items()}


def show(comparison: Comparison, console: Console) -> None:
    for name, words in comparison.conditions.items():
        console.print(f"{name}: {words}")
    figures = _table(
        "", "payments/s", "lowest", "highest", "p50 ms", "p99 ms", "CPU µs", "load µs", "not settled"
    )
    for name, runs in comparison.runs.items():
        rates = [run.rate for run in runs]
        middle = medians(runs)
        figures.add_row(
            name,
            *(f"{rate:,.0f}" for rate in (middle.rate, min(rates), max(rates))),
            *("" if told is None else f"{told:,.1f}" for told in (middle.p50_ms, middle.p99_ms)),
            *(f"{cpu:,.0f}" for cpu in (middle.cpu_us, middle.load_us)),
            f"{sum(run.not_settled for run in runs):,}",
        )
    console.print(figures)
    quotients = _table("", "ratio", "lowest", "highest", "target", "by CPU")
    for ratio in comparison.ratios:
        quotients.add_row(
            f"{ratio.ours} ÷ {ratio.theirs}",
            *(f"{value:.2f}" for value in (ratio.median, ratio.lowest, ratio.highest)),
            "" if ratio.target is None else f"{ratio.target:g}",
            f"{ratio.by_cpu:.2f}",
        )
    if comparison.ratios:
        console.print(quotients)
    for line in comparison.missing:
        console.print(f"not measured: {line}")


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, header_style="bold")
    for column in others:
        table.add_column(column, justify="right")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each run")
    parser.add_argument("--runs", type=int, default=3, help="how many rounds")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--accounts", type=int, default=100_000, help="of each bank")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="and no others")
    parser.add_argument("--json", type=Path, help="a file for all figures of all runs")
    options = parser.parse_args()
    comparison = compare(
        seconds=options.seconds,
        runs=options.runs,
        connections=options.connections,
        accounts=options.accounts,
        only=options.only,
        tell=lambda words: print(words, file=sys.stderr, flush=True),
    )
    show(comparison, Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120))
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(comparison)) + b"\n")


if __name__ == "__main__":
    main()
