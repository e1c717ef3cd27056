"""One bank of three is killed and started again while the first one pays to both of the others.

Three times as long as other workloads: before, while the bank is away, and after it was started again.
"""

import asyncio
import time
from array import array
from functools import partial

from msgspec.structs import replace

from ciranda.bench.circle import Circle
from ciranda.bench.figures import TIMELINE_S, Figures
from ciranda.bench.load import Load, percentile
from ciranda.bench.measure import Meter
from ciranda.bench.workloads.between import payments_to
from ciranda.bench.workloads.workload import CONNECTIONS, Loop, Options, Workload

NAME = "killed"
VICTIM, BYSTANDER = 1, 2
TOUCHING_PER_S = 200.0
"""At an even rate, for a closed loop of quick refusals would take the processor from the payments beside it."""
TOUCHING_CONNECTIONS = 256
"""Those that wait for an answer of the dead bank must not keep the next ones from being sent."""
REFUSED = "422 bank_unreachable"


async def _run(circle: Circle, options: Options) -> Figures:
    aside, touching = payments_to(BYSTANDER, circle), payments_to(VICTIM, circle)
    meter = Meter(circle)
    loop = Loop(connections=options.connections or CONNECTIONS)
    other = Loop(connections=TOUCHING_CONNECTIONS, rate=options.rate or TOUCHING_PER_S)
    await asyncio.gather(
        loop.run(circle, aside, options.warm_up), other.run(circle, touching, options.warm_up)
    )
    before = await meter.read()
    seconds = 3 * options.seconds
    load, touched, (killed_ns, back_ns, ready_ns) = await asyncio.gather(
        loop.run(circle, aside, seconds, options.watch),
        other.run(circle, touching, seconds),
        _kill_and_start(circle, options.seconds),
    )
    cost = meter.cost(before, await meter.read(), load.done_count + touched.done_count)
    return replace(
        loop.figures(NAME, load, cost),
        loop=f"{loop}; to the bank that is killed {other}",
        outcomes={
            **{f"aside: {name}": count for name, count in load.counts.items()},
            **{f"touching: {name}": count for name, count in touched.counts.items()},
        },
        more=_changes(load, touched, killed_ns, back_ns, ready_ns),
        timeline={
            "aside": _per_second(_settled(load), seconds),
            "touching, settled": _per_second(_settled(touched), seconds),
            "touching, refused": _per_second(_at(touched, REFUSED), seconds),
        },
    )


async def _kill_and_start(circle: Circle, seconds: float) -> tuple[int, int, int]:
    """It runs so long, and is away so long; when it was killed, started and ready, in nanoseconds from now."""
    victim, start = circle.banks[VICTIM].process, time.perf_counter_ns()

    def now() -> int:
        return time.perf_counter_ns() - start

    await asyncio.sleep(seconds)
    killed = now()
    await victim.kill()
    await asyncio.sleep(seconds)
    back = now()
    await victim.start()
    await victim.ready()
    return killed, back, now()


def _changes(load: Load, touched: Load, killed_ns: int, back_ns: int, ready_ns: int) -> dict[str, float]:
    before = _rate(_settled(load), 0, killed_ns)
    during = _rate(_settled(load), killed_ns, back_ns)
    refused = touched.answers.get(REFUSED)
    latencies = sorted(refused.latencies) if refused is not None else []
    refusals = [at for at in _at(touched, REFUSED) if at > killed_ns]
    again = [at for at in _settled(touched) if at > back_ns]
    changes = {
        "aside_before_per_s": before,
        "aside_during_per_s": during,
        "aside_during_of_before": during / before if before else 0.0,
        "refusal_p50_ms": percentile(latencies, 0.50),
        "refusal_p99_ms": percentile(latencies, 0.99),
        "refusal_p100_ms": percentile(latencies, 1.0),
        "ready_after_ms": (ready_ns - back_ns) / 1e6,
    }
    if refusals:
        changes["first_refusal_after_ms"] = (min(refusals) - killed_ns) / 1e6
    if again:  # It may need longer to start than we look.
        changes["settled_again_after_ms"] = (min(again) - back_ns) / 1e6
    return changes


def _at(load: Load, outcome: str) -> "array[int]":
    answers = load.answers.get(outcome)
    return array("q") if answers is None else answers.at


_settled = partial(_at, outcome="201")


def _rate(at: "array[int]", start: int, end: int) -> float:
    return sum(start <= moment < end for moment in at) * 1e9 / max(1, end - start)


def _per_second(at: "array[int]", seconds: float) -> list[float]:
    steps = [0] * max(1, round(seconds / TIMELINE_S))
    for moment in at:
        step = int(moment / 1e9 / TIMELINE_S)
        if step < len(steps):
            steps[step] += 1
    return [count / TIMELINE_S for count in steps]


KILLED = Workload(
    name=NAME,
    says="Between banks, one of which is killed and started again, seen by those whom it does not concern.",
    run=_run,
    banks=3,
)
