"""`/v1/mandates`: what a holder allows other banks to do with an account here."""

import re
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from msgspec import UNSET, Meta, UnsetType

from ciranda.api import body
from ciranda.api.answers import bad_request, denied, describe, nothing, ok
from ciranda.api.caller import customer_only, document_of, node_of
from ciranda.api.once import taken
from ciranda.api.show import ApprovalsView, approvals_view
from ciranda.engine.mandate import Mandate
from ciranda.engine.reply import Denied
from ciranda.identity import Document
from ciranda.instant import Instant, parse_rfc3339, rfc3339
from ciranda.money import AMOUNT_MAX, BALANCE_MAX
from ciranda.node.node import Node
from ciranda.node.order import MandateOrder

ID_MAX = 64
EXPIRY_MAX = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: with an offset, a later instant can be written, but it cannot be shown again."""

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)


class MandateBody(body.Body, frozen=True, kw_only=True):
    account: str
    initiator: str
    """The ISPB of the bank that may use the mandate."""
    expires_at: str
    per_payment: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)] | None = None
    total: Annotated[int, Meta(ge=1, le=BALANCE_MAX)] | None = None
    scopes: Annotated[list[Literal["pay", "read"]], Meta(min_length=1, max_length=2)] | None = None
    payer: str | None = None
    """The document of the initiator's customer who may use it; the caller's own if not given."""


class MandateView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    account: str
    initiator: str
    payer: str
    scopes: list[str]
    per_payment: int | None
    total: int | None
    used: int
    created_at: str
    expires_at: str
    approved_at: str | None
    """Null while not all holders have signed who must."""
    revoked_at: str | None
    status: Literal["awaiting_approval", "given", "ended"]
    """`ended`: revoked, or a holder refused it, or not all signed in time. One that is `given` lasts until it expires."""
    approvals: ApprovalsView | UnsetType = UNSET
    """If it needs or needed the signatures of all holders."""
    token: str | UnsetType = UNSET
    """Shown to whoever made the mandate, when it is made."""


class Mandates(msgspec.Struct, frozen=True, kw_only=True):
    mandates: list[MandateView]


_mandate = msgspec.json.Decoder(MandateBody)


@post(
    "/v1/mandates",
    guards=[customer_only],
    opt=describe(
        body=MandateBody, answers={201: MandateView, 202: MandateView}, problems=(404, 422), key="taken"
    ),
)
async def give_mandate(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Allows another bank to start debits on one of the caller's accounts, or to show its balance. 202: if all
    its holders sign."""
    order = await body.parse(request, _mandate)
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
            total=order.total,
            expires_at=_expiry(order.expires_at),
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
    views = []
    for mandate in mandates:
        view, approval = _view(mandate), approvals.get(mandate.id)
        if approval is not None:
            view = msgspec.structs.replace(view, approvals=approvals_view(approval, customers, viewer))
        views.append(view)
    return views


def _status(mandate: Mandate) -> Literal["awaiting_approval", "given", "ended"]:
    if mandate.revoked_at is not None:
        return "ended"
    return "awaiting_approval" if mandate.approved_at is None else "given"


def _expiry(value: str) -> Instant:
    value = value.upper()
    try:
        expires_at = parse_rfc3339(value) if _RFC3339.fullmatch(value) else None
    except (ValueError, OverflowError):
        expires_at = None
    if expires_at is None:
        bad_request("expires_at", "a time of RFC 3339, such as 2030-01-31T12:00:00.000Z")
    if not time.time() * 1000 < expires_at <= EXPIRY_MAX:
        bad_request("expires_at", "in the future, and not after the year 9999")
    return expires_at


def _view(mandate: Mandate) -> MandateView:
    return MandateView(
        id=mandate.id,
        account=mandate.account,
        initiator=mandate.initiator,
        payer=mandate.payer,
        scopes=list(mandate.scopes),
        per_payment=mandate.per_payment,
        total=mandate.total,
        used=mandate.used,
        created_at=rfc3339(mandate.created_at),
        expires_at=rfc3339(mandate.expires_at),
        approved_at=None if mandate.approved_at is None else rfc3339(mandate.approved_at),
        revoked_at=None if mandate.revoked_at is None else rfc3339(mandate.revoked_at),
        status=_status(mandate),
    )
