"""`/v1/mandates`: what a holder allows other banks to do with an account here."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from msgspec import UNSET, Meta, UnsetType

from ciranda.api import body
from ciranda.api.answers import denied, describe, nothing, ok
from ciranda.api.caller import customer_only, document_of, node_of
from ciranda.api.code import code_of
from ciranda.api.once import taken
from ciranda.engine.mandate import Mandate
from ciranda.engine.reply import Denied
from ciranda.instant import rfc3339
from ciranda.money import AMOUNT_MAX, BALANCE_MAX
from ciranda.node.order import MandateOrder

ID_MAX = 64


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
    revoked_at: str | None
    token: str | UnsetType = UNSET
    """Shown to whoever made the mandate, when it is made."""


class Mandates(msgspec.Struct, frozen=True, kw_only=True):
    mandates: list[MandateView]


_mandate = msgspec.json.Decoder(MandateBody)


@post(
    "/v1/mandates",
    guards=[customer_only],
    opt=describe(
        body=MandateBody, answers={201: MandateView}, problems=(404, 422, 429), key="taken", code=True
    ),
)
async def give_mandate(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Allows another bank to start debits on one of the caller's accounts, or to show its balance."""
    order = await body.parse(request, _mandate)
    caller = document_of(request)
    given = await node_of(request).give_mandate(
        MandateOrder(
            once=taken(request, "mandates", order),
            caller=caller,
            account=body.address("account", order.account),
            initiator=body.ispb("initiator", order.initiator),
            payer=caller if order.payer is None else body.document(order.payer),
            scopes=tuple(sorted(set(order.scopes or ["pay"]))),
            per_payment=order.per_payment,
            total=order.total,
            expires_at=body.expiry("expires_at", order.expires_at),
            code=code_of(request),
        )
    )
    if isinstance(given, Denied):
        denied(given)
    mandate, token = given
    return ok(msgspec.structs.replace(_view(mandate), token=token), 201)


@get("/v1/mandates", guards=[customer_only], opt=describe(answers={200: Mandates}))
async def list_mandates(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The mandates that the caller gave, with what each has used."""
    mandates = await node_of(request).store.mandates_of(document_of(request))
    return ok(Mandates(mandates=[_view(mandate) for mandate in mandates]))


@delete(
    "/v1/mandates/{id:str}",
    status_code=204,
    guards=[customer_only],
    opt=describe(answers={204: None}, problems=(404,)),
)
async def revoke_mandate(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends a mandate; what was promised under it stands."""
    id: str = request.path_params["id"]
    if not (id.isascii() and id.isalnum() and len(id) <= ID_MAX):
        id = ""
    gone = await node_of(request).revoke_mandate(document_of(request), id)
    if gone is not None:
        denied(gone)
    return nothing()


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
        revoked_at=None if mandate.revoked_at is None else rfc3339(mandate.revoked_at),
    )
