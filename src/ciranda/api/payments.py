"""`/v1/payments`: the main job. Also deposits and withdrawals, which are payments of another kind."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from msgspec import UNSET, Meta
from msgspec.structs import replace

from ciranda.agreement.participant import State
from ciranda.api import body, page, shape
from ciranda.api.answers import Stopped, bad_request, denied, describe, ok, stop
from ciranda.api.caller import (
    anyone_known,
    customer_only,
    customer_or_operator,
    document_of,
    may,
    node_of,
    operator_of,
)
from ciranda.api.code import code_of
from ciranda.api.once import required
from ciranda.api.proposals import ProposalView, proposed
from ciranda.api.show import PaymentView, approvals_view, payment_view
from ciranda.engine.operator import Right
from ciranda.engine.proposal import Proposal
from ciranda.engine.record import Clause, Record
from ciranda.engine.reply import Denied
from ciranda.identity import VAULT, AccountId, Document, parse_end_to_end_id
from ciranda.money import AMOUNT_MAX
from ciranda.node.node import Node
from ciranda.node.order import Once, PaymentOrder
from ciranda.payment import TRANSFERS_MAX, Kind, Transfer
from ciranda.wire.problem import problem

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="in minor units; zero is refused")]
MANDATE_MAX = 256


class TransferOrder(body.Body, frozen=True, kw_only=True):
    source: shape.Address
    target: shape.Address
    amount: Amount
    mandate: shape.MandateToken | None = None
    """The token of the mandate that allows this debit, for a source in another bank."""


class Payment(body.Body, frozen=True, kw_only=True):
    transfers: Annotated[list[TransferOrder], Meta(min_length=1, max_length=TRANSFERS_MAX)]
    description: shape.Description | None = None
    reference: shape.Reference | None = None


class Cash(body.Body, frozen=True, kw_only=True):
    account: shape.Address
    amount: Amount
    description: shape.Description | None = None


class Payments(msgspec.Struct, frozen=True, kw_only=True):
    payments: list[PaymentView]
    next_cursor: str | None


payment_decoder = msgspec.json.Decoder(Payment)
_cash = msgspec.json.Decoder(Cash)


@post(
    "/v1/payments",
    guards=[customer_only],
    opt=describe(
        body=Payment,
        answers={201: PaymentView, 202: PaymentView},
        problems=(422, 429),
        key="required",
        code=True,
    ),
)
async def pay(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Pays: all transfers or none, over any number of banks. 202: not decided yet, or waiting for signatures."""
    payment = await body.parse(request, payment_decoder)
    once = required(request, "payments", payment)
    node, caller = node_of(request), document_of(request)
    order = order_of(payment, once, caller, code_of(request))
    return ok(*await paid(node, await node.pay(order), caller))


@post(
    "/v1/deposits",
    guards=[may(Right.CASH)],
    opt=describe(body=Cash, answers={201: PaymentView}, problems=(422,), key="required"),
)
async def deposit(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Cash that a customer brings to a teller."""
    return await _cash_order(request, Kind.DEPOSIT, "deposits")


@post(
    "/v1/withdrawals",
    guards=[may(Right.CASH)],
    opt=describe(body=Cash, answers={201: PaymentView, 202: ProposalView}, problems=(422,), key="required"),
)
async def withdraw(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Cash that a teller hands out. 202: a second operator must approve it."""
    return await _cash_order(request, Kind.WITHDRAWAL, "withdrawals")


@get(
    "/v1/payments",
    guards=[customer_only],
    opt=describe(
        answers={200: Payments},
        query={
            "limit": shape.limit("payments"),
            "cursor": shape.cursor(shape.PAYMENT_CURSOR),
        },
    ),
)
async def list_payments(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What the caller asked this bank to pay, newest first."""
    limit, cursor = page.limit(request), page.query(request, "cursor")
    try:
        before = None if cursor is None else parse_end_to_end_id(cursor)
    except ValueError:
        bad_request("cursor", "not a cursor of this list")
    records = await node_of(request).store.payments_of(document_of(request), limit + 1, before)
    shown = records[:limit]
    more = len(records) > limit
    return ok(
        Payments(
            payments=await payment_views(node_of(request), shown, document_of(request)),
            next_cursor=shown[-1].id if more else None,
        )
    )


@get(
    "/v1/payments/{id:str}", guards=[anyone_known], opt=describe(answers={200: PaymentView}, problems=(404,))
)
async def show_payment(request: Request[Any, Any, Any]) -> Response[bytes]:
    """One payment, for whoever asked for it, the holders concerned, and operators."""
    node, caller = node_of(request), customer_or_operator(request)
    try:
        record = await node.store.payment(parse_end_to_end_id(request.path_params["id"]))
    except ValueError:
        stop("not_found")
    # Looked up in any case: what takes longer for a payment that exists would tell that it does.
    own = set() if caller is None else {account.id for account in await node.store.accounts_of(caller)}
    if record is None or record.state is State.UNKNOWN:
        stop("not_found")
    whole = caller is None or _is_whole_business_of(caller, node, record)
    part = _part_of(own, node, record)
    if not whole and not part:
        stop("not_found")
    (view,) = await payment_views(node, [record], caller)
    # Whoever signs it signs all of it.
    signs = view.approvals is not UNSET
    return ok(view if whole or signs else payment_view(replace(record, clauses=part)))


def _is_whole_business_of(caller: Document, node: Node, record: Record) -> bool:
    """Whether the customer asked for the payment here."""
    return record.coordinated_by(node.bank.ispb) and record.payer == caller


def _part_of(own: set[AccountId], node: Node, record: Record) -> tuple[Clause, ...]:
    """The transfers from and to these accounts: who else is paid with them, and how much, is nobody's business."""
    # What was never begun is no business of whoever would have been paid.
    begun = record.state not in (State.ABORTED, State.AWAITING_APPROVAL)
    permitted = begun or not record.coordinated_by(node.bank.ispb)
    return tuple(
        clause
        for clause in record.clauses
        if clause.transfer.source in own or (permitted and clause.transfer.target in own)
    )


def order_of(
    payment: Payment, once: Once, caller: Document, code: str | None, within: str = ""
) -> PaymentOrder:
    """`within`: where the payment stands in the body, for what is said of a field at fault."""
    return PaymentOrder(
        once=once,
        kind=Kind.PAYMENT,
        caller=caller,
        transfers=tuple(
            Transfer(
                source=body.address(f"{within}transfers[{place}].source", transfer.source),
                target=body.address(f"{within}transfers[{place}].target", transfer.target),
                amount=transfer.amount,
            )
            for place, transfer in enumerate(payment.transfers)
        ),
        tokens=tuple(
            _token(f"{within}transfers[{place}].mandate", transfer.mandate)
            for place, transfer in enumerate(payment.transfers)
        ),
        description=body.description(payment.description, within),
        reference=body.reference(payment.reference, within),
        code=code,
    )


def _token(field: str, token: str | None) -> str | None:
    if token is not None and not (0 < len(token) <= MANDATE_MAX and token.isascii() and token.isprintable()):
        bad_request(field, "not a mandate's token")
    return token


async def _cash_order(request: Request[Any, Any, Any], kind: Kind, route: str) -> Response[bytes]:
    cash = await body.parse(request, _cash)
    account = body.address("account", cash.account)
    deposit = kind is Kind.DEPOSIT
    order = PaymentOrder(
        once=required(request, route, cash),
        kind=kind,
        caller=None,
        transfers=(
            Transfer(
                source=VAULT if deposit else account,
                target=account if deposit else VAULT,
                amount=cash.amount,
            ),
        ),
        tokens=(None,),
        description=body.description(cash.description),
        reference=None,
    )
    outcome = await node_of(request).hand_cash(operator_of(request), order)
    if isinstance(outcome, Proposal):
        return proposed(request, outcome)
    return ok(*outcome_view(outcome))


async def paid(node: Node, outcome: Record | Denied, caller: Document) -> tuple[PaymentView, int]:
    """The payment and its status, for a customer; with whose approvals are missing, while some are."""
    view, status = outcome_view(outcome)
    if isinstance(outcome, Record) and outcome.state is State.AWAITING_APPROVAL:
        (view,) = await payment_views(node, [outcome], caller)
    return view, status


async def payment_views(node: Node, records: Sequence[Record], viewer: Document | None) -> list[PaymentView]:
    """The payments with the approvals that they need or needed, for those who sign and for the operator: None."""
    # None but those that a customer of ours asked for can have had to wait.
    ids = [record.id for record in records if record.payer and record.coordinated_by(node.bank.ispb)]
    approvals = {
        id: approval
        for id, approval in (await node.store.approvals(ids)).items()
        if viewer is None or viewer in approval.holders
    }
    if not approvals:
        return [payment_view(record) for record in records]
    documents = {holder for approval in approvals.values() for holder in approval.holders}
    customers = await node.store.customers(sorted(documents))
    views = []
    for record in records:
        view, approval = payment_view(record), approvals.get(record.id)
        if approval is not None:
            view = msgspec.structs.replace(view, approvals=approvals_view(approval, customers, viewer))
        views.append(view)
    return views


def outcome_view(outcome: Record | Denied) -> tuple[PaymentView, int]:
    """The payment and its status; a refusal is a problem."""
    if isinstance(outcome, Denied):
        denied(outcome)
    if outcome.refusal is not None:
        refusal = outcome.refusal
        raise Stopped(
            problem(
                refusal.code.value,
                refusal.detail,
                iso=refusal.iso,
                payment=outcome.id,
                bank=refusal.bank,
            )
        )
    return payment_view(outcome), 201 if outcome.state is State.COMMITTED else 202
