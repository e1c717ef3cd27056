"""How the cost of a payment grows: a bank with many accounts and a long past beside a new one, on the same machine.

    python -m bench.growth --accounts 1000000 --payments 5000000

The old bank is filled with accounts, and pays by batches until it has as many payments. Then both are asked by turns for
payments inside them. Printed are the medians, and the old bank's cost over the new one's; at the end both are audited.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from ciranda.bench.circle import Plan, circle
from ciranda.bench.conditions import conditions
from ciranda.bench.figures import Figures, medians
from ciranda.bench.workloads.batch import BATCH, SIZE
from ciranda.bench.workloads.inside import ACCOUNTS, INSIDE
from ciranda.bench.workloads.workload import Options
from ciranda.cli.measuring import TOOLS

NEW, OLD = "new", "old"
GROW_S = 10.0
"""How long the old bank pays by batches before it is asked how far it is."""


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    payments: int
    """What the old bank had paid before it was measured."""
    runs: dict[str, list[Figures]]


async def grow(
    *,
    accounts: int,
    payments: int,
    young: int,
    seconds: float,
    runs: int,
    tell: Callable[[str], None],
    grow_s: float = GROW_S,
) -> Growth:
    """`young`: how many accounts the new bank has. Raises NotBalanced."""
    async with AsyncExitStack() as stack:
        banks = {
            NEW: await stack.enter_async_context(circle(TOOLS, Plan(banks=1, accounts=young))),
            OLD: await stack.enter_async_context(circle(TOOLS, Plan(banks=1, accounts=accounts))),
        }
        paid = 0
        while paid < payments:
            past = await BATCH.run(banks[OLD], Options(seconds=grow_s, warm_up=0))
            paid += past.outcomes.get("200", 0) * SIZE
            tell(f"{paid:,} payments")
        done: dict[str, list[Figures]] = {NEW: [], OLD: []}
        for round in range(1, runs + 1):
            for name, one in banks.items():
                done[name].append(await INSIDE.run(one, Options(seconds=seconds)))
                tell(f"round {round} of {runs}: {name} {cost_of(done[name][-1]):,.0f} µs")
        for one in banks.values():
            await one.audit()
        return Growth(payments=paid, runs=done)


def cost_of(figures: Figures) -> float:
    """CPU time of the bank for a payment, in microseconds."""
    (bank,) = figures.cost.inputs_per_batch
    return figures.cost.cpu_us_per_payment[bank]


def show(growth: Growth, console: Console) -> None:
    table = Table("", box=None, header_style="bold")
    for column in ("payments/s", "p50 ms", "p99 ms", "CPU µs", "kB written", "RSS MiB"):
        table.add_column(column, justify="right")
    for name, runs in growth.runs.items():
        middle = medians(runs)
        (bank,) = middle.cost.inputs_per_batch
        table.add_row(
            name,
            f"{middle.payments_per_s:,.0f}",
            f"{middle.p50_ms:.1f}",
            f"{middle.p99_ms:.1f}",
            f"{cost_of(middle):,.0f}",
            f"{middle.cost.written_bytes_per_payment[bank] / 1000:,.1f}",
            f"{middle.cost.rss_mib[bank]:,.0f}",
        )
    console.print(table)
    grown = cost_of(medians(growth.runs[OLD])) / cost_of(medians(growth.runs[NEW]))
    console.print(f"After {growth.payments:,} payments one costs {grown:.2f} × the CPU time of a new bank's.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=1_000_000, help="of the old bank")
    parser.add_argument("--payments", type=int, default=5_000_000, help="that the old bank makes first")
    parser.add_argument("--young", type=int, default=ACCOUNTS, help="accounts of the new bank")
    parser.add_argument("--seconds", type=float, default=10, help="of each run")
    parser.add_argument("--runs", type=int, default=3, help="how many rounds")
    options = parser.parse_args()
    growth = uvloop.run(
        grow(
            accounts=options.accounts,
            payments=options.payments,
            young=options.young,
            seconds=options.seconds,
            runs=options.runs,
            tell=lambda words: print(words, file=sys.stderr, flush=True),
        )
    )
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    for name, words in msgspec.structs.asdict(conditions(Path.cwd(), None)).items():
        console.print(f"{name}: {words}")
    show(growth, console)


if __name__ == "__main__":
    main()
