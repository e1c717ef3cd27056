"""`/v1/operator`: the bank's own books. Audit, positions, accounts, peers; nothing here moves money."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post, put
from msgspec import Meta

from ciranda.agreement.participant import State
from ciranda.api import body, page, shape
from ciranda.api.answers import bad_request, denied, describe, ok
from ciranda.api.caller import may, node_of, operator_of
from ciranda.api.proposals import ProposalView, proposed
from ciranda.api.show import AccountView, account_view
from ciranda.engine.operator import Right
from ciranda.engine.proposal import Proposal
from ciranda.engine.reply import Denied
from ciranda.identity import clearing, coordinator_of, parse_end_to_end_id
from ciranda.instant import rfc3339
from ciranda.ledger.account import Account
from ciranda.money import OWN_BALANCE_MAX
from ciranda.node.node import Node
from ciranda.roster import Member

IN_DOUBT_SHOWN = 1_000
PAYMENTS_PAGE_MAX = 10_000
VIOLATIONS_SHOWN = 1_000


class BalancesView(msgspec.Struct, frozen=True, kw_only=True):
    customers: int
    vault: int
    clearing: dict[str, int]


class CountsView(msgspec.Struct, frozen=True, kw_only=True):
    settled: int
    refused: int
    in_doubt: int


class DoubtView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: str
    since: str
    coordinator: str
    witnesses: list[str]


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    balances: BalancesView
    sum: int
    held: int
    accounts: int
    payments: CountsView
    in_doubt: list[DoubtView]


class KnownPayment(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    digest: str | None
    """Null for a payment that never left this bank."""
    status: str


class KnownPayments(msgspec.Struct, frozen=True, kw_only=True):
    payments: list[KnownPayment]
    next_cursor: str | None


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    ispb: str
    name: str
    balance: int
    """What this bank owes the peer; negative, what the peer owes it."""
    limit: int
    """What the peer may owe this bank at most."""
    reachable: bool


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    positions: list[PositionView]


class ViolationView(msgspec.Struct, frozen=True, kw_only=True):
    at: str
    peer: str
    payment: str
    reason: str


class Violations(msgspec.Struct, frozen=True, kw_only=True):
    violations: list[ViolationView]


@get("/v1/operator/audit", guards=[may(Right.READ)], opt=describe(answers={200: AuditView}))
async def audit(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The trial balance, computed from every account, and what is in doubt."""
    store = node_of(request).store
    balances, counts = await store.trial_balance()
    doubts = await store.in_doubt(IN_DOUBT_SHOWN)
    return ok(
        AuditView(
            balances=BalancesView(
                customers=balances.customers,
                vault=balances.vault,
                clearing={str(ispb): balance for ispb, balance in balances.clearing.items()},
            ),
            sum=balances.sum,
            held=balances.held,
            accounts=balances.accounts,
            payments=CountsView(settled=counts.settled, refused=counts.refused, in_doubt=counts.in_doubt),
            in_doubt=[
                DoubtView(
                    id=record.id,
                    state=record.state.value,
                    since=rfc3339(record.created_at),
                    coordinator=coordinator_of(record.id),
                    witnesses=list(record.header.witnesses) if record.header else [],
                )
                for record in doubts
            ],
        )
    )


@get(
    "/v1/operator/payments",
    guards=[may(Right.READ)],
    opt=describe(
        answers={200: KnownPayments},
        query={
            "after": shape.cursor(shape.PAYMENT_CURSOR),
            "limit": shape.limit("payments", PAYMENTS_PAGE_MAX),
        },
    ),
)
async def known_payments(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Every payment that this bank knows, by id."""
    limit, after = page.limit(request, PAYMENTS_PAGE_MAX), page.query(request, "after")
    try:
        cursor = None if after is None else parse_end_to_end_id(after)
    except ValueError:
        bad_request("after", "not a cursor of this list")
    records = await node_of(request).store.all_payments(limit + 1, cursor)
    shown = records[:limit]
    return ok(
        KnownPayments(
            payments=[
                KnownPayment(id=record.id, digest=record.digest, status=record.status.value)
                for record in shown
                if record.state is not State.UNKNOWN
            ],
            next_cursor=shown[-1].id if len(records) > limit else None,
        )
    )


@get("/v1/operator/positions", guards=[may(Right.READ)], opt=describe(answers={200: Positions}))
async def positions(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What this bank and each peer owe each other."""
    node = node_of(request)
    own = {account.id: account for account in await node.store.own_accounts()}
    return ok(
        Positions(
            positions=[
                _position(node, peer, own[clearing(peer.ispb)])
                for peer in node.bank.roster.peers_of(node.bank.ispb)
            ]
        )
    )


def _position(node: Node, peer: Member, account: Account) -> PositionView:
    return PositionView(
        ispb=peer.ispb,
        name=peer.name,
        balance=account.balance,
        limit=-account.floor,
        reachable=node.peers.reachable(peer.ispb),
    )


@get("/v1/operator/violations", guards=[may(Right.READ)], opt=describe(answers={200: Violations}))
async def violations(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What peers did that no honest peer does, the latest first."""
    seen = await node_of(request).store.violations(VIOLATIONS_SHOWN)
    return ok(
        Violations(
            violations=[
                ViolationView(at=rfc3339(one.at), peer=one.peer, payment=one.payment, reason=one.reason)
                for one in seen
            ]
        )
    )


def _change(change: Literal["block", "unblock", "close"], meaning: str, answers: dict[int, Any]) -> Any:
    @post(
        f"/v1/operator/accounts/{{address:str}}/{change}",
        status_code=200,
        guards=[may(Right.ACCOUNTS)],
        name=change,
        opt=describe(answers=answers, problems=(404, 422)),
    )
    async def change_account(request: Request[Any, Any, Any]) -> Response[bytes]:
        node = node_of(request)
        account = await node.change_account(operator_of(request), body.address_in_path(request), change)
        if isinstance(account, Denied):
            denied(account)
        if isinstance(account, Proposal):
            return proposed(request, account)
        return ok(account_view(account, await node.store.customers(account.holders)))

    change_account.fn.__doc__ = meaning
    return change_account


block = _change(
    "block",
    "Blocks an account: it pays nothing and receives nothing until it is unblocked.",
    {200: AccountView},
)
unblock = _change(
    "unblock",
    "Ends a block. 202: a second operator must approve it.",
    {200: AccountView, 202: ProposalView},
)
close = _change(
    "close", "Closes an account for ever; it must be empty, with nothing on its way.", {200: AccountView}
)


class LimitBody(body.Body, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=0, le=OWN_BALANCE_MAX, description="in minor units")]


_limit = msgspec.json.Decoder(LimitBody)


@put(
    "/v1/operator/peers/{ispb:str}/limit",
    guards=[may(Right.PEERS)],
    opt=describe(body=LimitBody, answers={200: PositionView, 202: ProposalView}, problems=(404,)),
)
async def set_limit(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sets what a peer may owe this bank at most, at once and over the settings. 202: a second operator must approve."""
    order = await body.parse(request, _limit)
    node, ispb = node_of(request), body.ispb("ispb", request.path_params["ispb"])
    account = await node.set_credit_limit(operator_of(request), ispb, order.limit)
    if isinstance(account, Denied):
        denied(account)
    if isinstance(account, Proposal):
        return proposed(request, account)
    return ok(_position(node, node.bank.roster.members[ispb], account))
