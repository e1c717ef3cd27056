"""What a socket can do that no client library does: floods, drips, silence, and paths that pretend to be others."""

import asyncio
import json
import os
import random
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from ciranda.api import protocol
from ciranda.api.protocol import HEAD_MAX, HEADERS_MAX, ProblemProtocol
from ciranda.wire.problem import STATUS, Problem, problem
from tests.api.bank import Pair, pair, transfer

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("banks")) as both:
        yield both


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"HEAD_S": 0.3, "MESSAGE_S": 0.6, "FETCH_S": 0.3, "LOOK_S": 0.05}.items():
        monkeypatch.setattr(protocol, name, seconds)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with how much it was sent, or, at /much, with more than any buffer holds."""
    size, more = 0, scope["path"] != "/at-once"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"x" * (64 * 1024 * 1024) if scope["path"] == "/much" else str(size).encode()
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


class Served:
    def __init__(self, port: int, server: uvicorn.Server) -> None:
        self.port = port
        self.server = server

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def say(self, *pieces: bytes) -> bytes:
        """Sends them one after another, and returns all that is said until the connection is closed."""
        async with asyncio.timeout(PATIENCE_S), self.connection() as (reader, writer):
            for piece in pieces:
                try:
                    writer.write(piece)
                    await writer.drain()
                except ConnectionError:
                    break
            try:
                return await reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Served]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=ProblemProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    with sock:
        running = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield Served(sock.getsockname()[1], server)
        finally:
            server.should_exit = True
            await running


def check_problem(said: bytes, code: str) -> None:
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {STATUS[code]} ".encode()), said[:200]
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert json.loads(body)["code"] == code


GET = b"GET / HTTP/1.1\r\nhost: b\r\n"


def test_a_head_that_is_never_finished_is_ended_however_busily_it_drips() -> None:
    async def story() -> None:
        async with serving(echo) as served, asyncio.timeout(PATIENCE_S):
            async with served.connection() as (reader, writer):
                writer.write(GET)
                answer = asyncio.create_task(reader.read())
                wire = writer.get_extra_info("socket").fileno()
                while not answer.done():
                    # Not through the writer: what comes too late would break the reading off, too.
                    with suppress(OSError):
                        os.write(wire, b"x: y\r\n")
                    await asyncio.wait([answer], timeout=0.02)
                check_problem(await answer, "too_slow")
            check_problem(await served.say(b"\r\n", b"\r\n"), "too_slow")

    asyncio.run(story())


def test_a_connection_on_which_nothing_is_said_is_closed_without_a_word() -> None:
    async def story() -> None:
        async with serving(echo) as served:
            assert await served.say() == b""

    asyncio.run(story())


def test_a_body_that_takes_longer_than_its_minute_is_ended() -> None:
    async def story() -> None:
        async with serving(echo) as served:
            head = b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 1000\r\n\r\n"
            check_problem(await served.say(head, b"{", b"}"), "too_slow")
            # Also one that nobody reads, because the answer was given without it.
            said = await served.say(head.replace(b"/ ", b"/at-once ", 1), b"{")
            assert said.startswith(b"HTTP/1.1 200")

    asyncio.run(story())


def test_a_client_that_does_not_fetch_its_answer_is_hung_up_on() -> None:
    async def story() -> None:
        async with (
            asyncio.timeout(PATIENCE_S),
            serving(echo) as served,
            served.connection() as (_, writer),
        ):
            writer.write(GET.replace(b"/ ", b"/much ", 1) + b"\r\n")
            while not served.server.server_state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while served.server.server_state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(story())


def test_requests_one_after_another_on_one_connection_are_not_too_slow_together() -> None:
    async def story() -> None:
        async with serving(echo) as served, served.connection() as (reader, writer):
            loop = asyncio.get_running_loop()
            end = loop.time() + 1.0
            count = 0
            while loop.time() < end:
                writer.write(GET + b"\r\n")
                assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
                count += 1
                await asyncio.sleep(0.05)
            assert count > 3

    asyncio.run(story())


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(b"h%d: 1\r\n" % number for number in range(HEADERS_MAX + 1)),
        b"a: 1\r\n" * 50_000,
        b"x: " + b"y" * (HEAD_MAX * 8),
    ],
    ids=["one too many", "many", "long"],
)
def test_a_flood_of_headers_is_a_bad_request(flood: bytes) -> None:
    async def story() -> None:
        async with serving(echo) as served:
            said = await served.say(GET, *(flood[at : at + 8192] for at in range(0, len(flood), 8192)))
            # It may be cut off while it still sends, and then it hears nothing.
            if said:
                check_problem(said, "bad_request")
            assert not served.server.server_state.connections

    asyncio.run(story())


def test_an_endless_path_and_endless_trailers_are_bad_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MESSAGE_MAX", 100_000)

    async def story() -> None:
        async with serving(echo) as served:
            for head, more in (
                (b"GET /", b"a" * 8192),
                (
                    b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ",
                    b"a" * 8192,
                ),
                (b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a" * 8192),
            ):
                said = await served.say(head, *[more] * 100)
                if said:
                    check_problem(said, "bad_request")
                assert not served.server.server_state.connections

    asyncio.run(story())


def test_beyond_so_many_connections_no_more_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(protocol, "HEAD_S", PATIENCE_S)

    async def story() -> None:
        async with serving(echo) as served, served.connection() as (reader, writer):
            writer.write(GET + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            assert await served.say(GET + b"\r\n") == b""

    asyncio.run(story())


NONSENSE = [
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: b\r\n folded: 1\r\nx : y\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabcdef\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: gzip, identity\r\ncontent-length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nhost: b\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nhost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: b\r\nx: \x00\r\n\r\n",
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_what_is_no_http_is_a_bad_request(nonsense: bytes) -> None:
    async def story() -> None:
        async with serving(echo) as served:
            check_problem(await served.say(nonsense), "bad_request")

    asyncio.run(story())


# Requests within requests.


def test_requests_sent_in_one_piece_are_answered_one_after_another_each_with_its_own(banks: Pair) -> None:
    ana, bia = banks.here.someone(7), banks.here.someone(9)

    def ask(token: str, path: str, more: bytes = b"") -> bytes:
        head = f"GET {path} HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {token}\r\n"
        return head.encode() + more + b"\r\n"

    async def story() -> bytes:
        async with serving(banks.here.app) as served:
            return await served.say(
                ask(ana.token, "/v1/accounts")
                + ask("nobody", "/v1/accounts")
                + ask(bia.token, "/v1/accounts")
                + ask(ana.token, f"/v1/accounts/{bia.account}", b"connection: close\r\n")
            )

    said = banks.here.run(story())
    assert [int(one) for one in re.findall(rb"HTTP/1.1 (\d+) ", said)] == [200, 401, 200, 404]
    assert said.index(ana.account.encode()) < said.index(b" 401 ") < said.index(bia.account.encode())


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 0\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 0\r\n",
        b"content-length: 0\r\ncontent-length: %d\r\n",
        b"content-length: 0\r\ntransfer-encoding:\x0bchunked\r\n",
        b"content-length: 0\r\ntransfer-encoding : chunked\r\n",
    ],
)
def test_no_request_hides_in_the_body_of_another(banks: Pair, head: bytes) -> None:
    """Whatever a proxy in front of the bank makes of it, the bank does not answer it as two."""
    payer, shop = banks.here.someone(100), banks.here.someone()
    body = json.dumps({"transfers": [transfer(payer.account, shop.account, 10)]}).encode()
    hidden = (
        b"POST /v1/payments HTTP/1.1\r\nhost: b\r\nidempotency-key: hidden\r\nauthorization: Bearer "
        + payer.token.encode()
        + b"\r\ncontent-length: %d\r\n\r\n" % len(body)
        + body
    )
    chunked = b"0\r\n\r\n" + hidden
    head = head % len(chunked) if b"%d" in head else head

    async def story() -> bytes:
        async with serving(banks.here.app) as served:
            return await served.say(b"POST /v1/bank HTTP/1.1\r\nhost: b\r\n" + head + b"\r\n" + chunked)

    said = banks.here.run(story())
    assert said.count(b"HTTP/1.1 ") == 1, said
    assert b" 400 " in said[:20]
    assert banks.here.balance(payer) == 100


@pytest.mark.parametrize("host", [b"", b"host: \r\n", b"host: a\r\nhost: b\r\n", b"host: evil.example\r\n"])
def test_the_bank_believes_no_host(banks: Pair, host: bytes) -> None:
    async def story() -> bytes:
        async with serving(banks.here.app) as served:
            forwarded = b"x-forwarded-host: evil.example\r\nx-original-url: /v1/operator/audit\r\n"
            head = b"GET /v1/bank HTTP/1.1\r\nconnection: close\r\n"
            return await served.say(head + host + forwarded + b"\r\n")

    said = banks.here.run(story())
    assert said.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
    assert b"evil" not in said
    assert b"location:" not in said.lower()


def test_any_bytes_on_a_connection_are_answered_or_hung_up_on(banks: Pair) -> None:
    payer, shop = banks.here.someone(100), banks.here.someone()
    body = json.dumps({"transfers": [transfer(payer.account, shop.account, 0)]}).encode()
    whole = (
        b"POST /v1/payments?a=b HTTP/1.1\r\nhost: b\r\nconnection: close\r\nidempotency-key: k\r\nauthorization: Bearer "
        + payer.token.encode()
        + b"\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(body)
        + body
        + b"\r\n0\r\n\r\n"
    )
    dice = random.Random(5)

    def damaged() -> bytes:
        said = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            place = dice.randrange(len(said))
            match dice.randrange(4):
                case 0:
                    said[place] = dice.randrange(256)
                case 1:
                    del said[place : place + dice.randrange(1, 40)]
                case 2:
                    said[place:place] = dice.choice((b"\r\n", b"\x00", b" ", b"\xff", b"9" * 30, b"\r\n\r\n"))
                case _:
                    said[place:place] = said[: dice.randrange(1, 80)]
        return bytes(said)

    async def story() -> list[bytes]:
        async with serving(banks.here.app) as served:
            return await asyncio.gather(*(served.say(damaged()) for _ in range(150)))

    for said in banks.here.run(story()):
        statuses = [int(one) for one in re.findall(rb"(?m)^HTTP/1.1 (\d+) ", said)]
        assert all(400 <= status < 500 for status in statuses), said[:500]
        assert bool(statuses) == bool(said)
    assert banks.here.balance(payer) == 100


# Paths, at a real bank.

SPELLINGS = [
    b"/v1/operator/audit",
    b"//v1/operator/audit",
    b"/v1//operator/audit",
    b"/v1/./operator/audit",
    b"/v1/bank/../operator/audit",
    b"/v1/%6fperator/audit",
    b"/v1%2foperator%2faudit",
    b"/V1/operator/audit",
    b"/v1/operator/audit/",
    b"/v1/operator/audit%00",
    b"/v1/operator/audit%0a",
    b"/v1/operator/audit;x=1",
    b"/v1/operator/audit?x=%ff",
    b"/v1/operator/%C0%AFaudit",
    b"http://other.example/v1/operator/audit",
    b"*",
    b"other.example:80",
    b"/%",
    b"/%zz",
    b"/peer/v1/messages",
]


@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS", b"CONNECT", b"TRACE"])
def test_no_spelling_of_a_path_leads_a_stranger_where_its_plain_form_does_not(
    banks: Pair, method: bytes
) -> None:
    async def story() -> list[bytes]:
        more = b" HTTP/1.1\r\nhost: b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        async with serving(banks.here.app) as served:
            return [await served.say(method + b" " + target + more) for target in SPELLINGS]

    for said in banks.here.run(story()):
        status = int(said.split(b" ", 2)[1])
        assert status in (204, 400, 401, 404, 405), said[:300]
        assert status == 204 or b"application/problem+json" in said
        assert b"balances" not in said


@pytest.mark.parametrize("target", [b"/v1/payments", b"/v1/%70ayments", b"/v1/payments?x=1"])
def test_a_payment_needs_its_token_and_key_however_its_path_is_spelt(banks: Pair, target: bytes) -> None:
    payer, shop = banks.here.someone(100), banks.here.someone()
    body = json.dumps({"transfers": [transfer(payer.account, shop.account, 10)]}).encode()

    async def story(headers: bytes) -> bytes:
        async with serving(banks.here.app) as served:
            return await served.say(
                b"POST "
                + target
                + b" HTTP/1.1\r\nhost: b\r\nconnection: close\r\n"
                + headers
                + b"content-length: %d\r\n\r\n" % len(body)
                + body
            )

    assert b" 401 " in banks.here.run(story(b"idempotency-key: k\r\n"))
    token = f"authorization: Bearer {payer.token}\r\n".encode()
    assert b"idempotency_key_required" in banks.here.run(story(token))
    # Two of a kind are none: whichever is looked at by whom, they would not agree.
    assert b" 401 " in banks.here.run(story(token + b"authorization: Bearer x\r\nidempotency-key: k\r\n"))
    assert banks.here.balance(payer) == 100


def test_a_body_of_more_than_a_mebibyte_is_too_large_in_whatever_pieces_it_comes(banks: Pair) -> None:
    token = banks.here.someone().token
    head = (
        b"POST /v1/%s HTTP/1.1\r\nhost: b\r\nconnection: close\r\nidempotency-key: k\r\n"
        b"authorization: Bearer " + token.encode() + b"\r\n"
    )
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"

    async def story(path: bytes, chunks: int) -> bytes:
        async with serving(banks.here.app) as served:
            return await served.say(
                head % path + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * chunks, b"0\r\n\r\n"
            )

    for path, chunks in ((b"payments", 17), (b"mandates", 17), (b"payments/batches", 129)):
        said = banks.here.run(story(path, chunks))
        # The rest is not waited for, so the answer may be lost with the connection.
        assert said == b"" or re.match(rb"HTTP/1.1 413 ", said), said[:200]
    for path, chunks in ((b"payments", 16), (b"payments/batches", 127)):
        assert b" 400 " in banks.here.run(story(path, chunks))[:20]


class TooBusy:
    """Turns every POST of `/pay` away; what comes in all the same is answered with its path."""

    def turn_away(self, method: bytes, url: bytes) -> Problem | None:
        return problem("overloaded") if (method, url) == (b"POST", b"/pay") else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        answer = scope["path"].encode()
        lines = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        await send({"type": "http.response.body", "body": answer})


PAY = b"POST /pay HTTP/1.1\r\nhost: b\r\n"
BODY_OF_FOUR = b"content-length: 4\r\n\r\n1234"


async def one_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def test_whoever_is_turned_away_is_told_so_and_may_ask_again_on_the_same_connection() -> None:
    async def story() -> None:
        async with (
            serving(TooBusy()) as served,
            asyncio.timeout(PATIENCE_S),
            served.connection() as (reader, writer),
        ):
            for body in (BODY_OF_FOUR, b"transfer-encoding: chunked\r\n\r\n2\r\n12\r\n0\r\n\r\n"):
                writer.write(PAY + body)
                head, said = await one_answer(reader)
                assert head.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after: 1\r\n" in head
                assert b"connection: close" not in head
                assert json.loads(said)["code"] == "overloaded"
                writer.write(GET + b"\r\n")
                assert (await one_answer(reader))[1] == b"/"

    asyncio.run(story())


def test_whoever_is_turned_away_is_told_when_the_whole_request_has_come() -> None:
    async def story() -> None:
        async with (
            serving(TooBusy()) as served,
            asyncio.timeout(PATIENCE_S),
            served.connection() as (reader, writer),
        ):
            writer.write(PAY + BODY_OF_FOUR[:-2])
            answer = asyncio.create_task(reader.read(1))
            assert not (await asyncio.wait([answer], timeout=0.05))[0]
            writer.write(BODY_OF_FOUR[-2:] + GET + b"\r\n")
            assert await answer == b"H"
            head, _ = await one_answer(reader)
            assert head.startswith(b"TTP/1.1 503 ")
            assert (await one_answer(reader))[1] == b"/"

    asyncio.run(story())


def test_who_asked_for_the_connections_end_is_turned_away_and_gets_it() -> None:
    async def story() -> None:
        async with serving(TooBusy()) as served, asyncio.timeout(PATIENCE_S):
            check_problem(await served.say(PAY + b"connection: close\r\n" + BODY_OF_FOUR), "overloaded")

    asyncio.run(story())


def test_answers_keep_their_order_also_when_a_later_request_is_turned_away() -> None:
    async def story() -> None:
        async with (
            serving(TooBusy()) as served,
            asyncio.timeout(PATIENCE_S),
            served.connection() as (reader, writer),
        ):
            # The one behind another that is being answered comes in, and waits for its turn.
            writer.write(GET + b"\r\n" + PAY + BODY_OF_FOUR)
            assert [(await one_answer(reader))[1] for _ in range(2)] == [b"/", b"/pay"]

    asyncio.run(story())
