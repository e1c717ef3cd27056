"""How the SDK asks: one key through all tries, again where it does no harm, and a plain word where it gives up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ciranda.client import BankAway, BankClient, Order, ProblemError

PAID = {
    "id": "E10000001202611230514abcdefghijk",
    "kind": "payment",
    "status": "settled",
    "transfers": [],
    "amount": 1,
    "description": None,
    "reference": None,
    "created_at": "2026-11-23T05:14:20.123Z",
    "a_field_of_the_future": True,
}
ORDER = Order(source="10000001.0001.1234563", target="10000001.0001.1234563", amount=1)


def problem(status: int, code: str, **more: object) -> web.Response:
    body = {
        "type": "about:blank",
        "title": code,
        "status": status,
        "detail": "So it is.",
        "code": code,
        **more,
    }
    return web.json_response(
        body, status=status, content_type="application/problem+json", headers={"Retry-After": "0"}
    )


class Door:
    """A listener that answers what a test tells it to, one answer a request, and remembers what it was asked."""

    def __init__(self, *answers: web.Response | None) -> None:
        self.asked: list[web.Request] = []
        self._answers = list(answers)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer

    @property
    def keys(self) -> list[str | None]:
        return [request.headers.get("Idempotency-Key") for request in self.asked]


@asynccontextmanager
async def opened(door: Door, *, tries: int = 4, timeout_s: float = 5.0) -> AsyncIterator[BankClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", door.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with BankClient(f"http://{host}:{port}", "a-token", tries=tries, timeout_s=timeout_s) as bank:
            yield bank
    finally:
        await runner.cleanup()


def test_a_payment_goes_through_overload_and_broken_connections_under_one_key() -> None:
    async def run() -> None:
        door = Door(
            problem(503, "overloaded"), None, problem(503, "unavailable"), web.json_response(PAID, status=201)
        )
        async with opened(door) as bank:
            paid = await bank.pay([ORDER])
        assert paid.status == "settled"
        assert len(door.asked) == 4
        assert len(set(door.keys)) == 1
        assert door.keys[0]

    asyncio.run(run())


def test_two_payments_have_two_keys() -> None:
    async def run() -> None:
        door = Door(web.json_response(PAID, status=201), web.json_response(PAID, status=201))
        async with opened(door) as bank:
            await bank.pay([ORDER])
            await bank.pay([ORDER])
        assert len(set(door.keys)) == 2

    asyncio.run(run())


def test_a_callers_own_key_is_the_one_that_is_sent() -> None:
    async def run() -> None:
        door = Door(web.json_response(PAID, status=201))
        async with opened(door) as bank:
            await bank.pay([ORDER], key="mine")
        assert door.keys == ["mine"]
        assert door.asked[0].headers["Authorization"] == "Bearer a-token"

    asyncio.run(run())


def test_a_refusal_is_told_once_with_all_that_the_bank_said() -> None:
    async def run() -> None:
        door = Door(problem(422, "insufficient_funds", payment=PAID["id"], bank="10000001"))
        async with opened(door) as bank:
            with pytest.raises(ProblemError) as refused:
                await bank.pay([ORDER])
        assert (refused.value.status, refused.value.code, refused.value.detail) == (
            422,
            "insufficient_funds",
            "So it is.",
        )
        assert refused.value.payload["bank"] == "10000001"
        assert len(door.asked) == 1

    asyncio.run(run())


def test_a_signup_is_not_repeated_when_it_may_have_had_its_effect() -> None:
    async def run() -> None:
        door = Door(None)
        async with opened(door) as bank:
            with pytest.raises(BankAway):
                await bank.sign_up("11144477735", "Maria", "a password")
        assert len(door.asked) == 1

    asyncio.run(run())


def test_a_bank_that_stays_overloaded_is_given_up_on() -> None:
    async def run() -> None:
        door = Door(*(problem(503, "overloaded") for _ in range(3)))
        async with opened(door, tries=3) as bank:
            with pytest.raises(ProblemError) as refused:
                await bank.bank()
        assert refused.value.code == "overloaded"

    asyncio.run(run())


def test_a_bank_that_is_not_there_is_away_and_the_key_is_told() -> None:
    async def run() -> None:
        async with opened(Door()) as bank:
            url = bank.url
        async with BankClient(url, tries=2) as bank:
            with pytest.raises(BankAway) as away:
                await bank.pay([ORDER], key="mine")
            assert not await bank.is_ready()
        assert away.value.key == "mine"
        assert away.value.url == url

    asyncio.run(run())


def test_a_bank_that_does_not_answer_in_time_is_away() -> None:
    async def run() -> None:
        class Silent(Door):
            async def answer(self, request: web.Request) -> web.StreamResponse:
                self.asked.append(request)
                await asyncio.Event().wait()
                raise AssertionError

        async with opened(Silent(), timeout_s=0.05) as bank:
            with pytest.raises(BankAway, match="did not answer in time"):
                await bank.bank()

    asyncio.run(run())


def test_an_answer_that_is_no_banks_is_told_as_such() -> None:
    async def run() -> None:
        door = Door(web.Response(text="<html>"), web.Response(text="<html>", status=404))
        async with opened(door) as bank:
            with pytest.raises(BankAway, match="not understood"):
                await bank.bank()
            with pytest.raises(ProblemError) as refused:
                await bank.bank()
        assert (refused.value.status, refused.value.code) == (404, "unknown")

    asyncio.run(run())


ODD_ANSWERS = [
    b"",
    b"[" * 50_000,
    b'{"code":' * 50_000,
    b'{"code": 1, "detail": []}',
    b"\xff\xfe",
    b'"\\ud800"',
    b"9" * 5_000,
    b"null",
]


@pytest.mark.parametrize("body", ODD_ANSWERS, ids=lambda body: repr(body[:12]))
def test_whatever_stands_in_an_answer_the_caller_gets_one_of_two_errors(body: bytes) -> None:
    async def run() -> None:
        endless = {"Retry-After": "9" * 5_000}
        door = Door(web.Response(body=body), web.Response(body=body, status=429, headers=endless))
        async with opened(door, tries=1) as bank:
            with pytest.raises(BankAway, match="not understood"):
                await bank.bank()
            with pytest.raises(ProblemError) as refused:
                await bank.bank()
        assert (refused.value.status, refused.value.retry_after_s) == (429, 0)

    asyncio.run(run())


def test_all_payments_are_walked_page_after_page() -> None:
    async def run() -> None:
        def page(*ids: str, next: str | None) -> web.Response:
            payments = [{"id": id, "digest": None, "status": "settled"} for id in ids]
            return web.json_response({"payments": payments, "next_cursor": next})

        door = Door(page("E1", "E2", next="E2"), page("E3", next=None))
        async with opened(door) as bank:
            walked = [payment.id async for payment in bank.known_payments(limit=2)]
        assert walked == ["E1", "E2", "E3"]
        assert [request.query.get("after") for request in door.asked] == [None, "E2"]

    asyncio.run(run())
