"""The workloads, a file for each; here they have their order."""

from ciranda.bench.workloads.batch import BATCH
from ciranda.bench.workloads.between import BETWEEN
from ciranda.bench.workloads.hot import HOT_ACCOUNT
from ciranda.bench.workloads.inside import INSIDE
from ciranda.bench.workloads.killed import KILLED
from ciranda.bench.workloads.latency import LATENCY, LATENCY_BETWEEN
from ciranda.bench.workloads.mixed import MIXED
from ciranda.bench.workloads.overload import OVERLOAD
from ciranda.bench.workloads.package import PACKAGE3, PACKAGE5

WORKLOADS = {
    workload.name: workload
    for workload in (
        INSIDE,
        HOT_ACCOUNT,
        MIXED,
        BATCH,
        LATENCY,
        OVERLOAD,
        BETWEEN,
        LATENCY_BETWEEN,
        PACKAGE3,
        PACKAGE5,
        KILLED,
    )
}
