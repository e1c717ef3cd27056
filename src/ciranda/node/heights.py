"""Heights: how a bank notices that it was put back to an earlier moment (PROTOCOL 2.6).

Each batch between banks shows how much its sender has written, and how much of the receiver's writing it has seen. A
bank that is shown more than it remembers has lost what was durable: it must stop, for it may already have promised
what it no longer knows.

A word that stops a bank must not be anybody's to say. So a bank stamps each height that it shows, under a secret that is
not in its database, and believes only its own stamp.
"""

import asyncio
import hmac
from collections.abc import Callable

import structlog

from ciranda.agreement.height import NOTHING, Height
from ciranda.identity import Ispb
from ciranda.node.traces import Traces
from ciranda.ports import Clock, PutBack, Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

KEEP_S = 2.0
_STAMP_BYTES = 16


class HeightKeeper:
    """Implements the port Heights over the store."""

    def __init__(self, store: Store, put_back: Callable[[str], None], key: bytes, clock: Clock) -> None:
        """`key`: the secret under which all processes of this bank stamp."""
        self._store = store
        self._put_back = put_back
        self._key = key
        self._traces = Traces(clock)
        self._own = NOTHING
        self._seen: dict[Ispb, Height] = {}
        self._kept: dict[Ispb, Height] = {}

    async def open(self) -> None:
        self._seen = await self._store.heights()
        self._kept = dict(self._seen)

    def own(self) -> Height:
        number = self._store.height()
        if number != self._own.number:
            self._own = Height(number, self._stamp(number))
        return self._own

    def seen(self, bank: Ispb) -> Height:
        return self._seen.get(bank, NOTHING)

    async def heard(self, bank: Ispb, height: Height, ours: Height) -> None:
        if ours.number > self._store.height():
            # Another worker of this bank might have written it, or the database may not know of it either.
            if not hmac.compare_digest(ours.stamp, self._stamp(ours.number)):
                # It lies, or somebody who had our key lied to it. It says nothing about us; what else it says may be true.
                self._traces.note("false_height", bank, peer=bank, height=ours.number)
            elif ours.number > await self._read_height():
                why = (
                    f"bank {bank} has seen {ours.number} of this bank's writings, which its database does not have: "
                    "it was put back to an earlier moment, and must not go on"
                )
                self._put_back(why)
                raise PutBack(why)
        if height.number > self.seen(bank).number:
            self._seen[bank] = height

    def _stamp(self, number: int) -> str:
        return hmac.digest(self._key, b"%d" % number, "sha256")[:_STAMP_BYTES].hex()

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
