"""The load generator against small servers of its own."""

import asyncio
from array import array
from collections.abc import Callable

import pytest

from ciranda.bench.load import LOST, Address, Answers, Load, closed_loop, open_loop, percentile

OK = b"HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 13\r\n\r\n no money\r\n\r\n"


def request(number: int) -> bytes:
    return b"POST / HTTP/1.1\r\nContent-Length: 0\r\nNumber: %d\r\n\r\n" % number


def number_of(data: bytes) -> int:
    return int(data.rpartition(b"Number: ")[2])


class Server(asyncio.Protocol):
    """Hands each request to `answer`, with the transport to write to."""

    def __init__(self, answer: Callable[[int, asyncio.Transport], None]) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.answer(number_of(data), self.transport)


async def serving(answer: Callable[[int, asyncio.Transport], None]) -> tuple[asyncio.Server, Address]:
    server = await asyncio.get_running_loop().create_server(lambda: Server(answer), "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()


def test_in_a_closed_loop_each_connection_asks_again_when_it_was_answered() -> None:
    under_way = 0
    most = 0

    def answer(_number: int, transport: asyncio.Transport) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

        def reply() -> None:
            nonlocal under_way
            under_way -= 1
            transport.write(OK)

        asyncio.get_running_loop().call_later(0.002, reply)

    async def run() -> Load:
        server, address = await serving(answer)
        async with server:
            return await closed_loop(address, request, connections=5, seconds=0.2, warm_up=0.05)

    load = asyncio.run(run())
    assert most == 5
    assert load.counts == {"201": load.done_count}
    assert load.rate == load.done_count / load.seconds
    assert 2 <= load.p50 <= load.p95 <= load.p99 <= load.p100
    assert len(load.latencies) == load.done_count > 5
    assert 0 < load.cpu_seconds <= load.seconds


def test_requests_are_numbered_and_of_several_addresses_each_gets_its_own_numbers() -> None:
    seen: tuple[list[int], list[int]] = ([], [])

    async def run() -> None:
        def noting(which: int) -> Callable[[int, asyncio.Transport], None]:
            def answer(number: int, transport: asyncio.Transport) -> None:
                seen[which].append(number)
                transport.write(OK)

            return answer

        one, first = await serving(noting(0))
        other, second = await serving(noting(1))
        async with one, other:
            await closed_loop([first, second], request, connections=3, seconds=0.05, warm_up=0)

    asyncio.run(run())
    assert sorted(seen[0]) == list(range(0, 2 * len(seen[0]), 2))
    assert sorted(seen[1]) == list(range(1, 2 * len(seen[1]), 2))


def test_a_server_that_stalls_cannot_hide_it_from_an_open_loop() -> None:
    """One request in the middle holds the only connection for 0.3 s. 100 are due each second, so some 30 wait with it."""

    def answer(number: int, transport: asyncio.Transport) -> None:
        asyncio.get_running_loop().call_later(0.3 if number == 10 else 0.0, transport.write, OK)

    async def run() -> tuple[Load, Load]:
        server, address = await serving(answer)
        async with server:
            return (
                await open_loop(address, request, connections=1, rate=100, seconds=0.5, warm_up=0),
                await closed_loop(address, request, connections=1, seconds=0.5, warm_up=0),
            )

    opened, closed = asyncio.run(run())
    assert opened.done_count == 50
    waited = [latency for latency in opened.latencies if latency > 20e6]
    assert len(waited) >= 20
    assert opened.p100 >= 300
    # A client that waits for its answer meets the same stall once, and its percentiles do not show it.
    assert closed.p100 >= 300
    assert closed.p50 < 100


def test_an_open_loop_asks_at_its_rate_and_not_faster() -> None:
    async def run() -> Load:
        server, address = await serving(lambda _number, transport: transport.write(OK))
        async with server:
            return await open_loop(address, request, connections=4, rate=200, seconds=0.5, warm_up=0.1)

    load = asyncio.run(run())
    assert load.counts == {"201": 100}
    assert load.seconds >= 0.5


def test_what_was_under_way_on_a_lost_connection_is_counted_and_the_loop_goes_on() -> None:
    def answer(number: int, transport: asyncio.Transport) -> None:
        if number == 7:
            transport.abort()
        else:
            transport.write(OK)

    async def run() -> Load:
        server, address = await serving(answer)
        async with server:
            return await closed_loop(address, request, connections=1, seconds=0.2, warm_up=0)

    load = asyncio.run(run())
    assert load.counts[LOST] == 1
    assert load.counts["201"] > 7


def test_a_server_may_close_after_each_answer() -> None:
    def answer(_number: int, transport: asyncio.Transport) -> None:
        transport.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        transport.close()

    async def run() -> Load:
        server, address = await serving(answer)
        async with server:
            return await closed_loop(address, request, connections=2, seconds=0.1, warm_up=0)

    load = asyncio.run(run())
    assert load.counts == {"201": load.done_count}
    assert load.done_count > 2


def test_outcomes_are_named_by_status_or_by_the_caller_and_only_some_count_as_done() -> None:
    def answer(number: int, transport: asyncio.Transport) -> None:
        whole = NO if number % 3 == 0 else OK
        transport.write(whole[:20])  # An answer may come in pieces.
        asyncio.get_running_loop().call_soon(transport.write, whole[20:])

    async def run() -> tuple[Load, Load]:
        server, address = await serving(answer)
        async with server:
            return (
                await closed_loop(address, request, connections=1, seconds=0.05, warm_up=0),
                await closed_loop(
                    address,
                    request,
                    connections=1,
                    seconds=0.05,
                    warm_up=0,
                    outcome=lambda status, body: f"{status}{body.decode().strip()}",
                    done=frozenset({"201ok"}),
                ),
            )

    plain, named = asyncio.run(run())
    assert plain.counts.keys() == {"201", "422"}
    assert named.counts.keys() == {"201ok", "422no money"}
    assert named.done_count == named.counts["201ok"] == len(named.latencies)
    assert named.answered == sum(named.counts.values())
    assert len(named.answers["422no money"].at) == named.counts["422no money"]


@pytest.mark.parametrize(
    ("spoken", "complaint"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "without Content-Length"),
        (OK + OK, "nobody asked for"),
    ],
)
def test_an_answer_that_cannot_be_cut_ends_the_run(spoken: bytes, complaint: str) -> None:
    async def run() -> None:
        server, address = await serving(lambda _number, transport: transport.write(spoken))
        async with server:
            await closed_loop(address, request, connections=1, seconds=5, warm_up=0)

    with pytest.raises((ValueError, AssertionError), match=complaint):
        asyncio.run(run())


def test_a_fault_in_the_callers_own_function_ends_the_run() -> None:
    async def run() -> None:
        server, address = await serving(lambda _number, transport: transport.write(OK))
        async with server:
            await open_loop(
                address, lambda number: request(number // 0), connections=1, rate=10, seconds=5, warm_up=0
            )

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


def test_nobody_there_is_said_at_once() -> None:
    async def run() -> None:
        server, address = await serving(lambda _number, transport: transport.write(OK))
        server.close()
        await server.wait_closed()
        await closed_loop(address, request, connections=1, seconds=5)

    with pytest.raises(OSError, match=r"refused|failed"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 2.0), (0.51, 3.0), (0.25, 1.0), (0.99, 4.0), (1.0, 4.0), (0.0, 1.0)]
)
def test_a_percentile_is_a_latency_that_was_measured(share: float, expected: float) -> None:
    assert percentile([1_000_000, 2_000_000, 3_000_000, 4_000_000], share) == expected


def test_of_no_answers_there_is_no_percentile() -> None:
    assert percentile([], 0.5) == 0.0
    assert Load(done=frozenset({"201"})).rate == 0.0
    assert Answers(latencies=array("q", [2_000_000, 1_000_000])).percentile(1.0) == 2.0
