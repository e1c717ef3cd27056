"""While strangers do their worst to both listeners of a bank, its customers pay, and so do those of other banks."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.system.answers import found, settled
from tests.system.consortium import Bank, Consortium, transfer
from tests.system.patience import eventually

PAYMENTS = 30
PATIENCE_S = 10.0
"""For one payment, of two banks on this machine under attack; a quiet one takes some hundredths of a second."""

LOG_MAX = 10_000
"""Bytes: strangers do not fill the disk."""

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]

HEAD = b"POST /v1/payments HTTP/1.1\r\nhost: b\r\n"


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _slow_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"x: y\r\n")
        await asyncio.sleep(0.1)


async def _slow_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.1)


async def _endless_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"a: 1\r\n" * 1_000)
        await writer.drain()


async def _large_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await writer.drain()


async def _unread(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Asks for much, and takes nothing of it."""
    for _ in range(200):
        writer.write(b"GET /openapi.json HTTP/1.1\r\nhost: b\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(PATIENCE_S)


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 100)
    await reader.read()


async def _upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wants to speak something else from here on."""
    writer.write(b"GET /v1/bank HTTP/1.1\r\nhost: b\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    await reader.readline()


ATTACKS: dict[str, tuple[Attack, int]] = {
    "connections on which nothing is said": (_silent, 150),
    "heads that drip": (_slow_head, 60),
    "bodies that drip": (_slow_body, 60),
    "heads without end": (_endless_head, 3),
    "bodies without end": (_large_body, 3),
    "answers that nobody fetches": (_unread, 2),
    "no HTTP at all": (_garbage, 6),
    "another protocol": (_upgrade, 3),
}
"""Each with how many at once. Whoever is hung up on comes again."""


@contextmanager
def under_attack(bank: Bank) -> Iterator[list[int]]:
    """Both listeners, until the end of the block. Yields how many connections were made so far."""
    ended, made = threading.Event(), [0]

    async def again_and_again(port: int, attack: Attack) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                made[0] += 1
                try:
                    await attack(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.05)

    async def rage() -> None:
        ports = [urlsplit(url).port or 0 for url in (bank.public_url, bank.peer_url)]
        tasks = [
            asyncio.create_task(again_and_again(port, attack))
            for attack, at_once in ATTACKS.values()
            for port in ports
            for _ in range(at_once)
        ]
        await asyncio.to_thread(ended.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=[rage()])
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        thread.join()


def test_payments_inside_and_between_banks_go_on_under_attack(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana, wallet = here.someone("Ana Maria", 10_000)
    bia, till = here.someone("Bia Maria")
    zoe, purse = there.someone("Zoe Maria", 10_000)
    took: list[float] = []
    size = here.log.stat().st_size
    with under_attack(here) as made:
        eventually(lambda: _at_least(made, 600))
        for _ in range(PAYMENTS):
            for payer, order in (
                (ana, transfer(wallet, till, 1)),
                (ana, transfer(wallet, purse, 1)),
                (zoe, transfer(purse, till, 1)),
            ):
                start = time.monotonic()
                settled(payer.pay(order))
                took.append(time.monotonic() - start)
    assert max(took) < PATIENCE_S, sorted(took)
    assert here.log.stat().st_size - size < LOG_MAX, here.tail()
    bia.balance_becomes(till, 2 * PAYMENTS)
    zoe.balance_becomes(purse, 10_000)
    assert ana.balance(wallet) == 10_000 - 2 * PAYMENTS
    assert found(here.call("GET", "/health/ready")) == {"status": "ready"}
    assert here.reaches() == {bank.ispb for bank in circle.banks[1:]}


def _at_least(made: list[int], count: int) -> None:
    assert made[0] >= count


@pytest.mark.parametrize("listener", ["public_url", "peer_url"])
def test_what_strangers_held_is_given_back(circle: Consortium, listener: str) -> None:
    """Nothing is left of an attack once it is over."""

    bank = circle.banks[0]
    port = urlsplit(getattr(bank, listener)).port

    def check() -> None:
        open_ones = [
            one
            for one in psutil.Process(bank.process.pid).net_connections("tcp")
            if one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
        ]
        # The other banks keep some.
        assert len(open_ones) < 50, len(open_ones)

    eventually(check)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/bank", 200), ("/v1/accounts", 401), ("/nothing", 404), ("/docs", 200), ("/metrics", 200)],
)
def test_no_answer_is_kept_on_the_way_or_taken_for_what_it_is_not(
    circle: Consortium, path: str, status: int
) -> None:
    answer = circle.banks[0].call("GET", path)
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer.headers
    policy = answer.headers.get("Content-Security-Policy", "")
    assert ("default-src 'none'" in policy) == (path == "/docs")
