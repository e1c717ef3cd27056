"""What all peers have in common: each is started at a site, answers a payment over HTTP, and can count its money.

A peer is handed sockets that listen already, on free ports of 127.0.0.1. It ends with the block that started it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import msgspec

from bench.peers.postgresql import PostgreSQL, measured_postgresql
from ciranda.bench.conditions import conditions
from ciranda.identity import Address, Ispb, make_address

READY_S = 60.0
STOP_S = 30.0
ROOT = Path(__file__).parents[2]
HERE, THERE = Ispb("10000001"), Ispb("10000002")
"""The two banks."""
BALANCE = 10**9
"""What each account begins with, in minor units."""


NO_TOKEN = "-" * 43
"""As long as a session's; who is not Ciranda does not look at it."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that answers."""

    addresses: tuple[tuple[str, int], ...]
    """Request n goes to number n % len(addresses)."""
    pids: tuple[int, ...]
    """Its processes; their children belong to it too."""
    request: Callable[[int], bytes]
    """The whole HTTP request of the payment with this number; each number is another payment."""
    money: Callable[[], int]
    """The sum of all its balances, in minor units, once nothing is under way. An echo has none."""


class Site:
    """Where a comparison takes place."""

    def __init__(self, folder: Path, accounts: int, ending: ExitStack) -> None:
        """`accounts`: of each bank. What is started here ends with `ending`."""
        self.accounts = accounts
        self._folder = folder
        self._ending = ending
        self._postgresql: PostgreSQL | None = None

    @property
    def postgresql(self) -> PostgreSQL:
        """One for all who need it; started when the first does."""
        if self._postgresql is None:
            self._postgresql = self._ending.enter_context(measured_postgresql())
        return self._postgresql

    def settle(self) -> None:
        """PostgreSQL writes what it still owes to its files now, and not while somebody else is measured."""
        if self._postgresql is not None:
            self._postgresql.checkpoint()

    def conditions(self) -> dict[str, str]:
        """What is known of PostgreSQL, if it was needed."""
        if self._postgresql is None:
            return {}
        told = conditions(self._folder, self._postgresql.template)
        return {"postgresql": told.database, "durability of postgresql": told.durability}

    def folder(self, name: str) -> Path:
        """A new one."""
        made = self._folder / name
        made.mkdir()
        return made


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    what: str
    """In a few words, for the table."""
    start: Callable[[Site], AbstractContextManager[Running]]


def account(bank: Ispb, number: int) -> Address:
    return make_address(bank, "0001", f"{number:08d}")


def payment(number: int, source: str, target: str, token: str = NO_TOKEN) -> bytes:
    """The bytes of a POST as a client of Ciranda sends it."""
    body = b'{"transfers":[{"source":"%b","target":"%b","amount":1}]}' % (source.encode(), target.encode())
    return (
        b"POST /v1/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\nIdempotency-Key: n%d\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    ) % (token.encode(), number, len(body), body)


def scatter(number: int, accounts: int) -> tuple[int, int]:
    """Which two of so many accounts the payment with this number is between: spread over all of them, and without a
    pattern that a database could like."""
    scattered = number * 2_654_435_761 % 2**32
    return scattered % accounts, scattered // accounts % accounts


def between(number: int, accounts: int) -> bytes:
    """From an account of one bank to an account of the other."""
    source, target = scatter(number, accounts)
    return payment(number, account(HERE, source), account(THERE, target))


def listen() -> socket.socket:
    """On a free port of 127.0.0.1."""
    listener = socket.socket()
    # What it accepts inherits this. Not every server sets it on a socket that it was handed, and without it each
    # answer waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()
    return str(host), int(port)


@contextmanager
def process(
    command: Sequence[str | Path], log: Path, listener: socket.socket | None = None, **environment: str
) -> Iterator[int]:
    """Runs the command in a process group of its own until the block ends; its pid. It inherits the listener, and
    what it says goes to `log`."""
    with log.open("ab") as said:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd=ROOT,
            env={**os.environ, **environment},
            pass_fds=[] if listener is None else [listener.fileno()],
            start_new_session=True,
        )
    if listener is not None:
        # From here on the child alone listens: nobody connects to one that has died.
        listener.close()
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def uvicorn(app: str, listener: socket.socket, log: Path, **environment: str) -> AbstractContextManager[int]:
    """One process of uvicorn as Ciranda has it: uvloop and httptools, no line for each request."""
    command = [sys.executable, "-m", "uvicorn", app, "--fd", str(listener.fileno()), "--loop", "uvloop"]
    command += [
        "--http",
        "httptools",
        "--ws",
        "none",
        "--no-access-log",
        "--no-server-header",
        "--no-proxy-headers",
    ]
    command += ["--log-level", "warning", "--timeout-keep-alive", "75"]
    return process(command, log, listener, **environment)


def wait_until_it_answers(address: tuple[str, int]) -> None:
    """Whatever it answers: also that there is no such page."""
    patience_ends = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/", timeout=READY_S):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > patience_ends:
                raise
        time.sleep(0.05)
