"""`/v1/operator/proposals`: what one operator wants done, and a second one approves or rejects."""

import re
from typing import Any

import msgspec
from litestar import Request, Response, get, post

from ciranda.api import page, shape
from ciranda.api.answers import bad_request, denied, describe, ok, stop
from ciranda.api.caller import any_operator, may, node_of, operator_of
from ciranda.engine.action import Terms
from ciranda.engine.operating import named, terms_of
from ciranda.engine.operator import Right
from ciranda.engine.proposal import Proposal
from ciranda.engine.reply import Denied
from ciranda.instant import Instant, rfc3339

ID = re.compile(r"[0-9a-f]{28}")


class ProposalView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    """`awaiting_approval`, `done`, `failed`, `rejected` or `expired`."""
    action: str
    subject: str
    terms: Terms
    by: str
    proposed_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None
    outcome: str | None
    """Once approved: `done`, or why it could not be."""


class Proposals(msgspec.Struct, frozen=True, kw_only=True):
    proposals: list[ProposalView]
    next_cursor: str | None


@get(
    "/v1/operator/proposals",
    guards=[any_operator],
    opt=describe(
        answers={200: Proposals},
        query={
            "limit": shape.limit("proposals"),
            "cursor": shape.cursor(shape.PROPOSAL_CURSOR),
        },
    ),
)
async def list_proposals(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What awaits a second operator, and what became of the rest; the latest first."""
    limit, before = page.limit(request), cursor(request)
    found = await node_of(request).store.proposals(limit + 1, before)
    shown = found[:limit]
    return ok(
        Proposals(
            proposals=[_view(request, proposal) for proposal in shown],
            next_cursor=shown[-1].id if len(found) > limit else None,
        )
    )


@get(
    "/v1/operator/proposals/{id:str}",
    guards=[any_operator],
    opt=describe(answers={200: ProposalView}, problems=(404,)),
)
async def show_proposal(request: Request[Any, Any, Any]) -> Response[bytes]:
    """One proposal."""
    proposal = await node_of(request).store.proposal(_id(request))
    if proposal is None:
        stop("not_found")
    return ok(_view(request, proposal))


@post(
    "/v1/operator/proposals/{id:str}/approvals",
    status_code=200,
    guards=[may(Right.APPROVE)],
    opt=describe(answers={200: ProposalView}, problems=(404, 409)),
)
async def approve(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Approves what another operator proposed: it is done now, if it can be, and never again."""
    return _decided(request, await node_of(request).operators.approve(operator_of(request), _id(request)))


@post(
    "/v1/operator/proposals/{id:str}/rejections",
    status_code=200,
    guards=[any_operator],
    opt=describe(answers={200: ProposalView}, problems=(404, 409)),
)
async def reject(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Rejects a proposal, or takes one's own back."""
    return _decided(request, await node_of(request).operators.reject(operator_of(request), _id(request)))


def proposed(request: Request[Any, Any, Any], proposal: Proposal) -> Response[bytes]:
    """The answer to a call that waits for a second operator."""
    return ok(_view(request, proposal), 202)


def cursor(request: Request[Any, Any, Any]) -> str | None:
    before = page.query(request, "cursor")
    if before is not None and not ID.fullmatch(before):
        bad_request("cursor", "not a cursor of this list")
    return before


def terms_view(terms: Terms) -> Terms:
    """Times as they look everywhere outside."""
    ends = terms.get("expires_at")
    return terms if not isinstance(ends, int) else {**terms, "expires_at": rfc3339(Instant(ends))}


def _decided(request: Request[Any, Any, Any], proposal: Proposal | Denied) -> Response[bytes]:
    if isinstance(proposal, Denied):
        denied(proposal)
    return ok(_view(request, proposal))


def _id(request: Request[Any, Any, Any]) -> str:
    id: str = request.path_params["id"]
    if not ID.fullmatch(id):
        stop("not_found")
    return id


def _view(request: Request[Any, Any, Any], proposal: Proposal) -> ProposalView:
    action, subject = named(proposal.deed)
    return ProposalView(
        id=proposal.id,
        status=proposal.status_at(node_of(request).now()).value,
        action=action,
        subject=subject,
        terms=terms_view(terms_of(proposal.deed)),
        by=proposal.by,
        proposed_at=rfc3339(proposal.proposed_at),
        expires_at=rfc3339(proposal.expires_at),
        decided_by=proposal.decided_by,
        decided_at=None if proposal.decided_at is None else rfc3339(proposal.decided_at),
        outcome=proposal.outcome,
    )
