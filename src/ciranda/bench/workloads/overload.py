"""Everybody wants to pay at once: three times more than the bank can do."""

from msgspec.structs import replace

from ciranda.bench.circle import Circle
from ciranda.bench.figures import Figures
from ciranda.bench.load import Load
from ciranda.bench.measure import Meter
from ciranda.bench.workloads import inside
from ciranda.bench.workloads.workload import Loop, Options, Workload, maximum

NAME = "overload"
TIMES = 3.0
CONNECTIONS = 4_096
"""So many that what waits is the bank's to turn away, and not hidden in the generator."""
TURNED_AWAY = ("503 overloaded", "503 unavailable")


async def _run(circle: Circle, options: Options) -> Figures:
    bank, payment, meter = circle.banks[0], inside.payments(circle), Meter(circle)
    most = await maximum(circle, payment, options)
    rss_before = rss_most = meter.rss_mib(bank)

    def watch(load: Load) -> None:
        nonlocal rss_most
        rss_most = max(rss_most, meter.rss_mib(bank))
        if options.watch is not None:
            options.watch(load)

    loop = Loop(connections=options.connections or CONNECTIONS, rate=options.rate or TIMES * most)
    before = await meter.read()
    load = await loop.run(circle, payment, options.seconds, watch)
    cost = meter.cost(before, await meter.read(), load.done_count)
    away = [load.answers[outcome] for outcome in TURNED_AWAY if outcome in load.answers]
    return replace(
        loop.figures(NAME, load, cost),
        more={
            "maximum_per_s": most,
            "served_of_maximum": load.rate / most if most else 0.0,
            "turned_away_per_s": sum(len(one.at) for one in away) / load.seconds,
            "turned_away_p99_ms": max((one.percentile(0.99) for one in away), default=0.0),
            "rss_before_mib": rss_before,
            "rss_most_mib": rss_most,
        },
    )


OVERLOAD = Workload(
    name=NAME,
    says="Inside one bank, asked for three times its maximum rate.",
    run=_run,
    accounts=inside.ACCOUNTS,
)
