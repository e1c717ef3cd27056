"""A bench: which workloads, how long, how often, on what; in the end one report."""

import resource
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ciranda.bench.circle import Circle, Plan, Tools, circle
from ciranda.bench.conditions import conditions
from ciranda.bench.figures import Figures, medians
from ciranda.bench.load import Load
from ciranda.bench.report import Report
from ciranda.bench.workloads.workload import Options, Workload

Say = Callable[[str], None]
"""Is told what is going on, in a few words, about twice a second."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    workloads: Sequence[Workload]
    seconds: float
    warm_up: float = 1.0
    runs: int = 1
    connections: int | None = None
    rate: float | None = None
    accounts: int | None = None
    """In each bank; None: as many as each workload says."""
    workers: int = 1
    server: str | None = None
    """The URL template of PostgreSQL; None: SQLite."""
    folder: Path | None = None
    """Where temporary folders are made; None: where the system makes them."""


async def measure(campaign: Campaign, tools: Tools, say: Say) -> Report:
    """Runs every workload, and audits its consortium after each run. Raises NotBalanced."""
    _allow_many_connections()
    where = conditions(campaign.folder or Path(tempfile.gettempdir()), campaign.server)
    plans: dict[Plan, list[Workload]] = {}
    for workload in campaign.workloads:
        plans.setdefault(_plan(campaign, workload), []).append(workload)
    measured: dict[str, Figures] = {}
    for plan, workloads in plans.items():
        say(f"founding {plan.banks} bank(s) with {plan.accounts:,} accounts each")
        async with circle(tools, plan) as banks:
            for workload in workloads:
                measured[workload.name] = await _measure(campaign, workload, banks, say)
    return Report(
        conditions=where,
        runs=campaign.runs,
        accounts={workload.name: campaign.accounts or workload.accounts for workload in campaign.workloads},
        workers=campaign.workers,
        seconds=campaign.seconds,
        workloads=[measured[workload.name] for workload in campaign.workloads],
    )


async def _measure(campaign: Campaign, workload: Workload, banks: Circle, say: Say) -> Figures:
    runs = []
    for run in range(1, campaign.runs + 1):
        title = f"{workload.name}, run {run} of {campaign.runs}"
        say(title)

        def watch(load: Load, title: str = title) -> None:
            say(f"{title}: {load.seconds:.0f} s, {load.done_count / load.seconds:,.0f} requests/s")

        options = Options(
            seconds=campaign.seconds,
            warm_up=campaign.warm_up,
            connections=campaign.connections,
            rate=campaign.rate,
            watch=watch,
        )
        runs.append(await workload.run(banks, options))
        say(f"{title}: audit")
        await banks.audit()
    return medians(runs)


def _plan(campaign: Campaign, workload: Workload) -> Plan:
    return Plan(
        banks=workload.banks,
        accounts=campaign.accounts or workload.accounts,
        initiator=workload.initiator,
        workers=campaign.workers,
        database=campaign.server,
        folder=campaign.folder,
    )


def _allow_many_connections() -> None:
    """As many files as this process may open; the banks inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
