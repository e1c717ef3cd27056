"""What is no HTTP at all is answered like everything else: with a problem."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ciranda.api.answers import PROBLEM_MEDIA, encode
from ciranda.wire.problem import FieldError, problem


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, but for the words it finds for a request that it cannot read; and an answer goes out whole."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Whole(transport, self.loop))  # type: ignore[arg-type]

    def send_400_response(self, msg: str) -> None:
        fault = FieldError(field="", message=msg or "no valid HTTP")
        body = encode(problem("bad_request", errors=(fault,)))
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_MEDIA}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        transport: Any = self.transport
        transport.write(head.encode() + body)
        transport.close()


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
        if self._written:
            self._transport.write(b"".join(self._written))
            self._written = []
