"""An echo of a payment as a bare ASGI handler: what uvicorn, parsing and answering cost, and nothing else."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from bench.peers.echo import view_of
from ciranda.api.payments import Payment

_decoder = msgspec.json.Decoder(Payment)
_encoder = msgspec.json.Encoder()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    if scope["method"] != "POST":
        await answer(send, 405, b"")
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await answer(send, 201, _encoder.encode(view_of(_decoder.decode(body))))


async def answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
