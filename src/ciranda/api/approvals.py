"""`…/approvals`: what needs the signatures of all holders of an account, payments and mandates alike."""

import re
from typing import Any, Literal

import msgspec
from litestar import Request, Response, get, post
from msgspec import UNSET, UnsetType

from ciranda.agreement.participant import State
from ciranda.api import body, page, shape
from ciranda.api.answers import bad_request, denied, describe, ok, stop
from ciranda.api.caller import customer_only, document_of, node_of
from ciranda.api.code import code_of
from ciranda.api.mandates import MandateView, id_in_path, made_status, mandate_views
from ciranda.api.payments import paid, payment_views
from ciranda.api.show import PaymentView
from ciranda.engine.approval import Subject
from ciranda.engine.reply import Denied
from ciranda.identity import EndToEndId, parse_end_to_end_id
from ciranda.instant import Instant

_CURSOR = re.compile(r"([0-9]{1,15})-([0-9A-Za-z]{1,64})")


class Word(body.Body, frozen=True, kw_only=True):
    decision: Literal["approve", "refuse"] = "approve"


class AwaitingView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Literal["payment", "mandate"]
    payment: PaymentView | UnsetType = UNSET
    mandate: MandateView | UnsetType = UNSET


class Awaiting(msgspec.Struct, frozen=True, kw_only=True):
    approvals: list[AwaitingView]
    next_cursor: str | None


_word = msgspec.json.Decoder(Word)


@post(
    "/v1/payments/{id:str}/approvals",
    guards=[customer_only],
    opt=describe(
        body=Word,
        answers={200: PaymentView, 201: PaymentView, 202: PaymentView},
        problems=(404, 409, 422, 429),
        code=True,
    ),
)
async def approve_payment(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Approves or refuses a payment that needs all holders. 200: refused by the caller; else as when paying."""
    word = await _read(request)
    node, caller = node_of(request), document_of(request)
    try:
        id = parse_end_to_end_id(request.path_params["id"])
    except ValueError:
        stop("not_found")
    if word.decision == "approve":
        view, status = await paid(node, await node.approve_payment(caller, id, code_of(request)), caller)
        return ok(view, status)
    record = await node.decline_payment(caller, id)
    if isinstance(record, Denied):
        denied(record)
    assert record.state is State.ABORTED, "one refusal ends it"
    (view,) = await payment_views(node, [record], caller)
    return ok(view)


@post(
    "/v1/mandates/{id:str}/approvals",
    guards=[customer_only],
    opt=describe(
        body=Word,
        answers={200: MandateView, 201: MandateView, 202: MandateView},
        problems=(404, 409, 422, 429),
        code=True,
    ),
)
async def approve_mandate(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Approves or refuses a mandate that needs all holders. 200: refused by the caller; else as when giving one."""
    word = await _read(request)
    node, caller, id = node_of(request), document_of(request), id_in_path(request)
    approving = word.decision == "approve"
    if approving:
        mandate = await node.approve_mandate(caller, id, code_of(request))
    else:
        mandate = await node.decline_mandate(caller, id)
    if isinstance(mandate, Denied):
        denied(mandate)
    (view,) = await mandate_views(node, [mandate], caller)
    return ok(view, made_status(mandate) if approving else 200)


@get(
    "/v1/approvals",
    guards=[customer_only],
    opt=describe(
        answers={200: Awaiting},
        query={
            "limit": shape.limit("of them"),
            "cursor": shape.cursor(shape.APPROVAL_CURSOR),
        },
    ),
)
async def list_approvals(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What awaits the caller's own signature, newest first."""
    node, caller = node_of(request), document_of(request)
    limit, before = page.limit(request), _before(page.query(request, "cursor"))
    found = await node.store.awaiting(caller, limit + 1, before)
    shown = found[:limit]
    ids: dict[Subject, list[str]] = {subject: [] for subject in Subject}
    for approval in shown:
        ids[approval.subject].append(approval.id)
    records = await node.store.payments([EndToEndId(id) for id in ids[Subject.PAYMENT]])
    given = await node.store.mandates(ids[Subject.MANDATE])
    payments = {view.id: view for view in await payment_views(node, records, caller)}
    mandates = {view.id: view for view in await mandate_views(node, given, caller)}
    return ok(
        Awaiting(
            approvals=[
                AwaitingView(
                    id=approval.id,
                    kind=approval.subject.value,
                    payment=payments.get(approval.id, UNSET),
                    mandate=mandates.get(approval.id, UNSET),
                )
                for approval in shown
            ],
            next_cursor=f"{shown[-1].asked_at}-{shown[-1].id}" if len(found) > limit else None,
        )
    )


async def _read(request: Request[Any, Any, Any]) -> Word:
    """No body at all is an approval too."""
    return await body.parse(request, _word, empty=b"{}")


def _before(cursor: str | None) -> tuple[Instant, str] | None:
    if cursor is None:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        bad_request("cursor", "not a cursor of this list")
    return Instant(int(match[1])), match[2]
