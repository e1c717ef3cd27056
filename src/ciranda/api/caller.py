"""Who is calling: every route says who may, and that is settled before its body is looked at.

A customer is known by a session's token, an operator by their own or the bank's; all travel as `Authorization: Bearer`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from litestar import Request
from litestar.handlers import BaseRouteHandler

from ciranda.api.answers import stop
from ciranda.api.origin import Connection, address_in, origin_of
from ciranda.engine.customer import Customer
from ciranda.engine.operator import Operator, Right
from ciranda.identity import Document
from ciranda.node.mask import masked_document
from ciranda.node.node import Node

TOKEN_MAX = 200

Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]


async def customer_only(connection: Connection, _handler: BaseRouteHandler) -> None:
    caller = await _recognise(connection)
    if isinstance(caller, Operator):
        await _turn_away(connection, caller)


def may(right: Right) -> Guard:
    """Operators with this right, and nobody else."""

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        caller = await _recognise(connection)
        if not isinstance(caller, Operator):
            _turn_away_customer(connection, caller)
        await _need(connection, caller, right)

    return guard


async def any_operator(connection: Connection, _handler: BaseRouteHandler) -> None:
    caller = await _recognise(connection)
    if not isinstance(caller, Operator):
        _turn_away_customer(connection, caller)


async def anyone_known(connection: Connection, _handler: BaseRouteHandler) -> None:
    """A customer, whom the route shows what is theirs, or an operator who may see what is anyone's."""
    caller = await _recognise(connection)
    if isinstance(caller, Operator):
        await _need(connection, caller, Right.SEE)


async def _need(connection: Connection, operator: Operator, right: Right) -> None:
    if not _node(connection).operators.may(operator, right):
        await _turn_away(connection, operator)


async def _turn_away(connection: Connection, operator: Operator) -> NoReturn:
    """An operator where operators, or this one, have no business: an auditor will find it in the record."""
    await _node(connection).operators.turned_away(operator, _route(connection))
    stop("forbidden")


def _turn_away_customer(connection: Connection, customer: Customer) -> NoReturn:
    """A customer where operators only have business."""
    whose = masked_document(customer.document)
    network = origin_of(connection).shown_as
    _node(connection).traces.note(
        "customer_turned_away", whose, customer=whose, network=network, route=_route(connection)
    )
    stop("forbidden")


def _route(connection: Connection) -> str:
    return f"{connection.scope['method']} {connection.scope['path_template']}"  # type: ignore[typeddict-item]


async def _recognise(connection: Connection) -> Customer | Operator:
    token = token_of(connection)
    address = address_in(connection.scope, connection.app.state.trusted_proxies)
    caller = await _node(connection).people.who(token, address)
    if caller is None:
        await _node(connection).refused_token(token, _route(connection), origin_of(connection))
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


def operator_of(request: Request[Any, Any, Any]) -> str:
    """The calling operator's name."""
    caller = request.scope["user"]
    assert isinstance(caller, Operator), "a guard let only operators in"
    return caller.name


def customer_or_operator(request: Request[Any, Any, Any]) -> Document | None:
    """The calling customer's document; None for an operator."""
    caller = request.scope["user"]
    return caller.document if isinstance(caller, Customer) else None


def node_of(request: Request[Any, Any, Any]) -> Node:
    return _node(request)


def _node(connection: Connection) -> Node:
    node: Node = connection.app.state.node
    return node
