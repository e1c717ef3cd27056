"""Who is calling: every route says who may, and that is settled before its body is looked at.

A customer is known by a session's token, the operator by the bank's; both travel as `Authorization: Bearer`.
"""

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ciranda.api.answers import stop
from ciranda.engine.customer import Customer
from ciranda.identity import Document
from ciranda.node.node import Node

TOKEN_MAX = 200

Connection = ASGIConnection[Any, Any, Any, Any]


async def customer_only(connection: Connection, _handler: BaseRouteHandler) -> None:
    if not isinstance(await _recognise(connection), Customer):
        stop("forbidden")


async def operator_only(connection: Connection, _handler: BaseRouteHandler) -> None:
    if await _recognise(connection) != "operator":
        stop("forbidden")


async def anyone_known(connection: Connection, _handler: BaseRouteHandler) -> None:
    await _recognise(connection)


async def _recognise(connection: Connection) -> Customer | str:
    node: Node = connection.app.state.node
    token = token_of(connection)
    caller = await node.people.who(token)
    if caller is None:
        stop("unauthenticated")
    connection.scope["user"] = caller
    return caller


def token_of(connection: Connection) -> str:
    """The token of the request, whatever it is worth; 401 if there is none."""
    return token_among(connection.headers.getall("authorization", []))


def token_among(values: list[str]) -> str:
    """`values`: all the values of the Authorization header, as they came."""
    scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_MAX or not token.isascii():
        stop("unauthenticated")
    return token


def customer_of(request: Request[Any, Any, Any]) -> Customer:
    caller = request.scope["user"]
    assert isinstance(caller, Customer), "a guard let only customers in"
    return caller


def document_of(request: Request[Any, Any, Any]) -> Document:
    """The calling customer's."""
    return customer_of(request).document


def customer_or_operator(request: Request[Any, Any, Any]) -> Document | None:
    """The calling customer's document; None for the operator."""
    caller = request.scope["user"]
    return caller.document if isinstance(caller, Customer) else None


def node_of(request: Request[Any, Any, Any]) -> Node:
    node: Node = request.app.state.node
    return node
