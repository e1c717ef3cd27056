"""`/v1/sessions`: signing in and out."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, post

from ciranda.api import body
from ciranda.api.answers import Stopped, describe, nothing, ok, stop
from ciranda.api.caller import customer_only, node_of, token_of
from ciranda.instant import rfc3339
from ciranda.node.people import Blocked
from ciranda.wire.problem import problem


class SignIn(body.Body, frozen=True, kw_only=True):
    document: str
    password: str


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: str


_sign_in = msgspec.json.Decoder(SignIn)


@post(
    "/v1/sessions",
    opt=describe(body=SignIn, answers={201: SessionView}, problems=(401, 422, 429), public=True),
)
async def sign_in(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Opens a session; its token goes into `Authorization: Bearer` of every other call."""
    order = await body.parse(request, _sign_in)
    document = body.document(order.document)
    if len(order.password) > 1_000:
        stop("wrong_credentials")
    # In normal form C, as it was when it was hashed: keyboards differ in how they spell an accent.
    password = body.plain("password", order.password)
    session = await node_of(request).people.log_in(document, password)
    if session == "wrong_credentials":
        stop("wrong_credentials")
    if isinstance(session, Blocked):
        raise Stopped(problem("too_many_attempts"), {"Retry-After": str(session.seconds)})
    token, expires_at = session
    return ok(SessionView(token=token, expires_at=rfc3339(expires_at)), 201)


@delete("/v1/sessions/current", status_code=204, guards=[customer_only], opt=describe(answers={204: None}))
async def sign_out(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends the session that this call was made with."""
    await node_of(request).people.log_out(token_of(request))
    return nothing()
