"""The way to a peer: one request there, one response back, as bytes. Nothing here knows what they mean."""

import ssl
from typing import Protocol

import aiohttp
import msgspec

from ciranda.wire.messages import BODY_MAX


class Lost(Exception):
    """No whole response came back. Whether the request arrived is not known."""


class Response(msgspec.Struct, frozen=True):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Transport(Protocol):
    async def open(self) -> None: ...

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Response:
        """Raises Lost. It has no time limit of its own: whoever calls it sets one."""
        ...

    async def close(self) -> None: ...


class HttpTransport:
    """Over HTTP, with connections that are kept."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: for peers at https URLs; whomever this machine trusts, if it is None."""
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            # The outbox limits what is under way; a second limit here would make probes wait behind it.
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls or True),
            # Each request has its own limit, made of the time that its questions have left.
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The signature is over the bytes as they travel, and a peer has no reason to compress them.
            auto_decompress=False,
            headers={"content-type": "application/json", "accept-encoding": "identity"},
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Response:
        try:
            try:
                return await self._post(url, headers, body)
            except aiohttp.ClientConnectorError:
                raise
            except aiohttp.ClientConnectionError:
                # The peer may have closed a connection for being idle just as we took it up again: that says nothing
                # about the bank, so ask once more.
                return await self._post(url, headers, body)
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(repr(error)) from error

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Response:
        if self._session is None:
            raise Lost("this bank is closing")
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            answer = bytearray()
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > BODY_MAX:
                    raise Lost("the answer has no end")
            return Response(response.status, list(response.headers.items()), bytes(answer))

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
