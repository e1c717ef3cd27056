"""`/v1/accounts`: opening accounts, looking at them, and their statements."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from msgspec import Meta

from ciranda.api import body, page, shape
from ciranda.api.answers import bad_request, denied, describe, ok, stop
from ciranda.api.caller import anyone_known, customer_only, customer_or_operator, document_of, node_of
from ciranda.api.once import taken
from ciranda.api.show import AccountView, account_view, outside, shown_view
from ciranda.engine.reply import DenialCode, Denied
from ciranda.identity import Document, bank_of
from ciranda.instant import rfc3339
from ciranda.ledger.account import Account, AccountKind
from ciranda.node.node import Node
from ciranda.node.order import AccountOrder

HOLDERS_MAX = 16
_HOLDERS = Meta(extra_json_schema={"maxItems": HOLDERS_MAX})


class Opening(body.Body, frozen=True, kw_only=True):
    kind: Literal["individual", "business", "joint"]
    holders: Annotated[list[shape.Document], _HOLDERS] | None = None
    """Joint accounts: the documents of all holders, the caller's among them."""
    signatures: Literal["any", "all"] | None = None
    """Joint accounts: whether one holder may pay alone."""


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    accounts: list[AccountView]


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    payment: str
    amount: int
    """Signed, in minor units."""
    balance: int
    counterpart: str | None
    description: str | None
    reference: str | None
    booked_at: str


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    entries: list[EntryView]
    next_cursor: str | None


_opening = msgspec.json.Decoder(Opening)


@post(
    "/v1/accounts",
    guards=[customer_only],
    opt=describe(body=Opening, answers={201: AccountView}, problems=(409, 422, 429), key="taken"),
)
async def open_account(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Opens an account for the caller, alone or with others."""
    order = await body.parse(request, _opening)
    node, caller = node_of(request), document_of(request)
    joint, holders = order.kind == "joint", _holders(order.holders)
    if not joint and (order.signatures is not None or holders not in ((), (caller,))):
        bad_request("holders", "only a joint account has holders and signatures to name")
    if joint:
        await node.people.may_name_others(caller)
    account = await node.open_account(
        AccountOrder(
            once=taken(request, "accounts", order),
            caller=caller,
            kind=AccountKind(order.kind),  # type: ignore[arg-type]
            holders=holders if joint else (caller,),
            signatures=(order.signatures or "any") if joint else None,
        )
    )
    if isinstance(account, Denied):
        if account.code is DenialCode.INVALID_HOLDERS:
            await node.people.named_nobody(caller)
        denied(account)
    return ok(await _view(node, account), 201)


def _holders(holders: list[str] | None) -> tuple[Document, ...]:
    if len(holders or []) > HOLDERS_MAX:
        bad_request("holders", f"at most {HOLDERS_MAX}")
    return tuple(body.document(holder) for holder in holders or [])


@get(
    "/v1/accounts",
    guards=[customer_only],
    opt=describe(
        answers={200: Accounts},
        query={
            "everywhere": shape.Parameter(
                "`true` adds the linked accounts at other banks",
                {"type": "string", "enum": ["true", "false"]},
            )
        },
    ),
)
async def list_accounts(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The caller's accounts, the oldest first."""
    node, caller = node_of(request), document_of(request)
    everywhere = page.query(request, "everywhere")
    if everywhere not in (None, "true", "false"):
        bad_request("everywhere", "true or false")
    accounts = await node.store.accounts_of(caller)
    customers = await node.store.customers(sorted({one for account in accounts for one in account.holders}))
    views = [account_view(account, customers) for account in accounts]
    if everywhere == "true":
        members = node.bank.roster.members
        views = [
            msgspec.structs.replace(view, bank=members[node.bank.ispb].name, linked=False, reachable=True)
            for view in views
        ]
        for linked in await node.linked_accounts(caller):
            bank = members.get(bank_of(linked.link.account))
            views.append(shown_view(linked.account, bank.name if bank else "", linked.reachable))
    return ok(Accounts(accounts=views))


@get(
    "/v1/accounts/{address:str}",
    guards=[anyone_known],
    opt=describe(answers={200: AccountView}, problems=(404,)),
)
async def show_account(request: Request[Any, Any, Any]) -> Response[bytes]:
    """One account of the caller; any, for the operator."""
    node = node_of(request)
    return ok(await _view(node, await seen_account(request)))


@get(
    "/v1/accounts/{address:str}/entries",
    guards=[anyone_known],
    opt=describe(
        answers={200: Entries},
        problems=(404,),
        query={
            "limit": shape.limit("entries"),
            "cursor": shape.cursor(shape.ENTRY_CURSOR),
            "after": shape.Parameter(
                "only entries numbered over this one, the oldest first: for polling",
                {"type": "string", "pattern": shape.ENTRY_NUMBER},
            ),
        },
    ),
)
async def list_entries(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The statement: newest first; or, with `after`, oldest first."""
    limit = page.limit(request)
    cursor, after = page.query(request, "cursor"), page.query(request, "after")
    if cursor is not None and after is not None:
        bad_request("cursor", "either cursor or after")
    before_number = None if cursor is None else page.number("cursor", cursor, 1, 2**62)
    after_number = None if after is None else page.number("after", after, 0, 2**62)
    account = await seen_account(request)
    lines = await node_of(request).store.entries(account.id, limit + 1, before_number, after_number)
    shown = [
        EntryView(
            number=line.entry.number,
            payment=line.entry.payment,
            amount=line.entry.amount,
            balance=line.entry.balance,
            counterpart=outside(line.entry.counterpart),
            description=line.description,
            reference=line.reference,
            booked_at=rfc3339(line.entry.booked_at),
        )
        for line in lines[:limit]
    ]
    more = len(lines) > limit and after is None
    return ok(Entries(entries=shown, next_cursor=str(shown[-1].number) if more else None))


async def seen_account(request: Request[Any, Any, Any]) -> Account:
    """The account, if the caller may see it; 404 otherwise."""
    caller = customer_or_operator(request)
    account = await node_of(request).store.account(body.address_in_path(request))
    if account is None or (caller is not None and caller not in account.holders):
        stop("not_found")
    return account


async def _view(node: Node, account: Account) -> AccountView:
    return account_view(account, await node.store.customers(account.holders))
