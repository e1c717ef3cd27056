"""The one place where parts are chosen and wired: from a bank's settings to a running node.

A bank is one process, or, on PostgreSQL, a parent that only binds the sockets and watches over its workers. Workers
share the listening sockets, and end with their parent however it ends: each holds the reading end of a pipe that only
the parent can write to, and the kernel closes it even when the parent is killed.
"""

import asyncio
import errno
import gc
import logging
import os
import random
import resource
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvicorn
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ciranda import ports
from ciranda.api.app import make_app
from ciranda.api.peer_messages import REQUESTS_PER_S, PeerListener
from ciranda.api.protocol import CONNECTIONS_MAX, ProblemProtocol
from ciranda.engine.bank import Bank
from ciranda.instant import Instant
from ciranda.node.answers import Answers
from ciranda.node.batches import Batches
from ciranda.node.coordinator import Coordinator
from ciranda.node.heads import EXCHANGE_EVERY_S, HeadKeeper
from ciranda.node.heights import HeightKeeper
from ciranda.node.linking import Linking
from ciranda.node.node import Node
from ciranda.node.operators import Operators
from ciranda.node.people import USUAL_RULES, People, PeopleRules
from ciranda.node.recovery import Recovery
from ciranda.node.register import RegisterClient
from ciranda.node.seal import Seal
from ciranda.node.second_factors import SecondFactors
from ciranda.peers.http import HttpPeers
from ciranda.peers.transport import HttpTransport, Transport
from ciranda.ports import Clock, Dice, Peers
from ciranda.reloading import Reloading
from ciranda.settings import BankSettings, load
from ciranda.storage import SchemaMismatch, WrongBank, check_schema, make_store
from ciranda.storage.opening import is_sqlite
from ciranda.storage.store import SqlStore
from ciranda.tls import Contexts
from ciranda.wire.head import Hand
from ciranda.wire.signature import SignedRequest

log: structlog.stdlib.BoundLogger = structlog.get_logger()

DRAIN_S = 10
STOP_WORKERS_S = 3 * DRAIN_S
WATCH_S = 0.2
PATIENCE_S = 5
BACKLOG = 2048
HEADERS = [("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
"""Of every answer: balances and tokens are kept by nobody on the way, and text is not taken for a page."""
GREET_S = 0.5
DRAWN_AT_ONCE = 1_024
YOUNG_OBJECTS = 200_000
"""How many before the garbage collector looks at them: nearly all of a payment's are gone by themselves long before. More
than what lives of some hundreds of waiting orders, so that it does not look at these again and again."""
_RELOAD = {signal.SIGHUP}


class CannotServe(Exception):
    """The bank cannot be served as it is set up; the text says why, and what helps."""


class WallClock:
    """The port Clock."""

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1_000_000)

    def steady_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class SystemDice:
    """The port Dice, from the operating system's randomness where it must not be guessed."""

    def __init__(self) -> None:
        self._drawn = b""

    def token(self) -> str:
        return secrets.token_urlsafe(32)

    def bits(self, count: int) -> int:
        width = (count + 7) // 8
        if len(self._drawn) < width:
            # One call for many: each costs as much as all the rest of making an id.
            self._drawn = os.urandom(DRAWN_AT_ONCE)
        drawn, self._drawn = self._drawn[:width], self._drawn[width:]
        return int.from_bytes(drawn) >> (8 * width - count)

    def between(self, low: float, high: float) -> float:
        return random.uniform(low, high)


def serve(bank_toml: Path, workers: int) -> None:
    """Runs the bank in the foreground until SIGTERM or SIGINT, and drains it. Raises CannotServe and what the
    settings and the storage raise."""
    settings = load(bank_toml)
    if workers > 1 and is_sqlite(settings.database):
        raise CannotServe("more than one worker needs PostgreSQL: an SQLite file has one writer")
    try:
        check_schema(settings.database)
    except SchemaMismatch as error:
        raise CannotServe(f"{error}; bring it up to date with: ciranda migrate {bank_toml}") from error
    # Settings change while a bank runs, at this signal too: until somebody listens for it, it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, _RELOAD)
    contexts = Contexts(settings)
    _take_files()
    sockets = _bind(settings)
    if workers > 1:
        _configure_log(settings)
        sys.exit(_watch_over(bank_toml, workers, sockets))
    else:
        _run(bank_toml, settings, contexts, sockets)


def _take_files() -> None:
    """As many open files as both listeners may have connections, and some, if this machine lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS_MAX + 1_000
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _bind(settings: BankSettings) -> list[socket.socket]:
    """The public listener's socket and the peers' one."""
    sockets = []
    for host, port in (
        (settings.public_host, settings.public_port),
        (settings.peer_host, settings.peer_port),
    ):
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _take(listener, host, port)
        listener.listen(BACKLOG)
        sockets.append(listener)
    return sockets


def _take(listener: socket.socket, host: str, port: int) -> None:
    """Binds the socket. The workers of a parent that was killed may hold the address for some moments more."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            return listener.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                raise CannotServe(f"cannot listen on {host}:{port}: {error.strerror}") from error
        time.sleep(WATCH_S)


# Several workers.


def _watch_over(bank_toml: Path, workers: int, sockets: list[socket.socket]) -> int:
    """Starts the workers, starts again those that die, and ends them at SIGTERM; the exit status."""
    alive, life = os.pipe()
    handles = [alive, *(listener.fileno() for listener in sockets)]
    command = [sys.executable, "-m", "ciranda.assembly", str(bank_toml), *map(str, handles)]
    stopping = threading.Event()
    status = 0

    def stop(_signal: int, _frame: object) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    children: list[subprocess.Popen[bytes]] = []
    while not stopping.is_set():
        dead = [child for child in children if child.poll() is not None]
        if any(child.returncode == PUT_BACK for child in dead):
            status = PUT_BACK
            break
        for child in dead:
            log.warning("worker_died", status=child.returncode)
            children.remove(child)
        if signal.sigtimedwait(_RELOAD, 0):
            for child in children:
                child.send_signal(signal.SIGHUP)
        while len(children) < workers:
            children.append(subprocess.Popen(command, pass_fds=handles))  # noqa: S603
        stopping.wait(WATCH_S)
    for child in children:
        # On a database that was put back not even what is under way may come to its end.
        child.kill() if status == PUT_BACK else child.terminate()
    for child in children:
        try:
            child.wait(STOP_WORKERS_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    os.close(life)
    return status


def _work(bank_toml: str, alive: int, sockets: list[socket.socket]) -> None:
    """One of several workers. However busy it is, it ends with its parent: nothing would stop it any more."""
    threading.Thread(target=_end_with_parent, args=[alive], daemon=True).start()
    settings = load(Path(bank_toml))
    _run(Path(bank_toml), settings, Contexts(settings), sockets)


def _end_with_parent(alive: int) -> None:
    os.read(alive, 1)
    os._exit(1)


# One process.

PUT_BACK = 3
"""Exit status of a bank that noticed that its database was put back to an earlier moment."""


def _run(bank_toml: Path, settings: BankSettings, contexts: Contexts, sockets: list[socket.socket]) -> None:
    _configure_log(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live(bank_toml, settings, contexts, sockets))


def _put_back(why: str) -> None:
    """Nothing that this process has in hand may go on, not even to its end: it rests on a database that is wrong."""
    log.critical("put_back", why=why)
    sys.stderr.flush()
    os._exit(PUT_BACK)


async def _live(
    bank_toml: Path, settings: BankSettings, contexts: Contexts, sockets: list[socket.socket]
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    bank = bank_of(settings)
    clock, dice = WallClock(), SystemDice()
    store = make_store(settings.database, bank, clock, dice)
    try:
        await store.open()
    except WrongBank as error:
        raise CannotServe(str(error)) from error
    house = build(
        bank,
        store,
        settings.signing_key,
        HttpTransport(contexts.calls),
        clock,
        dice,
        _put_back,
        operator_token=settings.operator_token,
        sealing_key=_derive(settings.secret, "links"),
        rules=settings.people,
        nonces=dice.token()[:16],
        heads_every_s=settings.heads_every_s,
        requests_per_s=settings.peer_requests_per_s,
    )
    node, peers, listener = house.node, house.peers, house.listener
    await peers.start()
    await node.start()
    public = _server(make_app(node, settings.trusted_proxies), contexts.public)
    private = _server(listener, contexts.peers)
    reloading = Reloading(bank_toml, settings, bank, store, [listener, peers, house.hand], contexts)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    # A terminal that is closed says the same, and means that it is over.
    loop.add_signal_handler(signal.SIGHUP, stop.set if sys.stderr.isatty() else reloading.ask)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _RELOAD)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    # The peers' door opens first, and they are greeted, so that they know us to be up before our customers ask for
    # them. It closes last: the other banks' answers are needed to finish what is under way.
    serving_peers = asyncio.create_task(private.serve([sockets[1]]))
    await peers.greet(GREET_S)
    serving_public = asyncio.create_task(public.serve([sockets[0]]))
    stopped = asyncio.create_task(stop.wait())
    watching = asyncio.create_task(reloading.run())
    log.info("serving", bank=settings.ispb, public=settings.public_port, peers=settings.peer_port)
    await asyncio.wait([stopped, serving_public, serving_peers], return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    public.should_exit = True
    await serving_public
    await node.drain(DRAIN_S)
    private.should_exit = True
    await serving_peers
    await peers.close()
    store.close()
    stopped.cancel()
    log.info("stopped", bank=settings.ispb)


class House(msgspec.Struct, frozen=True):
    """A bank's parts, wired."""

    node: Node
    peers: HttpPeers
    listener: PeerListener
    hand: Hand


def build(
    bank: Bank,
    store: SqlStore,
    signing_key: Ed25519PrivateKey,
    transport: Transport,
    clock: Clock,
    dice: Dice,
    put_back: Callable[[str], None],
    *,
    operator_token: str,
    sealing_key: bytes,
    nonces: str,
    heads_every_s: float = EXCHANGE_EVERY_S,
    rules: PeopleRules = USUAL_RULES,
    requests_per_s: int = REQUESTS_PER_S,
    first_time: Callable[[SignedRequest, int], bool] | None = None,
) -> House:
    """A whole bank over the given doors to the world. `put_back` is told why the bank must not go on. `nonces`: what
    no other process of the bank begins its nonces with; the last two are for the peers' listener."""
    heights = HeightKeeper(store, put_back, _derive(sealing_key, "heights"), clock)

    def seconds() -> int:
        return clock.now() // 1000

    peers = HttpPeers(
        bank.ispb,
        bank.roster,
        signing_key,
        heights,
        dice,
        seconds,
        transport,
        # A vote is waited for until the deadline (PROTOCOL 5.3); that a peer is silent is known sooner.
        request_timeout_ms=bank.roster.deadline_ms,
        probe_timeout_ms=bank.roster.deadline_ms // 2,
        nonces=nonces,
    )
    hand = Hand(bank.ispb, bank.roster, signing_key)
    node = make_node(
        bank,
        store,
        heights,
        peers,
        clock,
        dice,
        operator_token=operator_token,
        sealing_key=sealing_key,
        hand=hand,
        heads_every_s=heads_every_s,
        rules=rules,
    )
    peers.on_return.append(node.peer_returned)
    listener = PeerListener(
        bank.ispb,
        bank.roster,
        signing_key,
        heights,
        node.answers.respond,
        peers.heard_from,
        seconds,
        requests_per_s=requests_per_s,
        first_time=first_time,
    )
    return House(node, peers, listener, hand)


def make_node(
    bank: Bank,
    store: SqlStore,
    heights: HeightKeeper,
    peers: Peers,
    clock: Clock,
    dice: Dice,
    *,
    operator_token: str,
    sealing_key: bytes,
    hand: ports.Hand,
    heads_every_s: float = EXCHANGE_EVERY_S,
    rules: PeopleRules = USUAL_RULES,
) -> Node:
    """A node over the given doors to the world."""
    batches = Batches(store, store.lanes)
    register = RegisterClient(bank, batches, peers, clock, dice)
    coordinator = Coordinator(bank, store, batches, peers, register, clock, dice)
    heads = HeadKeeper(bank, store, peers, hand, clock, dice, heads_every_s)
    answers = Answers(bank, store, batches, heads, clock)
    operators = Operators(bank, store, batches, clock, dice, operator_token)
    second_factors = SecondFactors(
        store,
        clock,
        dice,
        Seal(_derive(sealing_key, "second factors"), dice),
        issuer=bank.roster.members[bank.ispb].name,
        rules=rules.second_factor,
    )
    seal = Seal(sealing_key, dice)
    return Node(
        bank=bank,
        store=store,
        peers=peers,
        batches=batches,
        coordinator=coordinator,
        recovery=Recovery(bank, store, batches, peers, coordinator, register, clock, dice),
        answers=answers,
        linking=Linking(bank, store, batches, peers, answers, clock, seal),
        people=People(store, clock, dice, operators, second_factors, rules),
        operators=operators,
        second_factors=second_factors,
        heights=heights,
        heads=heads,
        seal=seal,
        clock=clock,
        dice=dice,
    )


class _Server(uvicorn.Server):
    """Two of these share one loop, so signals are taken by `_live` for both."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: Any, tls: ssl.SSLContext | None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=ProblemProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=HEADERS,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_S,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
    )


def bank_of(settings: BankSettings) -> Bank:
    """The bank with its own figures for what each peer may owe it."""
    return Bank(
        ispb=settings.ispb,
        roster=settings.own_roster,
        mandate_secret=_derive(settings.secret, "mandates"),
        two_person=settings.two_person,
        limits=settings.limits,
    )


def _derive(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose: none of them tells anything of the others."""
    return HKDF(SHA256(), 32, salt=None, info=f"ciranda {purpose}".encode()).derive(secret)


def _configure_log(settings: BankSettings) -> None:
    """One JSON object a line, on standard error. No line for each payment: metrics count those."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # What it warns of is each client that speaks no HTTP: strangers would fill the disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(bank=settings.ispb)


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]), [socket.socket(fileno=int(handle)) for handle in sys.argv[3:]])
