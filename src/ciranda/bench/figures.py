"""What one workload came to, and the medians of several runs of it."""

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

from ciranda.bench.measure import Cost


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    workload: str
    loop: str
    """How it was asked: closed or open, over how many connections."""
    payments_per_s: float
    """Settled; in the mix with refusals, answered as they should be."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p100_ms: float
    outcomes: dict[str, int]
    """Answers by status and code, and requests that got none."""
    generator_us_per_request: float
    """Its own processor time."""
    cost: Cost
    more: dict[str, float] = {}
    """What only this workload shows; units stand in the names."""
    timeline: dict[str, list[float]] = {}
    """Answers per second, in steps of `TIMELINE_S`, where what matters is how it changes."""


TIMELINE_S = 0.25


def medians(runs: Sequence[Figures]) -> Figures:
    """Of each figure by itself."""
    if len(runs) == 1:
        return runs[0]
    return msgspec.convert(_median([msgspec.to_builtins(run) for run in runs]), Figures, strict=False)


def _median(values: Sequence[Any]) -> Any:
    match values[0]:
        case dict():
            names = dict.fromkeys(name for value in values for name in value)
            return {name: _median([value[name] for value in values if name in value]) for name in names}
        case list():
            return [_median(step) for step in zip(*values, strict=False)]
        case bool() | str() | None:
            return values[0]
        case int():
            return statistics.median_low(values)
        case _:
            return statistics.median(values)
