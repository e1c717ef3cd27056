"""`/v1/operator`: the bank's own people. Audit, positions, accounts; nothing here moves money."""

from typing import Any, Literal

import msgspec
from litestar import Request, Response, get, post

from ciranda.agreement.participant import State
from ciranda.api import body, page
from ciranda.api.answers import bad_request, denied, describe, ok
from ciranda.api.caller import node_of, operator_only
from ciranda.api.show import AccountView, account_view
from ciranda.engine.reply import Denied
from ciranda.identity import clearing, coordinator_of, parse_end_to_end_id
from ciranda.instant import rfc3339

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


@get("/v1/operator/audit", guards=[operator_only], opt=describe(answers={200: AuditView}))
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
    guards=[operator_only],
    opt=describe(
        answers={200: KnownPayments},
        query={
            "after": "the `next_cursor` of the page before",
            "limit": f"at most so many payments, 1 to {PAYMENTS_PAGE_MAX}; 50 if not given",
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


@get("/v1/operator/positions", guards=[operator_only], opt=describe(answers={200: Positions}))
async def positions(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What this bank and each peer owe each other."""
    node = node_of(request)
    own = {account.id: account for account in await node.store.own_accounts()}
    return ok(
        Positions(
            positions=[
                PositionView(
                    ispb=peer.ispb,
                    name=peer.name,
                    balance=own[clearing(peer.ispb)].balance,
                    limit=-own[clearing(peer.ispb)].floor,
                    reachable=node.peers.reachable(peer.ispb),
                )
                for peer in node.bank.roster.peers_of(node.bank.ispb)
            ]
        )
    )


@get("/v1/operator/violations", guards=[operator_only], opt=describe(answers={200: Violations}))
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


def _change(change: Literal["block", "unblock", "close"], meaning: str) -> Any:
    @post(
        f"/v1/operator/accounts/{{address:str}}/{change}",
        status_code=200,
        guards=[operator_only],
        name=change,
        opt=describe(answers={200: AccountView}, problems=(404, 422)),
    )
    async def change_account(request: Request[Any, Any, Any]) -> Response[bytes]:
        node = node_of(request)
        account = await node.change_account(body.address_in_path(request), change)
        if isinstance(account, Denied):
            denied(account)
        return ok(account_view(account, await node.store.customers(account.holders)))

    change_account.fn.__doc__ = meaning
    return change_account


block = _change("block", "Blocks an account: it pays nothing and receives nothing until it is unblocked.")
unblock = _change("unblock", "Ends a block.")
close = _change("close", "Closes an account for ever; it must be empty, with nothing on its way.")
