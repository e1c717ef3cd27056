"""The peers' chain heads, as this bank holds copies of them; and where a chain is not what its bank signed."""

import base64
from typing import Any

import msgspec
from litestar import Request, Response, get

from ciranda.api import body, page, shape
from ciranda.api.answers import describe, ok
from ciranda.api.caller import may, node_of
from ciranda.chain import SignedHead
from ciranda.engine.operator import Right
from ciranda.identity import Ispb
from ciranda.instant import rfc3339

DISPUTES_SHOWN = 1_000
_NUMBER_MAX = 2**63 - 1


class HeadView(msgspec.Struct, frozen=True, kw_only=True):
    bank: str
    """Whose chain it is, and who signed."""
    holder: str
    """The bank that has this copy."""
    number: int
    hash: str
    """In hexadecimal."""
    at: str
    public_key: str
    """In base64, as in `consortium.toml`."""
    signature: str
    """In base64."""


class Heads(msgspec.Struct, frozen=True, kw_only=True):
    heads: list[HeadView]
    next_cursor: str | None


class DisputeView(msgspec.Struct, frozen=True, kw_only=True):
    head: HeadView
    shown: str | None
    """What the chain has at that number, in hexadecimal; null if it does not reach so far."""
    seen_at: str


class Disputes(msgspec.Struct, frozen=True, kw_only=True):
    disputes: list[DisputeView]


@get(
    "/v1/operator/peers/{ispb:str}/heads",
    guards=[may(Right.READ)],
    opt=describe(
        answers={200: Heads},
        query={
            "limit": shape.limit("heads"),
            "cursor": shape.cursor(shape.HEAD_CURSOR),
        },
    ),
)
async def list_heads(request: Request[Any, Any, Any]) -> Response[bytes]:
    """This bank's copies of a peer's chain heads, the newest first: what an auditor of that peer compares with."""
    node, ispb = node_of(request), body.ispb("ispb", request.path_params["ispb"])
    limit, given = page.limit(request), page.query(request, "cursor")
    before = None if given is None else page.number("cursor", given, 1, _NUMBER_MAX)
    found = await node.store.kept_heads(ispb, limit + 1, before)
    shown = found[:limit]
    return ok(
        Heads(
            heads=[_view(head, node.bank.ispb) for head in shown],
            next_cursor=str(shown[-1].number) if len(found) > limit else None,
        )
    )


@get("/v1/operator/disputes", guards=[may(Right.READ)], opt=describe(answers={200: Disputes}))
async def list_disputes(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Heads that a bank signed and that its chain does not bear out any more, the latest first."""
    found = await node_of(request).store.disputes(DISPUTES_SHOWN)
    return ok(
        Disputes(
            disputes=[
                DisputeView(
                    head=_view(dispute.head, dispute.holder),
                    shown=None if dispute.shown is None else dispute.shown.hex(),
                    seen_at=rfc3339(dispute.seen_at),
                )
                for dispute in found
            ]
        )
    )


def _view(head: SignedHead, holder: Ispb) -> HeadView:
    return HeadView(
        bank=head.bank,
        holder=holder,
        number=head.number,
        hash=head.hash.hex(),
        at=rfc3339(head.at),
        public_key=base64.b64encode(head.public_key).decode(),
        signature=base64.b64encode(head.signature).decode(),
    )
