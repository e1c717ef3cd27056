"""The network between banks: a wire from each of them to each other one, and what can become of a wire.

A wire is a port of this machine at which one bank believes a peer to listen: each bank has a roster of its own, in
which its peers' addresses are the near ends of its wires. What comes in there is carried to the peer, byte for byte.
It needs no rights, and knows nothing of what is said.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

import uvloop

from tests.system.consortium import Bank, Consortium

PIECE = 65_536
STALL_S = (0.2, 2.0)


class Way:
    """One direction of a wire. Its delay and its loss may be set from any thread."""

    def __init__(self, dice: random.Random) -> None:
        self.delay_s = 0.0
        self.loss = 0.0
        self._dice = dice
        self._cutters: set[object] = set()
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self, by: object) -> None:
        self._cutters.add(by)
        self._whole.clear()

    def join(self, by: object) -> None:
        """What two have cut is whole when both have joined it."""
        self._cutters.discard(by)
        if not self._cutters:
            self._whole.set()

    async def passed(self) -> None:
        """When one piece has come through. Raises ConnectionError if it is lost, and the connection with it."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.loss and self._dice.random() < self.loss:
            if self._dice.random() < 0.5:
                raise ConnectionResetError
            await asyncio.sleep(self._dice.uniform(*STALL_S))
        await self._whole.wait()


class Wire:
    """All that bank `near` asks of bank `far`, and the answers."""

    def __init__(self, near: Bank, far: Bank, dice: random.Random) -> None:
        self.near = near
        self.far = far
        self.there = Way(dice)
        self.back = Way(dice)
        self.url = ""
        place = urlsplit(far.peer_url)
        self._far_end = (place.hostname, place.port)
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*(end.wait_closed() for end in self._ends), return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One more connection. Its task may be cancelled before it begins, so the end is noted here."""
        self._ends.add(writer)
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either end hangs up and the other has heard so."""
        ends = [writer]
        try:
            # Also the news that nobody listens has to come back.
            await self.there.passed()
            try:
                far_reader, far_writer = await asyncio.open_connection(*self._far_end)
            except OSError:
                await self.back.passed()
                raise
            ends.append(far_writer)
            self._ends.add(far_writer)
            pumps = [
                asyncio.create_task(_pump(reader, far_writer, self.there)),
                asyncio.create_task(_pump(far_reader, writer, self.back)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in ends:
                end.close()
        for end in ends:
            with suppress(OSError):
                await end.wait_closed()
            self._ends.discard(end)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            await way.passed()
            writer.write(piece)
            await writer.drain()
        await way.passed()


class Network(Protocol):
    """What partitions need of a network."""

    @property
    def means(self) -> str: ...

    def lay(self, circle: Consortium) -> None:
        """Before the banks start: puts it between them."""

    def cut(self, pairs: Iterable[tuple[Bank, Bank]], by: object) -> None:
        """Nothing comes any more from the first of each pair to the second."""

    def join(self, pairs: Iterable[tuple[Bank, Bank]], by: object) -> None:
        """What two have cut is whole when both have joined it."""

    def close(self) -> None: ...


class Wires:
    """All wires, carried by one thread."""

    means = "a proxy on loopback for each pair of banks"

    def __init__(self, seed: int) -> None:
        self.wires: list[Wire] = []
        self._dice = random.Random(seed)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def lay(self, circle: Consortium) -> None:
        """Before the banks start: gives each of them its own roster, with the wires in it."""
        roster = circle.roster_file.read_text()
        for near in circle.banks:
            own = roster
            for far in circle.banks:
                if far is near:
                    continue
                wire = Wire(near, far, self._dice)
                asyncio.run_coroutine_threadsafe(wire.open(), self._loop).result()
                self.wires.append(wire)
                assert f'"{far.peer_url}"' in own
                own = own.replace(f'"{far.peer_url}"', f'"{wire.url}"')
            near.set_roster(own, peer_listen=urlsplit(near.peer_url).netloc)

    def cut(self, pairs: Iterable[tuple[Bank, Bank]], by: object) -> None:
        """Neither the questions nor the answers of the first of each pair come to the second."""
        self._do([way.cut for way in self._ways(pairs)], by)

    def join(self, pairs: Iterable[tuple[Bank, Bank]], by: object) -> None:
        self._do([way.join for way in self._ways(pairs)], by)

    def close(self) -> None:
        async def hang_up() -> None:
            await asyncio.gather(*(wire.close() for wire in self.wires))

        asyncio.run_coroutine_threadsafe(hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _ways(self, pairs: Iterable[tuple[Bank, Bank]]) -> Iterator[Way]:
        for near, far in pairs:
            for wire in self.wires:
                if (wire.near, wire.far) == (near, far):
                    yield wire.there
                elif (wire.near, wire.far) == (far, near):
                    yield wire.back

    def _do(self, acts: list[Callable[[object], None]], by: object) -> None:
        """All at the same moment, in the thread that carries."""

        async def done() -> None:
            for act in acts:
                act(by)

        asyncio.run_coroutine_threadsafe(done(), self._loop).result()
