"""One simulated bank: its disk, its clock, and the processes that serve it, which come and go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.assembly import House, build
from ciranda.engine.bank import Bank
from ciranda.engine.limits import LimitRules
from ciranda.identity import Ispb
from ciranda.instant import Instant
from ciranda.node.batches import Overloaded
from ciranda.node.node import Node
from ciranda.peers.transport import Response
from ciranda.ports import PeerUnreachable, Unavailable
from ciranda.roster import Roster
from ciranda.simulator.dice import PatientDice, SeededDice
from ciranda.simulator.disk import Disk, SimulatedDatabase
from ciranda.simulator.loop import OUTSIDE, Process, VirtualLoop
from ciranda.simulator.network import Network, Parcel, Wire
from ciranda.storage.store import SqlStore
from ciranda.wire.signature import METHOD, PATH

EPOCH_MS = 1_893_456_000_000
"""The first of January 2030, when every simulation begins."""

GREET_S = 0.5
START_AGAIN_S = 1.0
HEADS_EVERY_S = 5.0
_OPERATOR = "the operator is not simulated"

Note = Callable[[str, str], None]


class Away(Exception):
    """A client was not answered: nobody listens, or the process died first."""


class SimulatedClock:
    """The port Clock: the wall's may be wrong, the steady one never."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.wrong_by_ms = 0
        self.days_passed_ms = 0
        """Time in which nothing happened anywhere, and over which the simulation leapt."""

    def now(self) -> Instant:
        return Instant(EPOCH_MS + int(self._loop.time() * 1000) + self.days_passed_ms + self.wrong_by_ms)

    def steady_ms(self) -> int:
        return int(self._loop.time() * 1000)


class Worker:
    """One process that serves the bank, from its start to its death."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.house: House | None = None
        self.answers_peers = False
        self.answers_clients = False


class SimulatedBank:
    def __init__(
        self,
        ispb: Ispb,
        name: str,
        roster: Roster,
        key: Ed25519PrivateKey,
        disk: Disk,
        workers: int,
        loop: VirtualLoop,
        network: Network,
        seed: int,
        note: Note,
        quiet: Callable[[], bool] = lambda: False,
        limits: LimitRules | None = None,
    ) -> None:
        """`quiet` says whether nothing has happened anywhere for a while."""
        self.ispb = ispb
        self.name = name
        self.key = key
        self.disk = disk
        self.clock = SimulatedClock(loop)
        self.workers: list[Worker] = []
        self.stopped_because: str | None = None
        """Why the bank's own program refused to go on (PROTOCOL 2.6)."""
        self.locked = False
        """Whoever would start it again does not."""
        self.suspect = False
        """Its database is not the one that it should have; no client is served."""
        self.was_suspect = False
        """At any time of the run."""
        self._bank = Bank(ispb=ispb, roster=roster, mandate_secret=secret_of(ispb), limits=limits)
        self._worker_count = workers
        self._loop = loop
        self._network = network
        self._seed = seed
        self._note = note
        self._quiet = quiet
        self._births = 0
        self._dice = SeededDice(seed, f"bank {ispb}")
        network.receivers[ispb] = self
        disk.on_power_cut = lambda: self.crash("the power failed in the middle of a write")

    # Life and death.

    @property
    def up(self) -> bool:
        return bool(self.workers)

    @property
    def paused(self) -> bool:
        return any(worker.process.paused for worker in self.workers)

    def start(self) -> None:
        """Brings it up with all its workers, unless it is up or locked."""
        self.stopped_because = None
        while len(self.workers) < self._worker_count and not self.locked:
            self._births += 1
            process = Process(self._loop, f"{self.name}#{self._births}")
            worker = Worker(process)
            self.workers.append(worker)
            self._note(self.name, f"starts process {self._births}")
            process.spawn(self._serve(worker))

    def crash(self, why: str, workers: int | None = None) -> None:
        """`kill -9`: of all its processes, or of so many. They are not asked, and clean nothing up."""
        victims = self.workers[:workers]
        if not victims:
            return
        self._note(self.name, f"dies: {why}")
        self.workers = self.workers[len(victims) :]
        if not self.workers and self.disk.connection.in_transaction:
            self.disk.connection.execute("ROLLBACK")
        for worker in victims:
            worker.process.die()

    def pause(self) -> None:
        self._note(self.name, "stands still")
        for worker in self.workers:
            worker.process.pause()

    def resume(self) -> None:
        if self.paused:
            self._note(self.name, "goes on")
        for worker in self.workers:
            worker.process.resume()

    async def _serve(self, worker: Worker) -> None:
        dice = PatientDice(self._seed, f"process {worker.process.name}", self._quiet)

        def put_back(why: str) -> None:
            self.stopped_because = why
            self._note(self.name, f"refuses to go on: {why}")
            self._loop.call_soon(self.crash, "it was put back", context=OUTSIDE)

        disk, process = self.disk, worker.process
        store = SqlStore(
            self._bank,
            SimulatedDatabase(disk),
            disk.reader(),
            self.clock,
            dice,
            readers=disk.reads,
        )
        try:
            await store.open()
            worker.house = house = build(
                self._bank,
                store,
                self.key,
                Wire(self._network, self.ispb, process),
                self.clock,
                dice,
                put_back,
                operator_token=_OPERATOR,
                sealing_key=bytes(32),
                heads_every_s=HEADS_EVERY_S,
                nonces=process.name.replace("#", "."),
                # A copy may reach another worker, which has not heard it: so the agreement must bear every one.
                first_time=lambda _request, _now: True,
            )
            await house.peers.start()
            await house.node.start()
        except Unavailable as error:
            self._note(self.name, f"cannot start: {error}")
            self._loop.call_later(START_AGAIN_S, self._start_again, worker, context=OUTSIDE)
            return
        worker.answers_peers = True
        await house.peers.greet(GREET_S)
        worker.answers_clients = True
        self._note(self.name, "serves")

    def _start_again(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
            worker.process.die()
            self.start()

    # What it is asked.

    def knock(self, parcel: Parcel, answered: Callable[[Response | None], None]) -> bool:
        """The network's Receiver: one of the bank's workers takes the request."""
        listening = [worker for worker in self.workers if worker.answers_peers]
        if not listening:
            return False
        worker = self._dice.pick(listening)
        self._until_death(worker, lambda: self._listen(worker, parcel), answered, None)
        return True

    async def _listen(self, worker: Worker, parcel: Parcel) -> Response:
        assert worker.house is not None, "who listens is whole"
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": parcel.body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(name.lower().encode(), value.encode()) for name, value in parcel.headers.items()]
        scope = {"type": "http", "path": PATH, "method": METHOD, "headers": headers}
        await worker.house.listener(scope, receive, send)
        start, body = sent
        lines = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return Response(start["status"], lines, body["body"])

    async def ask(self, work: Callable[[Node], Awaitable[Any]], timeout_s: float) -> Any:
        """What a client hears from the bank. Raises Away, Unavailable, Overloaded, PeerUnreachable."""
        serving = [worker for worker in self.workers if worker.answers_clients]
        if not serving or self.suspect:
            raise Away
        worker = self._dice.pick(serving)
        answer: asyncio.Future[Any] = self._loop.create_future()

        async def serve() -> Any:
            assert worker.house is not None, "who serves is whole"
            try:
                return await work(worker.house.node)
            except (Unavailable, Overloaded, PeerUnreachable) as error:
                return error

        def answered(result: Any) -> None:
            if not answer.done():
                answer.set_result(result)

        self._until_death(worker, serve, answered, Away())
        async with asyncio.timeout(timeout_s):
            result = await answer
        if isinstance(result, Exception):
            raise result
        return result

    def _until_death(self, worker: Worker, work: Any, answered: Callable[[Any], None], if_dead: Any) -> None:
        """Has the worker do it; `answered` hears the result, outside, or `if_dead`."""
        process = worker.process

        def died() -> None:
            self._loop.call_soon(answered, if_dead, context=OUTSIDE)

        async def run() -> None:
            result = await work()
            process.on_death.remove(died)
            self._loop.call_soon(answered, result, context=OUTSIDE)

        process.on_death.append(died)
        process.spawn(run())


def secret_of(bank: Ispb) -> bytes:
    return bank.encode() * 4
