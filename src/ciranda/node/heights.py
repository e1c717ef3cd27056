"""Heights: how a bank notices that it was put back to an earlier moment (PROTOCOL 2.6).

Each batch between banks shows how much its sender has written, and how much of the receiver's writing it has seen. A
bank that is shown more than it remembers has lost what was durable: it must stop, for it may already have promised
what it no longer knows.
"""

import asyncio
from collections.abc import Callable

import structlog

from ciranda.identity import Ispb
from ciranda.ports import PutBack, Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

KEEP_S = 2.0


class HeightKeeper:
    """Implements the port Heights over the store."""

    def __init__(self, store: Store, put_back: Callable[[str], None]) -> None:
        self._store = store
        self._put_back = put_back
        self._seen: dict[Ispb, int] = {}
        self._kept: dict[Ispb, int] = {}

    async def open(self) -> None:
        self._seen = await self._store.heights()
        self._kept = dict(self._seen)

    def own(self) -> int:
        return self._store.height()

    def seen(self, bank: Ispb) -> int:
        return self._seen.get(bank, 0)

    async def heard(self, bank: Ispb, height: int, ours: int) -> None:
        if ours > self._store.height() and ours > await self._read_height():
            # Another worker of this bank might have written it, but the database does not know of it either.
            why = (
                f"bank {bank} has seen {ours} of this bank's writings, which its database does not have: "
                "it was put back to an earlier moment, and must not go on"
            )
            self._put_back(why)
            raise PutBack(why)
        if height > self._seen.get(bank, 0):
            self._seen[bank] = height

    async def _read_height(self) -> int:
        try:
            return await self._store.read_height()
        except Unavailable as error:
            raise PutBack(
                "whether this bank was put back cannot be said while its database is away"
            ) from error

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
