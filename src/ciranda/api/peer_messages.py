"""`POST /peer/v1/messages`: where the other banks knock. This listener answers nothing else.

The law of this file: **a stranger costs little and learns nothing.** A request is believed in steps, each cheaper than
what it protects: the headers' signature before a byte of the body is read, the body's digest before it is parsed, its
form before anything is asked of the bank. Whoever fails a step is told which in a problem document, and changes
nothing here. A stranger, and whoever copies a member's request, fails at the first.

**A member costs no more than its share.** So many requests of one bank are answered at once, so many in a second, and
all bodies that are being read take no more than so many bytes. What is beyond is refused before it is read.

It is a plain ASGI application: one route needs no router, and between banks every microsecond is paid twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.agreement.message import AnswerBatch, QuestionBatch
from ciranda.identity import Ispb
from ciranda.ports import Heights, PutBack, Respond, Unavailable
from ciranda.roster import Roster
from ciranda.wire.messages import BODY_MAX, Malformed, decode_questions, encode_answers
from ciranda.wire.replay import Replays
from ciranda.wire.signature import METHOD, PATH, BadSignature, Seal, SignedRequest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log: structlog.stdlib.BoundLogger = structlog.get_logger()

REQUESTS_MAX = 256
SHARE_MAX = 64
"""Of them, one member's. It sends four at once from each of its workers, and now and then a probe."""
BYTES_MAX = 8 * BODY_MAX
"""Of bodies that are being read."""
BODY_TIMEOUT_S = 10.0
REQUESTS_PER_S = 5_000
REASONS_MAX = 100


class PeerListener:
    """An ASGI application."""

    def __init__(
        self,
        own: Ispb,
        roster: Roster,
        key: Ed25519PrivateKey,
        heights: Heights,
        respond: Respond,
        heard_from: Callable[[Ispb], None],
        now: Callable[[], int],
        *,
        requests_max: int = REQUESTS_MAX,
        share_max: int = SHARE_MAX,
        requests_per_s: int = REQUESTS_PER_S,
        body_timeout_s: float = BODY_TIMEOUT_S,
        first_time: Callable[[SignedRequest, int], bool] | None = None,
    ) -> None:
        """`heard_from` is told of every verified request. `now`: seconds since 1970. `share_max`, `requests_per_s`:
        of one member. `first_time`: whether a request was not heard before; by default, as `Replays` remembers."""
        self._own = own
        self._seal = Seal(own, key, roster)
        self._heights = heights
        self._respond = respond
        self._heard_from = heard_from
        self._now = now
        self._requests_max = requests_max
        self._share_max = share_max
        self._requests_per_s = requests_per_s
        self._body_timeout_s = body_timeout_s
        self._first_time = first_time or Replays().first_time
        self._requests = 0
        self._refused = 0
        """Requests since the last line about one in the log."""
        self._noted: dict[str, int] = {}
        """In which second each reason was last written there."""
        self._bytes = 0
        self._shares: dict[Ispb, _Share] = {}

    def change(self, roster: Roster, key: Ed25519PrivateKey) -> None:
        """Goes on with another roster and key."""
        self._seal.change(key, roster)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await send({"type": "websocket.close"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._requests >= self._requests_max:
            await _refuse(send, _Problem(503, "overloaded", "Too many requests at once.", _SOON))
            return
        self._requests += 1
        try:
            body, headers = await self._answer(scope, receive)
        except _Problem as problem:
            await _refuse(send, problem)
        except _Gone:
            pass
        else:
            await _reply(send, 200, b"application/json", headers, body)
        finally:
            self._requests -= 1

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[bytes, dict[str, str]]:
        """Raises _Problem or _Gone."""
        if scope["path"] != PATH:
            raise _Problem(404, "not_found", "There is nothing here.", _CLOSE)
        if scope["method"] != METHOD:
            raise _Problem(405, "method_not_allowed", f"Only {METHOD}.", _CLOSE | {"allow": METHOD})
        try:
            request = self._seal.verify_request(_headers(scope), self._now())
            if not self._first_time(request, self._now()):
                raise BadSignature("a request that was heard before")
            with self._share_of(request.sender):
                body = await self._read(receive)
                request.check_body(body)
                return await self._answer_batch(request, self._decoded(request, body))
        except BadSignature as error:
            self._note(dict(_headers(scope)).get("ciranda-sender", "")[:8], str(error))
            raise _Problem(401, "unauthenticated", str(error), _CLOSE) from error

    def _note(self, sender: str, why: str) -> None:
        """An attempt leaves a trace, and many leave no flood: of one kind one line a second, with how many there were."""
        self._refused += 1
        if self._now() != self._noted.get(why):
            log.warning("peer_request_refused", says=sender, why=why, refused=self._refused)
            if len(self._noted) >= REASONS_MAX:
                self._noted.clear()
            self._noted[why], self._refused = self._now(), 0

    def _decoded(self, request: SignedRequest, body: bytes) -> QuestionBatch:
        try:
            batch = decode_questions(body)
        except Malformed as error:
            raise _Problem(400, "bad_request", str(error)) from error
        if (batch.sender, batch.receiver) != (request.sender, self._own):
            raise BadSignature("the batch names other banks than its signature does")
        return batch

    @contextmanager
    def _share_of(self, sender: Ispb) -> Iterator[None]:
        share = self._shares.get(sender)
        if share is None:
            share = self._shares[sender] = _Share()
        if share.requests >= self._share_max:
            raise _Problem(503, "overloaded", "Too many requests of this bank at once.", _SOON)
        if share.count(self._now()) > self._requests_per_s:
            raise _Problem(503, "overloaded", "Too many requests of this bank in a second.", _SOON)
        share.requests += 1
        try:
            yield
        finally:
            share.requests -= 1

    async def _answer_batch(
        self, request: SignedRequest, batch: QuestionBatch
    ) -> tuple[bytes, dict[str, str]]:
        try:
            await self._heights.heard(batch.sender, batch.height, batch.seen)
        except PutBack as error:
            raise _Problem(503, "unavailable", "This bank was put back, and must not answer.") from error
        self._heard_from(batch.sender)
        try:
            answers = tuple(await self._respond(batch.sender, batch.questions))
        except Unavailable as error:
            raise _Problem(503, "unavailable", "The bank's database is away.", _SOON) from error
        assert len(answers) == len(batch.questions), "an answer for each question"
        body = encode_answers(
            AnswerBatch(
                sender=self._own,
                receiver=batch.sender,
                # Read only now: what was just answered is part of what we have written.
                height=self._heights.own(),
                seen=self._heights.seen(batch.sender),
                answers=answers,
            )
        )
        return body, self._seal.sign_response(request, body, self._now())

    async def _read(self, receive: Receive) -> bytes:
        """The body. Raises _Problem if it is too large or too slow, _Gone if the peer hung up."""
        body = bytearray()
        counted = 0
        try:
            async with asyncio.timeout(self._body_timeout_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    body += message.get("body", b"")
                    if len(body) > BODY_MAX:
                        raise _Problem(413, "too_large", f"At most {BODY_MAX} bytes.", _CLOSE)
                    more = message.get("more_body", False)
                    if more:
                        # Only what waits for the rest of it is worth counting.
                        self._bytes += len(body) - counted
                        counted = len(body)
                        if self._bytes > BYTES_MAX:
                            raise _Problem(503, "overloaded", "Too much is being read.", _CLOSE | _SOON)
        except TimeoutError as error:
            raise _Problem(408, "too_slow", "The body did not come in time.", _CLOSE) from error
        finally:
            self._bytes -= counted
        return bytes(body)


class _Share:
    """What one member has of the listener's time."""

    def __init__(self) -> None:
        self.requests = 0
        """Under way."""
        self._second = 0
        self._count = 0

    def count(self, now: int) -> int:
        """How many requests came in this second, this one among them."""
        if now != self._second:
            self._second, self._count = now, 0
        self._count += 1
        return self._count


_CLOSE = {"connection": "close"}
"""The rest of the body is not wanted, or nothing more from a stranger."""

_SOON = {"retry-after": "1"}


class _Problem(Exception):
    """A refusal of the request as a whole (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}


class _Gone(Exception):
    """Nobody is there to be answered."""


async def _refuse(send: Send, problem: _Problem) -> None:
    body = msgspec.json.encode(
        {
            "type": f"urn:ciranda:problem:{problem.code}",
            "title": problem.code.replace("_", " ").capitalize(),
            "status": problem.status,
            "detail": problem.detail,
            "code": problem.code,
        }
    )
    await _reply(send, problem.status, b"application/problem+json", problem.headers, body)


async def _reply(send: Send, status: int, media: bytes, headers: dict[str, str], body: bytes) -> None:
    lines = [(b"content-type", media), (b"content-length", b"%d" % len(body))]
    lines += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    """Nothing is to be done when the server starts or stops, but it wants to be told so."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _headers(scope: Scope) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
