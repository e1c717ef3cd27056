"""`/v1/mandates`: what a holder allows other banks to do with an account here."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from msgspec import UNSET, Meta, UnsetType

from ciranda.api import body, page, shape
from ciranda.api.answers import bad_request, denied, describe, nothing, ok, stop
from ciranda.api.caller import customer_only, document_of, node_of
from ciranda.api.code import code_of
from ciranda.api.once import taken
from ciranda.api.show import ApprovalsView, approvals_view
from ciranda.engine.mandate import Mandate
from ciranda.engine.reply import Denied
from ciranda.identity import Document, EndToEndId, parse_end_to_end_id
from ciranda.instant import Instant, rfc3339
from ciranda.money import AMOUNT_MAX, BALANCE_MAX
from ciranda.node.node import Node
from ciranda.node.order import MandateOrder

ID_MAX = 64


class MandateBody(body.Body, frozen=True, kw_only=True):
    account: shape.Address
    initiator: shape.Ispb
    """The ISPB of the bank that may use the mandate."""
    expires_at: shape.Expiry
    starts_at: shape.Moment | None = None
    """At once, if not given."""
    per_payment: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)] | None = None
    per_day: Annotated[int, Meta(ge=1, le=BALANCE_MAX)] | None = None
    total: Annotated[int, Meta(ge=1, le=BALANCE_MAX)] | None = None
    scopes: Annotated[list[Literal["pay", "read"]], Meta(min_length=1, max_length=2)] | None = None
    payer: shape.Document | None = None
    """The document of the initiator's customer who may use it; the caller's own if not given."""


class MandateView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    account: str
    initiator: str
    payer: str
    scopes: list[str]
    per_payment: int | None
    per_day: int | None
    total: int | None
    used: int
    used_today: int
    """Since midnight in São Paulo, by the clock of this bank."""
    created_at: str
    starts_at: str | None
    expires_at: str
    approved_at: str | None
    """Null while not all holders have signed who must."""
    paused_at: str | None
    revoked_at: str | None
    status: Literal["awaiting_approval", "given", "ended"]
    """`ended`: revoked, or a holder refused it, or not all signed in time. One that is `given` lasts until it expires."""
    approvals: ApprovalsView | UnsetType = UNSET
    """If it needs or needed the signatures of all holders."""
    token: str | UnsetType = UNSET
    """Shown to whoever made the mandate, when it is made."""


class Mandates(msgspec.Struct, frozen=True, kw_only=True):
    mandates: list[MandateView]


class UseView(msgspec.Struct, frozen=True, kw_only=True):
    payment: str
    amount: int
    """What the payment takes under this mandate, over all its transfers."""
    status: Literal["awaiting_approval", "pending", "settled", "refused"]
    """Of the payment. What was refused is not counted as used."""
    used_at: str
    description: str | None
    reference: str | None


class Uses(msgspec.Struct, frozen=True, kw_only=True):
    uses: list[UseView]
    next_cursor: str | None


_mandate = msgspec.json.Decoder(MandateBody)


@post(
    "/v1/mandates",
    guards=[customer_only],
    opt=describe(
        body=MandateBody,
        answers={201: MandateView, 202: MandateView},
        problems=(404, 422, 429),
        key="taken",
        code=True,
    ),
)
async def give_mandate(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Allows another bank to start debits on one of the caller's accounts, or to show its balance. 202: if all
    its holders sign."""
    order = await body.parse(request, _mandate)
    starts_at = None if order.starts_at is None else body.moment("starts_at", order.starts_at)
    expires_at = body.expiry("expires_at", order.expires_at)
    if starts_at is not None and starts_at >= expires_at:
        bad_request("starts_at", "before expires_at")
    node, caller = node_of(request), document_of(request)
    given = await node.give_mandate(
        MandateOrder(
            once=taken(request, "mandates", order),
            caller=caller,
            account=body.address("account", order.account),
            initiator=body.ispb("initiator", order.initiator),
            payer=caller if order.payer is None else body.document(order.payer),
            scopes=tuple(sorted(set(order.scopes or ["pay"]))),
            per_payment=order.per_payment,
            per_day=order.per_day,
            total=order.total,
            starts_at=starts_at,
            expires_at=expires_at,
            code=code_of(request),
        )
    )
    if isinstance(given, Denied):
        denied(given)
    mandate, token = given
    (view,) = await mandate_views(node, [mandate], caller)
    return ok(msgspec.structs.replace(view, token=token), made_status(mandate))


@get("/v1/mandates", guards=[customer_only], opt=describe(answers={200: Mandates}))
async def list_mandates(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The mandates that the caller gave, or signs together with other holders, with what each has used."""
    node, caller = node_of(request), document_of(request)
    mandates = await node.store.mandates_of(caller)
    return ok(Mandates(mandates=await mandate_views(node, mandates, caller)))


@get(
    "/v1/mandates/{id:str}", guards=[customer_only], opt=describe(answers={200: MandateView}, problems=(404,))
)
async def show_mandate(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A mandate that the caller gave, or signs together with other holders."""
    mandate = await _given(request)
    return await _shown(request, mandate)


@delete(
    "/v1/mandates/{id:str}",
    status_code=204,
    guards=[customer_only],
    opt=describe(answers={204: None}, problems=(404,)),
)
async def revoke_mandate(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends a mandate; what was promised under it stands."""
    gone = await node_of(request).revoke_mandate(document_of(request), id_in_path(request))
    if gone is not None:
        denied(gone)
    return nothing()


@post(
    "/v1/mandates/{id:str}/pause",
    status_code=200,
    guards=[customer_only],
    opt=describe(answers={200: MandateView}, problems=(404,)),
)
async def pause(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Pauses a mandate: until it is resumed it allows nothing; what was promised under it stands."""
    paused = await node_of(request).pause_mandate(document_of(request), id_in_path(request))
    return await _changed(request, paused)


@post(
    "/v1/mandates/{id:str}/resume",
    status_code=200,
    guards=[customer_only],
    opt=describe(answers={200: MandateView}, problems=(404, 429), code=True),
)
async def resume(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Ends a pause."""
    mandate = await _given(request)
    resumed = await node_of(request).resume_mandate(document_of(request), mandate, code_of(request))
    return await _changed(request, resumed)


@get(
    "/v1/mandates/{id:str}/uses",
    guards=[customer_only],
    opt=describe(
        answers={200: Uses},
        problems=(404,),
        query={
            "limit": shape.limit("uses"),
            "cursor": shape.cursor(shape.USE_CURSOR),
        },
    ),
)
async def list_uses(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Every payment that used the mandate, the newest first; also those that were refused elsewhere in the end."""
    limit, cursor = page.limit(request), page.query(request, "cursor")
    before = None if cursor is None else _place(cursor)
    mandate = await _given(request)
    lines = await node_of(request).store.uses(mandate.id, limit + 1, before)
    shown = [
        UseView(
            payment=line.use.payment,
            amount=line.use.amount,
            status=line.record.status.value,
            used_at=rfc3339(line.use.used_at),
            description=line.record.description,
            reference=line.record.reference,
        )
        for line in lines[:limit]
    ]
    last = lines[limit - 1].use if len(lines) > limit else None
    return ok(Uses(uses=shown, next_cursor=None if last is None else f"{last.used_at}.{last.payment}"))


def id_in_path(request: Request[Any, Any, Any]) -> str:
    """What cannot be a mandate's id is none that exists."""
    id: str = request.path_params["id"]
    return id if id.isascii() and id.isalnum() and len(id) <= ID_MAX else ""


def made_status(mandate: Mandate) -> int:
    return 202 if _status(mandate) == "awaiting_approval" else 201


async def mandate_views(node: Node, mandates: Sequence[Mandate], viewer: Document) -> list[MandateView]:
    """For one of those who gave them."""
    approvals = await node.store.approvals([mandate.id for mandate in mandates])
    documents = {holder for approval in approvals.values() for holder in approval.holders}
    customers = await node.store.customers(sorted(documents)) if documents else {}
    today = await node.used_today(mandates)
    views = []
    for mandate in mandates:
        view, approval = _view(mandate, today[mandate.id]), approvals.get(mandate.id)
        if approval is not None:
            view = msgspec.structs.replace(view, approvals=approvals_view(approval, customers, viewer))
        views.append(view)
    return views


def _status(mandate: Mandate) -> Literal["awaiting_approval", "given", "ended"]:
    if mandate.revoked_at is not None:
        return "ended"
    return "awaiting_approval" if mandate.approved_at is None else "given"


def _place(cursor: str) -> tuple[Instant, EndToEndId]:
    used_at, _, payment = cursor.partition(".")
    try:
        return Instant(page.number("cursor", used_at, 0, 2**62)), parse_end_to_end_id(payment)
    except ValueError:
        bad_request("cursor", "not a cursor of this list")


async def _given(request: Request[Any, Any, Any]) -> Mandate:
    """The mandate, if the caller gave it, or signs it together with other holders; 404 otherwise."""
    node, caller = node_of(request), document_of(request)
    id = id_in_path(request)
    # Both are looked up in any case: what takes longer for a mandate that exists would tell that it does.
    mandate, approval = await node.store.mandate(id), await node.approval(id)
    signs = approval is not None and caller in approval.holders
    if mandate is None or not (signs or mandate.giver == caller):
        stop("not_found")
    return mandate


async def _changed(request: Request[Any, Any, Any], mandate: Mandate | Denied) -> Response[bytes]:
    if isinstance(mandate, Denied):
        denied(mandate)
    return await _shown(request, mandate)


async def _shown(request: Request[Any, Any, Any], mandate: Mandate) -> Response[bytes]:
    (view,) = await mandate_views(node_of(request), [mandate], document_of(request))
    return ok(view)


def _view(mandate: Mandate, used_today: int) -> MandateView:
    return MandateView(
        id=mandate.id,
        account=mandate.account,
        initiator=mandate.initiator,
        payer=mandate.payer,
        scopes=list(mandate.scopes),
        per_payment=mandate.per_payment,
        per_day=mandate.per_day,
        total=mandate.total,
        used=mandate.used,
        used_today=used_today,
        created_at=rfc3339(mandate.created_at),
        starts_at=_shown_time(mandate.starts_at),
        expires_at=rfc3339(mandate.expires_at),
        approved_at=_shown_time(mandate.approved_at),
        paused_at=_shown_time(mandate.paused_at),
        revoked_at=_shown_time(mandate.revoked_at),
        status=_status(mandate),
    )


def _shown_time(instant: Instant | None) -> str | None:
    return None if instant is None else rfc3339(instant)
