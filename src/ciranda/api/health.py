"""`/health` and `/metrics`: for whoever watches over the bank.

Each worker counts for itself: a scrape meets one of them, and what it says is that worker's own.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import msgspec
from litestar import Request, Response, get
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from ciranda.api.answers import describe, ok, stop
from ciranda.api.caller import node_of
from ciranda.identity import Ispb
from ciranda.node.node import Node


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["live", "ready"]


@get("/health/live", opt=describe(answers={200: Health}, public=True))
async def live(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The process answers."""
    del request
    return ok(Health(status="live"))


@get("/health/ready", opt=describe(answers={200: Health}, public=True))
async def ready(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The database answers and both listeners are up, whatever the peers do."""
    if not await node_of(request).ready():
        stop("unavailable", "The database does not answer.")
    return ok(Health(status="ready"))


@get("/metrics", opt=describe(answers={200: str}, public=True))
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Figures of this worker, for Prometheus."""
    figures: Metrics = request.app.state.metrics
    figures.in_doubt.set(await node_of(request).store.count_in_doubt())
    return Response(figures.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


class Metrics:
    def __init__(self, node: Node) -> None:
        self._registry = CollectorRegistry()
        self._by_answer: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "ciranda_requests", "Answers, by route and status.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "ciranda_request_seconds",
            "From a request's head to its answer.",
            ["route"],
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=self._registry,
        )
        self.in_doubt = Gauge(
            "ciranda_payments_in_doubt",
            "Payments whose decision this bank does not know yet, in its database.",
            registry=self._registry,
        )
        waiting = Gauge("ciranda_waiting_inputs", "Inputs that wait to be written.", registry=self._registry)
        waiting.set_function(lambda: node.batches.waiting)
        self._registry.register(_Written(node))
        reachable = Gauge(
            "ciranda_peer_up", "Whether a peer can be reached.", ["peer"], registry=self._registry
        )
        self._node = node
        self._reachable = reachable
        self._peers: set[Ispb] = set()

    def answered(self, route: str, status: int, seconds: float) -> None:
        counter_and_histogram = self._by_answer.get((route, status))
        if counter_and_histogram is None:
            # Looking labels up costs more than counting.
            counter_and_histogram = self._by_answer[route, status] = (
                self._requests.labels(route, status),
                self._seconds.labels(route),
            )
        counter, histogram = counter_and_histogram
        counter.inc()
        histogram.observe(seconds)

    def text(self) -> bytes:
        # The roster may have changed since the last look.
        peers = {peer.ispb for peer in self._node.bank.roster.peers_of(self._node.bank.ispb)}
        for gone in self._peers - peers:
            self._reachable.remove(gone)
        for come in peers - self._peers:
            self._reachable.labels(come).set_function(partial(_up, self._node, come))
        self._peers = peers
        return generate_latest(self._registry)


class _Written(Collector):
    """Two counters that the batches keep themselves."""

    def __init__(self, node: Node) -> None:
        self._batches = node.batches

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "ciranda_batches", "Batches written to the database.", value=self._batches.written
        )
        yield CounterMetricFamily(
            "ciranda_batch_inputs", "Inputs in these batches.", value=self._batches.written_inputs
        )


def _up(node: Node, peer: Ispb) -> float:
    return float(node.peers.reachable(peer))
