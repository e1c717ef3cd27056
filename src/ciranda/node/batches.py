"""Batches: inputs that arrive while one batch is being written form the next. No timer; nobody waits for company.

The queue is bounded. Clients and peers are turned away when it is full, before anything is recorded; what this bank
owes to a payment that it has begun is always taken in, and is bounded by the payments under way.
"""

import asyncio
from collections import deque

from ciranda.engine.input import Input
from ciranda.engine.reply import Failed, Reply
from ciranda.ports import Store, Unavailable

WAITING_MAX = 12_000
ORDERS_WAITING_MAX = 500
"""Some tenths of a second of work. Who comes later is told at once to come again: a longer queue pays nobody sooner, and
what waits in it costs memory that the processor's caches lack."""
BATCH_MAX = 1_000
NOTE_S = 0.05


class Overloaded(Exception):
    """Too much is under way; nothing was recorded."""


class Batches:
    def __init__(self, store: Store, lanes: int) -> None:
        self._store = store
        self._idle_lanes = lanes
        self._queue: deque[tuple[Input, asyncio.Future[Reply]]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self.written = 0
        """How many batches were written,"""
        self.written_inputs = 0
        """and how many inputs in them."""

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def room(self) -> int:
        return WAITING_MAX - len(self._queue)

    @property
    def busy(self) -> bool:
        """Whether a single order is better sent away: a batch of them needs the room that is left."""
        return len(self._queue) >= ORDERS_WAITING_MAX

    def offer(self, input: Input) -> "asyncio.Future[Reply]":
        """An order from outside. Raises Overloaded; the future may raise Unavailable."""
        if len(self._queue) >= WAITING_MAX:
            raise Overloaded
        return self.owe(input)

    def owe(self, input: Input) -> "asyncio.Future[Reply]":
        """What must be taken in: it belongs to something that has begun. The future may raise Unavailable."""
        future = self._append(input)
        self._wake()
        return future

    def note(self, input: Input) -> "asyncio.Future[Reply]":
        """What nobody waits for: it goes along with the next batch, and makes one of its own only if none comes."""
        future = self._append(input)
        asyncio.get_running_loop().call_later(NOTE_S, self._wake)
        return future

    def _append(self, input: Input) -> "asyncio.Future[Reply]":
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._queue.append((input, future))
        return future

    def _wake(self) -> None:
        if self._idle_lanes and self._queue:
            self._idle_lanes -= 1
            lane = asyncio.create_task(self._work())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _work(self) -> None:
        try:
            while self._queue:
                count = min(len(self._queue), BATCH_MAX)
                batch = [self._queue.popleft() for _ in range(count)]
                await self._write(batch)
        finally:
            self._idle_lanes += 1

    async def _write(self, batch: "list[tuple[Input, asyncio.Future[Reply]]]") -> None:
        try:
            replies = await self._store.transact([input for input, _ in batch])
        except Unavailable as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        self.written += 1
        self.written_inputs += len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Failed):
                future.set_exception(Unavailable(reply.reason))
            else:
                future.set_result(reply)

    async def drain(self) -> None:
        """Returns when nothing waits any more."""
        self._wake()
        while self._lanes:
            await asyncio.wait(self._lanes)
