"""`/v1/links`: one's accounts at other banks, seen and spent from here."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post

from ciranda.api import body, shape
from ciranda.api.answers import denied, describe, nothing, ok, stop
from ciranda.api.caller import customer_only, document_of, node_of
from ciranda.api.once import taken
from ciranda.api.payments import MANDATE_MAX
from ciranda.api.show import AccountView, shown_view
from ciranda.engine.reply import Denied
from ciranda.identity import bank_of
from ciranda.instant import rfc3339
from ciranda.node.order import LinkOrder
from ciranda.ports import PeerUnreachable


class LinkBody(body.Body, frozen=True, kw_only=True):
    account: shape.Address
    mandate: shape.MandateToken
    """The token of a mandate that the account's bank gave for this bank."""


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    bank: str
    scopes: list[str]
    created_at: str


class Links(msgspec.Struct, frozen=True, kw_only=True):
    links: list[LinkView]


_link = msgspec.json.Decoder(LinkBody)


@post(
    "/v1/links",
    guards=[customer_only],
    opt=describe(body=LinkBody, answers={201: AccountView}, problems=(422,), key="taken"),
)
async def make_link(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Makes an account at another bank visible, and usable as a source without repeating the token."""
    order = await body.parse(request, _link)
    node = node_of(request)
    account = body.address("account", order.account)
    if not (
        0 < len(order.mandate) <= MANDATE_MAX and order.mandate.isascii() and order.mandate.isprintable()
    ):
        stop("not_permitted")
    try:
        shown = await node.make_link(
            LinkOrder(
                once=taken(request, "links", order),
                caller=document_of(request),
                account=account,
                token=order.mandate,
            )
        )
    except PeerUnreachable:
        stop("unavailable", "The account's bank cannot be reached now.")
    if isinstance(shown, Denied):
        denied(shown)
    return ok(shown_view(shown, node.bank.roster.members[bank_of(account)].name, reachable=True), 201)


@get("/v1/links", guards=[customer_only], opt=describe(answers={200: Links}))
async def list_links(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The caller's links."""
    node = node_of(request)
    members = node.bank.roster.members
    links = await node.store.links_of(document_of(request))
    return ok(
        Links(
            links=[
                LinkView(
                    account=link.account,
                    bank=members[bank_of(link.account)].name if bank_of(link.account) in members else "",
                    scopes=list(link.scopes),
                    created_at=rfc3339(link.created_at),
                )
                for link in links
            ]
        )
    )


@delete(
    "/v1/links/{address:str}",
    status_code=204,
    guards=[customer_only],
    opt=describe(answers={204: None}, problems=(404,)),
)
async def remove_link(request: Request[Any, Any, Any]) -> Response[None]:
    """Forgets a link, and with it the mandate's token."""
    gone = await node_of(request).remove_link(document_of(request), body.address_in_path(request))
    if gone is not None:
        denied(gone)
    return nothing()
