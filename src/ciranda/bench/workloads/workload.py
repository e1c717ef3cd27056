"""A workload: what is asked of a consortium, and how; the loop that all of them share."""

import random
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from ciranda.bench.circle import Bank, Circle
from ciranda.bench.figures import Figures
from ciranda.bench.load import Load, closed_loop, open_loop, percentile
from ciranda.bench.measure import Cost, Meter
from ciranda.bench.request import Sender, outcome

CONNECTIONS = 64
SETTLED = frozenset({"201"})

Watch = Callable[[Load], None]
Payment = Callable[[Sender, int], bytes]
"""Makes request n."""
Payments = Callable[[Circle], Payment]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    warm_up: float = 1.0
    connections: int | None = None
    """None: as many as the workload says."""
    rate: float | None = None
    """Requests per second in an open loop; None: a closed one, or the rate that the workload finds for itself."""
    watch: Watch | None = None


Run = Callable[[Circle, Options], Awaitable[Figures]]


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    says: str
    """One sentence."""
    run: Run
    banks: int = 1
    accounts: int = 10_000
    """In each bank, unless the caller wants another number."""
    initiator: int | None = None
    """The bank whose customers have mandates on their accounts at the others."""


class Purse:
    """The customers of one bank, as the generator needs them: bytes, ready to be put into a request."""

    def __init__(self, bank: Bank, seed: int) -> None:
        filled = bank.filled
        self.addresses = [filled.address(account).encode() for account in range(filled.accounts)]
        self.mandates = [mandate.encode() for mandate in filled.mandates]
        self.owners = len(filled.tokens)
        self._tokens = [token.encode() for token in filled.tokens]
        self._dice = random.Random(seed).random

    def draw(self) -> int:
        """Any account, each as likely as the others."""
        return int(self._dice() * len(self.addresses))

    def pair(self) -> tuple[int, int]:
        """Two different accounts."""
        count = len(self.addresses)
        one = int(self._dice() * count)
        return one, (one + 1 + int(self._dice() * (count - 1))) % count

    def draw_of(self, owner: int) -> int:
        """Any account of this customer."""
        count = len(range(owner, len(self.addresses), self.owners))
        return owner + self.owners * int(self._dice() * count)

    def token(self, account: int) -> bytes:
        """The session of one of its holders."""
        return self._tokens[account % self.owners]


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """How a consortium's first banks are asked: closed, or open if a rate is given."""

    connections: int = CONNECTIONS
    """To all of them together."""
    asked: int = 1
    """How many banks: request n goes to bank n % asked."""
    rate: float | None = None
    """Requests per second."""
    outcome: Callable[[int, bytes], str] = outcome
    done: frozenset[str] = SETTLED
    size: int = 1
    """Payments in a request."""

    def __str__(self) -> str:
        kind = "closed" if self.rate is None else f"open at {self.rate:,.0f}/s"
        return f"{kind}, {self.connections:,} connections"

    async def run(self, circle: Circle, payment: Payment, seconds: float, watch: Watch | None = None) -> Load:
        address = [bank.address for bank in circle.banks[: self.asked]]
        request = partial(payment, Sender())
        if self.rate is None:
            return await closed_loop(
                address,
                request,
                connections=self.connections,
                seconds=seconds,
                warm_up=0,
                outcome=self.outcome,
                done=self.done,
                watch=watch,
            )
        return await open_loop(
            address,
            request,
            connections=self.connections,
            rate=self.rate,
            seconds=seconds,
            warm_up=0,
            outcome=self.outcome,
            done=self.done,
            watch=watch,
        )

    async def measure(self, name: str, circle: Circle, payment: Payment, options: Options) -> Figures:
        """Between two readings of what the machine says, after a warm-up."""
        meter = Meter(circle)
        await self.run(circle, payment, options.warm_up)
        before = await meter.read()
        load = await self.run(circle, payment, options.seconds, options.watch)
        cost = meter.cost(before, await meter.read(), load.done_count * self.size)
        return self.figures(name, load, cost)

    def figures(self, name: str, load: Load, cost: Cost) -> Figures:
        latencies = load.latencies
        return Figures(
            workload=name,
            loop=str(self),
            payments_per_s=load.rate * self.size,
            p50_ms=percentile(latencies, 0.50),
            p95_ms=percentile(latencies, 0.95),
            p99_ms=percentile(latencies, 0.99),
            p100_ms=percentile(latencies, 1.0),
            outcomes=dict(load.counts),
            generator_us_per_request=load.cpu_seconds * 1e6 / max(1, load.answered),
            cost=cost,
        )


def asking(name: str, payments: Payments, loop: Loop = Loop()) -> Run:  # noqa: B008
    """The whole of most workloads: each request is one of `payments`, and the caller's options are heeded."""

    async def run(circle: Circle, options: Options) -> Figures:
        chosen = replace(loop, connections=options.connections or loop.connections, rate=options.rate)
        return await chosen.measure(name, circle, payments(circle), options)

    return run


async def maximum(circle: Circle, payment: Payment, options: Options, loop: Loop = Loop()) -> float:  # noqa: B008
    """Payments per second of a closed loop, for those workloads that ask for a share or a multiple of it."""
    await loop.run(circle, payment, options.warm_up)
    return (await loop.run(circle, payment, options.seconds)).rate
