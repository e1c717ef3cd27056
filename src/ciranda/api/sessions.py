"""`/v1/sessions`: signing in and out, and where one is signed in."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post

from ciranda.api import body, shape
from ciranda.api.answers import describe, nothing, ok, stop
from ciranda.api.caller import customer_only, document_of, node_of, token_of
from ciranda.api.code import code_of
from ciranda.api.origin import origin_of
from ciranda.instant import rfc3339

PASSWORD_READ_MAX = 1_000
"""A longer one is nobody's, and is not looked at."""
ID_MAX = 64


class SignIn(body.Body, frozen=True, kw_only=True):
    document: shape.Document
    password: shape.Password


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: str


class ListedSession(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created_at: str
    used_at: str
    """Coarse: to some minutes."""
    expires_at: str
    address: str | None
    """The network that it was begun from."""
    agent: str | None
    current: bool
    """Whether it is the one of this call."""


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    sessions: list[ListedSession]


_sign_in = msgspec.json.Decoder(SignIn)


@post(
    "/v1/sessions",
    opt=describe(
        body=SignIn, answers={201: SessionView}, problems=(401, 403, 422, 429), public=True, code=True
    ),
)
async def sign_in(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Opens a session; its token goes into `Authorization: Bearer` of every other call."""
    order = await body.parse(request, _sign_in)
    document = body.document(order.document)
    if len(order.password) > PASSWORD_READ_MAX:
        stop("wrong_credentials")
    # In normal form C, as it was when it was hashed: keyboards differ in how they spell an accent.
    password = body.plain("password", order.password)
    session = await node_of(request).people.log_in(document, password, code_of(request), origin_of(request))
    if session == "wrong_credentials":
        stop("wrong_credentials")
    token, expires_at = session
    return ok(SessionView(token=token, expires_at=rfc3339(expires_at)), 201)


@get("/v1/sessions", guards=[customer_only], opt=describe(answers={200: Sessions}))
async def list_sessions(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The caller's sessions, the last used ones first."""
    found = await node_of(request).people.sessions(document_of(request), token_of(request))
    return ok(
        Sessions(
            sessions=[
                ListedSession(
                    id=session.id,
                    created_at=rfc3339(session.created_at),
                    used_at=rfc3339(session.used_at),
                    expires_at=rfc3339(session.expires_at),
                    address=session.address,
                    agent=session.agent,
                    current=current,
                )
                for current, session in found
            ]
        )
    )


@delete("/v1/sessions/current", status_code=204, guards=[customer_only], opt=describe(answers={204: None}))
async def sign_out(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends the session that this call was made with."""
    await node_of(request).people.log_out(token_of(request))
    return nothing()


@delete("/v1/sessions/others", status_code=204, guards=[customer_only], opt=describe(answers={204: None}))
async def end_other_sessions(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends all the caller's sessions but the one that this call is made with."""
    await node_of(request).people.end_other_sessions(document_of(request), token_of(request))
    return nothing()


@delete(
    "/v1/sessions/{id:str}",
    status_code=204,
    guards=[customer_only],
    opt=describe(answers={204: None}, problems=(404,)),
)
async def end_session(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends one of the caller's sessions."""
    id: str = request.path_params["id"]
    known = id.isascii() and id.isalnum() and len(id) <= ID_MAX
    if not known or not await node_of(request).people.end_session(document_of(request), id):
        stop("not_found")
    return nothing()
