"""Many seeds, on all processors."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from ciranda.simulator.run import Result, simulate
from ciranda.simulator.scenario import Scenario


class Tally(msgspec.Struct, kw_only=True):
    """What many seeds came to."""

    seeds: int = 0
    orders: int = 0
    virtual_s: float = 0.0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    failed: list[Result] = []

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.orders += result.orders
        self.virtual_s += result.virtual_s
        self.outcomes.update(result.outcomes)
        self.faults.update(result.faults)
        if result.checker is not None:
            self.failed.append(result)


def run(scenario: Scenario, seeds: Sequence[int], jobs: int | None) -> Iterator[Result]:
    """The results as they come. `jobs`: processes; None: as many as there are processors."""
    jobs = min(jobs or os.cpu_count() or 1, len(seeds))
    if jobs <= 1:
        yield from (simulate(scenario, seed) for seed in seeds)
        return
    # Not forked: a seed must not see what the parent has in memory.
    with multiprocessing.get_context("spawn").Pool(jobs, _leave_ctrl_c_to_the_parent) as pool:
        yield from pool.imap_unordered(partial(simulate, scenario), seeds)


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
