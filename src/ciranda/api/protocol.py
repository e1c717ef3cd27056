"""HTTP/1.1 as both listeners speak it: uvicorn's, with problems for what cannot be read, and with bounds.

The law of this file: **nobody holds a connection for nothing.** A head is short and comes at once, a body comes within
a minute, an answer is fetched within a minute; whoever takes longer, or sends more than anything here could mean, is
hung up on. One timer a connection looks after that, now and then, so that a request pays for two looks at the clock.

An application that is too busy may turn a request away by its first line, with `turn_away(method, url)`: then nothing
is made of it, and it costs half of what a refusal by the application costs.
"""

import asyncio
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ciranda.api.answers import PROBLEM_MEDIA, encode, problem_headers
from ciranda.wire.problem import FieldError, Problem, problem

HEAD_MAX = 64 * 1024
"""Bytes, as far as they do not come all in one piece."""
HEADERS_MAX = 100
MESSAGE_MAX = 17 * 1024 * 1024
"""Bytes of a request as it travels: a body of 8 MiB, however it is cut into chunks, and some."""
HEAD_S = 10.0
MESSAGE_S = 60.0
FETCH_S = 60.0
CONNECTIONS_MAX = 4_096
"""Of one listener in one process."""
LOOK_S = 2.5


class ProblemProtocol(HttpToolsProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._received = 0
        """Bytes of the request that is coming in."""
        self._since: float | None = None
        """When its first byte came, or the connection was made; None between two requests."""
        self._unfetched_since: float | None = None
        """Since when an answer waits for the client to take it."""
        self._turn_away = getattr(self.app, "turn_away", None)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Whole(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
            return
        self._since = self.loop.time()
        self.loop.call_later(LOOK_S, self._look)

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            self._since = self.loop.time()
        self._received += len(data)
        super().data_received(data)
        if self._received > (HEAD_MAX if self._in_head else MESSAGE_MAX):
            self._hang_up(_unreadable("the request's head is too large" if self._in_head else "no end to it"))

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too.
        if len(self.headers) >= HEADERS_MAX:
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        why = None
        # One that waits to be told to go on with its body, or whose forerunner has no answer yet, comes in.
        if self._turn_away is not None and self._answered_all() and not self.expect_100_continue:
            why = self._turn_away(self.parser.get_method(), self.url)
        if why is None:
            super().on_headers_complete()
        else:
            self.cycle = _TurnedAway(why)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._received = 0
        self._since = None
        if isinstance(self.cycle, _TurnedAway):
            self._say(self.cycle.why, stay=self.parser.should_keep_alive())
            self.cycle = None  # type: ignore[assignment]
            self.on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._hang_up(_unreadable(msg or "no valid HTTP"))

    def _look(self) -> None:
        """Every few seconds, for as long as the connection lasts."""
        if self.transport.is_closing():
            # What is left of an answer may still be waiting: nobody fetches it.
            if self.transport.get_write_buffer_size() and self._is_unfetched():
                self.transport.abort()
            elif self in self.connections:
                self.loop.call_later(LOOK_S, self._look)
            return
        now = self.loop.time()
        if self._since is not None and now - self._since > (HEAD_S if self._in_head else MESSAGE_S):
            self._hang_up(problem("too_slow"))
        elif self._is_unfetched():
            self.transport.abort()
        self.loop.call_later(LOOK_S, self._look)

    def _is_unfetched(self) -> bool:
        """Whether some of our answer has been waiting for the client for too long."""
        now = self.loop.time()
        if not self.transport.get_write_buffer_size():
            self._unfetched_since = None
        elif self._unfetched_since is None:
            self._unfetched_since = now
        return self._unfetched_since is not None and now - self._unfetched_since > FETCH_S

    def _hang_up(self, why: Problem) -> None:
        """Closes, and says why, unless another answer is on its way, or nothing was asked."""
        if self.transport.is_closing():
            return
        if self._received and (self._answered_all() or not self.cycle.response_started):
            self._say(why, stay=False)
        else:
            self.transport.close()

    def _say(self, why: Problem, *, stay: bool) -> None:
        self.transport.write(_whole_answer(why, tuple(self.server_state.default_headers), stay))
        if not stay:
            self.transport.close()

    def _answered_all(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


@lru_cache(64)
def _whole_answer(why: Problem, headers: tuple[tuple[bytes, bytes], ...], stay: bool) -> bytes:
    """Head and body. `headers`: those of every answer, the same for a second."""
    body = encode(why)
    lines = [f"HTTP/1.1 {why.status} {why.title}"]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in headers]
    lines += [f"content-type: {PROBLEM_MEDIA}", f"content-length: {len(body)}"]
    lines += [f"{name.lower()}: {value}" for name, value in problem_headers(why, {}).items()]
    if not stay:
        lines.append("connection: close")
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def _unreadable(why: str) -> Problem:
    return problem("bad_request", errors=(FieldError(field="", message=why),))


class _TurnedAway:
    """Stands where a request would that is being answered: what still comes of its body is for nobody."""

    response_complete = True

    def __init__(self, why: Problem) -> None:
        self.why = why


class _Whole:
    """A transport that sends at once what is written in one turn of the loop: the head and the body of an answer."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        # Whoever hung up in the meantime is not there to be told.
        if self._written and not self._transport.is_closing():
            self._transport.write(b"".join(self._written))
        self._written = []
