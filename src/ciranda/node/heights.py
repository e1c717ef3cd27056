"""Heights: how a bank notices that it was put back to an earlier moment (PROTOCOL 2.6).

Each batch between banks shows how much its sender has written, and how much of the receiver's writing it has seen. A
bank that is shown more than it remembers has lost what was durable: it must stop, for it may already have promised
what it no longer knows.
"""

import asyncio
from collections.abc import Callable

import structlog

from ciranda.identity import Ispb
from ciranda.ports import Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

KEEP_S = 2.0


class HeightKeeper:
    """Implements the port Heights over the store."""

    def __init__(self, store: Store, put_back: Callable[[str], None]) -> None:
        self._store = store
        self._put_back = put_back
        self._seen: dict[Ispb, int] = {}
        self._kept: dict[Ispb, int] = {}
        self._doubts: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._seen = await self._store.heights()
        self._kept = dict(self._seen)

    def own(self) -> int:
        return self._store.height()

    def seen(self, bank: Ispb) -> int:
        return self._seen.get(bank, 0)

    def heard(self, bank: Ispb, height: int, ours: int) -> None:
        if height > self._seen.get(bank, 0):
            self._seen[bank] = height
        if ours > self._store.height() and not self._doubts:
            doubt = asyncio.create_task(self._check(bank, ours))
            self._doubts.add(doubt)
            doubt.add_done_callback(self._doubts.discard)

    async def _check(self, bank: Ispb, ours: int) -> None:
        """Another worker of this bank may have written it: the database knows."""
        try:
            own = await self._store.read_height()
        except Unavailable:
            return
        if ours > own:
            self._put_back(
                f"bank {bank} has seen {ours} of this bank's writings, but its database has only {own}: "
                "it was put back to an earlier moment, and must not go on"
            )

    async def run(self) -> None:
        """Keeps what was seen, now and then, for ever: it is evidence, and safety does not depend on it."""
        while True:
            await asyncio.sleep(KEEP_S)
            await self.keep()

    async def keep(self) -> None:
        changed = {bank: height for bank, height in self._seen.items() if height != self._kept.get(bank)}
        if changed:
            try:
                await self._store.keep_heights(changed)
            except Unavailable:
                return
            self._kept.update(changed)
