"""The load generator: so many connections that speak HTTP/1.1 with keep-alive, in a closed or an open loop.

Closed: each connection sends its next request when the last one is answered, as so many clients that wait. Open: requests
are due at an even rate, whatever the server does; what finds no free connection waits, and its latency runs from the
moment when it was due. So a server that stalls cannot hide it by keeping the generator from asking (Tene's "coordinated
omission").

The generator shares the machine with what it measures, so it does little: requests are whole bytes made by the caller,
answers are cut by their Content-Length, and nothing is parsed that nobody asked for.
"""

import asyncio
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

Address = tuple[str, int]
"""Host and port."""

PATIENCE_S = 30.0
"""How long the last answers are waited for; what is still missing then was unanswered."""

LOST = "lost connection"
UNANSWERED = "unanswered"

_RECONNECT_S = 0.02
_TICK_S = 0.001
_WATCH_S = 0.5


def status_of(status: int, _body: bytes) -> str:
    """The outcome of an answer if the caller names none: its status."""
    return str(status)


@dataclass(slots=True)
class Answers:
    """The answers of one outcome, in the order in which they came."""

    latencies: "array[int]" = field(default_factory=lambda: array("q"))
    """Nanoseconds; from sending in a closed loop, from the planned time of sending in an open one."""
    at: "array[int]" = field(default_factory=lambda: array("q"))
    """When each came, in nanoseconds since the warm-up ended."""

    def percentile(self, share: float) -> float:
        return percentile(sorted(self.latencies), share)


@dataclass(slots=True)
class Load:
    """What came of the requests that were due after the warm-up."""

    done: frozenset[str]
    """The outcomes that count as done."""
    seconds: float = 0.0
    """From the end of the warm-up until the last answer."""
    cpu_seconds: float = 0.0
    """What this process used of a processor in that time."""
    answers: dict[str, Answers] = field(default_factory=dict)
    """By outcome: the status, or what the caller's classifier made of status and body."""
    missing: Counter[str] = field(default_factory=Counter)
    """Requests without an answer: `LOST` with their connection, or `UNANSWERED` when patience ended."""

    @property
    def counts(self) -> Counter[str]:
        """How often each outcome was met, also those without an answer."""
        return Counter({name: len(one.at) for name, one in self.answers.items()}) + self.missing

    @property
    def answered(self) -> int:
        return sum(len(one.at) for one in self.answers.values())

    @property
    def done_count(self) -> int:
        return sum(len(one.at) for name, one in self.answers.items() if name in self.done)

    @property
    def latencies(self) -> "array[int]":
        """Of all that was done; nanoseconds, shortest first."""
        done = [self.answers[name].latencies for name in self.done & self.answers.keys()]
        return array("q", sorted(ns for latencies in done for ns in latencies))

    @property
    def rate(self) -> float:
        """What was done, per second."""
        return self.done_count / self.seconds if self.seconds else 0.0

    @property
    def p50(self) -> float:
        """Milliseconds, as all percentiles here."""
        return percentile(self.latencies, 0.50)

    @property
    def p95(self) -> float:
        return percentile(self.latencies, 0.95)

    @property
    def p99(self) -> float:
        return percentile(self.latencies, 0.99)

    @property
    def p100(self) -> float:
        return percentile(self.latencies, 1.0)


def percentile(ordered: Sequence[int], share: float) -> float:
    """The smallest latency that `share` of all do not exceed, in milliseconds; of nanoseconds, shortest first."""
    if not ordered:
        return 0.0
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] / 1e6


async def closed_loop(
    address: Address | Sequence[Address],
    request: Callable[[int], bytes],
    *,
    connections: int,
    seconds: float,
    warm_up: float = 1.0,
    outcome: Callable[[int, bytes], str] = status_of,
    done: frozenset[str] = frozenset({"200", "201"}),
    watch: Callable[[Load], None] | None = None,
) -> Load:
    """Each connection always has one request under way.

    `request(n)` gives request n as bytes, head and body. Of several addresses, request n goes to number `n % len(addresses)`,
    and the connections are spread evenly. `outcome` names an answer from its status and body. `watch` sees the load twice
    a second while it grows.
    """
    return await _Run(address, request, connections, None, warm_up, seconds, outcome, done).run(watch)


async def open_loop(
    address: Address | Sequence[Address],
    request: Callable[[int], bytes],
    *,
    connections: int,
    rate: float,
    seconds: float,
    warm_up: float = 1.0,
    outcome: Callable[[int, bytes], str] = status_of,
    done: frozenset[str] = frozenset({"200", "201"}),
    watch: Callable[[Load], None] | None = None,
) -> Load:
    """`rate` requests are due each second, over all addresses; `connections` bounds how many are under way at once."""
    return await _Run(address, request, connections, rate, warm_up, seconds, outcome, done).run(watch)


class _Run:
    """One loop from its first connection to its last answer."""

    def __init__(
        self,
        address: Address | Sequence[Address],
        request: Callable[[int], bytes],
        connections: int,
        rate: float | None,
        warm_up: float,
        seconds: float,
        outcome: Callable[[int, bytes], str],
        done: frozenset[str],
    ) -> None:
        addresses = _listed(address)
        self.request = request
        self.outcome = outcome
        self.load = Load(done=done)
        self._warm_up_ns, self._seconds_ns = int(warm_up * 1e9), int(seconds * 1e9)
        self._tasks: set[asyncio.Task[None]] = set()
        self.wires: set[_Wire] = set()
        self.over = False
        self._missing = 0
        """Requests that were due after the warm-up and have no answer yet."""
        self._ending = False
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when all is answered at the end, or at once when something is wrong."""
        self._lanes = [
            _Lane(self, one, index, len(addresses), rate / len(addresses) if rate else None)
            for index, one in enumerate(addresses)
        ]
        self._shares = [
            (lane, connections // len(addresses) + (index < connections % len(addresses)))
            for index, lane in enumerate(self._lanes)
        ]

    async def run(self, watch: Callable[[Load], None] | None) -> Load:
        try:
            await asyncio.gather(*(lane.connect() for lane, share in self._shares for _ in range(share)))
            start = time.perf_counter_ns()
            self.warm_ns = start + self._warm_up_ns
            self.end_ns = self.warm_ns + self._seconds_ns
            self.last_ns = self.warm_ns
            for lane in self._lanes:
                lane.start(start)
            await self._until(self.warm_ns, None)
            cpu = time.process_time()
            await self._until(self.end_ns, watch)
            await self._last_answers()
            self.load.cpu_seconds = time.process_time() - cpu
            self.load.seconds = (max(self.last_ns, self.end_ns) - self.warm_ns) / 1e9
            return self.load
        finally:
            self.over = True
            for task in self._tasks:
                task.cancel()
            for wire in self.wires:
                wire.transport.abort()

    async def _until(self, moment_ns: int, watch: Callable[[Load], None] | None) -> None:
        while (left := (moment_ns - time.perf_counter_ns()) / 1e9) > 0:
            await asyncio.wait([self._stopped], timeout=min(left, _WATCH_S) if watch else left)
            if self._stopped.done():
                self._stopped.result()
            if watch:
                self.load.seconds = (time.perf_counter_ns() - self.warm_ns) / 1e9
                watch(self.load)

    async def _last_answers(self) -> None:
        if self._missing:
            self._ending = True
            await asyncio.wait([self._stopped], timeout=PATIENCE_S)
            if self._stopped.done():
                self._stopped.result()
        if self._missing:
            self.load.missing[UNANSWERED] += self._missing

    def spawn(self, lane: "_Lane") -> None:
        task = asyncio.get_running_loop().create_task(lane.reconnect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def due(self, planned: int) -> None:
        self._missing += planned >= self.warm_ns

    def answered(self, status: int, body: bytes, planned: int) -> None:
        if planned < self.warm_ns:
            return
        now = time.perf_counter_ns()
        self.last_ns = now
        name = self.outcome(status, body)
        answers = self.load.answers.get(name)
        if answers is None:
            answers = self.load.answers[name] = Answers()
        answers.latencies.append(now - planned)
        answers.at.append(now - self.warm_ns)
        self._one_less()

    def lost(self, planned: int) -> None:
        if planned >= self.warm_ns:
            self.load.missing[LOST] += 1
            self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        if self._ending and not self._missing and not self._stopped.done():
            self._stopped.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self._stopped.done():
            self._stopped.set_exception(error)


class _Lane:
    """What goes to one address: the requests first, first + step, first + 2 · step and so on."""

    def __init__(self, run: _Run, address: Address, first: int, step: int, rate: float | None) -> None:
        self.run = run
        self.address = address
        self._next, self._step = first, step
        self._gap_ns = 1e9 / rate if rate else None
        self._idle: list[_Wire] = []
        self._waiting: deque[int] = deque()
        self._started_ns = 0
        self._due_count = 0

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Wire(self), *self.address)

    async def reconnect(self) -> None:
        """A server that was killed is looked for until the run is over."""
        while True:
            try:
                return await self.connect()
            except OSError:
                await asyncio.sleep(_RECONNECT_S)

    def start(self, now: int) -> None:
        self._started_ns = now
        if self._gap_ns is not None:
            self._tick()
            return
        idle, self._idle = self._idle, []
        for wire in idle:
            self.free(wire)

    def _tick(self) -> None:
        """Sends, or sets waiting, all that became due since the last tick."""
        assert self._gap_ns is not None
        run, now = self.run, time.perf_counter_ns()
        if run.over:
            return
        while (planned := self._started_ns + int(self._due_count * self._gap_ns)) <= now:
            if planned >= run.end_ns:
                return
            self._due_count += 1
            run.due(planned)
            if self._idle:
                self._send(self._idle.pop(), planned)
            else:
                self._waiting.append(planned)
        asyncio.get_running_loop().call_later(max(_TICK_S, (planned - now) / 1e9), self._tick)

    def free(self, wire: "_Wire") -> None:
        """A connection has nothing under way: it gets the next request, if one is due."""
        if not self._started_ns:
            self._idle.append(wire)
        elif self._gap_ns is None:
            now = time.perf_counter_ns()
            if now < self.run.end_ns:
                self.run.due(now)
                self._send(wire, now)
        elif self._waiting:
            self._send(wire, self._waiting.popleft())
        else:
            self._idle.append(wire)

    def _send(self, wire: "_Wire", planned: int) -> None:
        number = self._next
        self._next += self._step
        try:
            request = self.run.request(number)
        except Exception as error:
            # A fault in the caller's function ends the run; raised here it would only be logged by the loop.
            self.run.fail(error)
            return
        wire.planned = planned
        wire.transport.write(request)

    def closed(self, wire: "_Wire") -> None:
        """The server closed it, as it may; what was under way has no answer."""
        self.run.wires.discard(wire)
        if self.run.over:
            return
        if wire in self._idle:
            self._idle.remove(wire)
        if wire.planned:
            self.run.lost(wire.planned)
        self.run.spawn(self)


class _Wire(asyncio.Protocol):
    """One connection with at most one request under way."""

    __slots__ = ("_lane", "_received", "planned", "transport")

    transport: asyncio.Transport

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane
        self._received = b""
        self.planned = 0
        """When what is under way was due, by the clock of `time.perf_counter_ns`; 0 if nothing is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._lane.run.wires.add(self)
        self._lane.free(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._received_more(data)
        except Exception as error:
            # An answer that cannot be cut, or a fault in the caller's `outcome`.
            self._lane.run.fail(error)

    def _received_more(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            self._received = data
            return
        head = data[:head_end].lower()
        end = head_end + 4 + _length(head)
        if len(data) < end:
            self._received = data
            return
        assert len(data) == end, "an answer that nobody asked for"
        self._received = b""
        planned, self.planned = self.planned, 0
        self._lane.run.answered(int(head[9:12]), data[head_end + 4 :], planned)
        if head.startswith(b"http/1.0") or b"\r\nconnection: close" in head:
            self.transport.close()
        else:
            self._lane.free(self)

    def connection_lost(self, exception: Exception | None) -> None:  # noqa: ARG002
        self._lane.closed(self)


def _listed(address: Address | Sequence[Address]) -> list[Address]:
    match address:
        case (str(host), int(port)):
            return [(host, port)]
        case _:
            return list(address)


def _length(head: bytes) -> int:
    """Of the body, by the one header that says it; the head is in lower case."""
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        if head[9:12] in (b"204", b"304"):
            return 0
        raise ValueError("an answer without Content-Length, which this generator cannot cut")
    end = head.find(b"\r\n", start + 2)
    return int(head[start + 17 : end if end > 0 else len(head)])
