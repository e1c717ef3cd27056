"""The outbox: questions to one peer, waiting to be carried there in batches.

Its law (PROTOCOL 2.1): **no timer delays a lone message, and nothing waits without bound.** While no request is under
way, what was posted leaves at once, in the event loop's next turn, together with all that was posted in this one. While
a carrier is out, the next batch gathers; the first one back takes it. A carrier that does not come back soon holds up
nobody: after `PATIENCE_S` another sets out, up to `CARRIERS_MAX`. So batches are small when there is little to say, and
large when there is much, and nobody chose their size.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from ciranda.agreement.message import Answer

CARRIERS_MAX = 4
PATIENCE_S = 0.02
"""About as long as a busy peer takes to write a batch down. One request for all costs both banks less than several."""
BATCH_MAX = 500
BATCH_BYTES_MAX = 1_000_000
"""Far under what a peer reads at most, so that no batch is ever refused for its size; and a payment of many transfers
among small ones does not hold up the event loop, which is why the HTTP client warns of bodies over a mebibyte."""


class Letter:
    """One question under way, and the future of its answer."""

    __slots__ = ("answer", "question", "until")

    def __init__(self, question: bytes, until: float, answer: asyncio.Future[Answer]) -> None:
        self.question = question
        self.until = until
        """When its sender stops waiting, by the event loop's clock."""
        self.answer = answer
        """Also done when its sender has stopped waiting; then nothing is put in it."""


class Outbox:
    """`carry` takes a batch to the peer and answers each of its letters, somehow; it does not raise."""

    def __init__(self, carry: Callable[[list[Letter]], Awaitable[None]], waiting_max: int) -> None:
        self._carry = carry
        self._waiting_max = waiting_max
        self._waiting: deque[Letter] = deque()
        self._carriers: set[asyncio.Task[None]] = set()
        """Those that come back for more. A carrier takes itself out in the very turn in which it finds the box empty;
        if that were left to a callback, what is posted between the two would lie there for ever."""
        self._setting_out = False
        """A carrier was sent for, and has not come to the box yet: it will take what is posted now."""
        self._patience: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, letter: Letter) -> bool:
        """False if the box is full."""
        if len(self._waiting) >= self._waiting_max:
            return False
        self._waiting.append(letter)
        if not self._carriers:
            self._send_carrier()
        elif self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._send_carrier)
        return True

    def give_up(self) -> list[Letter]:
        """Takes out all that wait, and counts no longer on the carriers that are out.

        They may hang on dead connections until their time runs out, and a peer that returns must not wait for that.
        """
        waiting = list(self._waiting)
        self._waiting.clear()
        self._begin_to_wait_anew()
        self._carriers.clear()
        self._setting_out = False
        return waiting

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_to_wait_anew(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _send_carrier(self) -> None:
        self._begin_to_wait_anew()
        if self._waiting and not self._setting_out and len(self._carriers) < CARRIERS_MAX:
            self._setting_out = True
            carrier = asyncio.create_task(self._come_and_go())
            self._carriers.add(carrier)
            self._tasks.add(carrier)
            carrier.add_done_callback(self._tasks.discard)

    async def _come_and_go(self) -> None:
        carrier = asyncio.current_task()
        assert carrier is not None, "a carrier is a task"
        if carrier in self._carriers:
            self._setting_out = False
        try:
            while carrier in self._carriers and (batch := self._take()):
                # What one batch has no room for leaves with the next carrier, also at once.
                self._send_carrier()
                await self._carry(batch)
        finally:
            self._carriers.discard(carrier)

    def _take(self) -> list[Letter]:
        self._begin_to_wait_anew()
        batch: list[Letter] = []
        size = 0
        while self._waiting and len(batch) < BATCH_MAX:
            size += len(self._waiting[0].question)
            if batch and size > BATCH_BYTES_MAX:
                break
            letter = self._waiting.popleft()
            if not letter.answer.done():
                batch.append(letter)
        return batch
