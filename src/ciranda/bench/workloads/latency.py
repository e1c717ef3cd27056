"""How long a client waits on an ordinary day: at half of what the banks can do."""

from msgspec.structs import replace

from ciranda.bench.circle import Circle
from ciranda.bench.figures import Figures
from ciranda.bench.workloads import between, inside
from ciranda.bench.workloads.workload import CONNECTIONS, Loop, Options, Payments, Run, Workload, maximum

SHARE = 0.5


def _at_half(name: str, payments: Payments, loop: Loop) -> Run:
    async def run(circle: Circle, options: Options) -> Figures:
        payment = payments(circle)
        rate = options.rate or SHARE * await maximum(circle, payment, options, loop)
        half = replace(loop, connections=options.connections or CONNECTIONS, rate=rate)
        return await half.measure(name, circle, payment, options)

    return run


LATENCY = Workload(
    name="latency",
    says="Inside one bank at half of its maximum rate, whatever it does meanwhile.",
    run=_at_half("latency", inside.payments, Loop()),
    accounts=inside.ACCOUNTS,
)
LATENCY_BETWEEN = Workload(
    name="latency-between",
    says="Between two banks at half of their maximum rate.",
    run=_at_half("latency-between", between.payments, between.BOTH),
    banks=2,
)
