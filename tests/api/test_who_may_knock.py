"""Who may call what at the peers' listener: one route, for members by their signature; nothing else, for nobody.

The customers' routes are asked for there by every kind of caller; and the one route there is, by all who may not.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.agreement.height import NOTHING, Height
from ciranda.agreement.message import Answer, Probe, Question, QuestionBatch, Up
from ciranda.api.peer_messages import PeerListener
from ciranda.identity import Ispb
from ciranda.wire.problem import Problem
from ciranda.wire.signature import METHOD, PATH, Seal
from tests.api.test_who_may import ROWS
from tests.members import roster_of

A, B, C = (Ispb(f"1000000{number}") for number in (1, 2, 3))
KEYS = {bank: Ed25519PrivateKey.generate() for bank in (A, B, C)}
NOW = 1_800_000_000
BODY = msgspec.json.encode(
    QuestionBatch(sender=A, receiver=B, height=NOTHING, seen=NOTHING, questions=(Probe(),))
)

ROSTER = roster_of(KEYS)

Headers = dict[str, str]


def signed(
    by: Ispb = A, to: Ispb = B, key: Ed25519PrivateKey | None = None, body: bytes = BODY, at: int = NOW
) -> Headers:
    return Seal(by, key or KEYS[by], ROSTER).sign_request(to, body, at)


class Book:
    """Heights that nobody has anything against."""

    def own(self) -> Height:
        return NOTHING

    def seen(self, bank: Ispb) -> Height:
        return NOTHING

    async def heard(self, bank: Ispb, height: Height, ours: Height) -> None:
        assert bank == A


class Listener:
    """B's, which notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.app = PeerListener(B, ROSTER, KEYS[B], Book(), self._respond, lambda _: None, lambda: NOW)

    async def _respond(self, sender: Ispb, questions: Sequence[Question]) -> Sequence[Answer]:
        self.asked += questions
        return [Up() for _ in questions]

    def call(self, method: str, path: str, headers: Headers, body: bytes = BODY) -> tuple[int, bytes]:
        said: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": lines}
        asyncio.run(self.app(scope, receive, send))
        return said[0]["status"], said[1]["body"]


STRANGERS: dict[str, Headers] = {
    "nobody": {},
    "a customer or operator": {"Authorization": "Bearer whatever"},
    "a member's name with another key": signed(key=Ed25519PrivateKey.generate()),
    "another member's name with one's own key": signed(key=KEYS[C]),
    "a member, to another bank": signed(to=C),
    "a member, ten minutes ago": signed(at=NOW - 600),
    "a member, in ten minutes": signed(at=NOW + 600),
    "a member, with another body": signed(body=b"[]"),
    "this bank itself": signed(by=B),
    "a member whose batch names another": signed(by=C),
}


@pytest.mark.parametrize("who", STRANGERS)
def test_no_stranger_is_answered(who: str) -> None:
    listener = Listener()
    status, body = listener.call(METHOD, PATH, STRANGERS[who])
    assert (status, msgspec.json.decode(body, type=Problem).code) == (401, "unauthenticated")
    assert listener.asked == []


def test_a_member_is_answered_and_whoever_repeats_its_request_is_not() -> None:
    listener, request = Listener(), signed()
    assert listener.call(METHOD, PATH, request)[0] == 200
    assert listener.asked == [Probe()]
    assert listener.call(METHOD, PATH, request)[0] == 401
    assert listener.asked == [Probe()]


@pytest.mark.parametrize("who", ["a member", *STRANGERS])
@pytest.mark.parametrize("route", ROWS, ids=" ".join)
def test_the_customers_routes_are_not_there_for_anybody(route: tuple[str, str], who: str) -> None:
    listener = Listener()
    status, body = listener.call(*route, signed() if who == "a member" else STRANGERS[who])
    assert (status, msgspec.json.decode(body, type=Problem).code) == (404, "not_found")
    assert listener.asked == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_the_one_route_has_one_method(method: str) -> None:
    assert Listener().call(method, PATH, signed())[0] == 405
