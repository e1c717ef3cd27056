"""`/v1/operator/actions`: who did what, when, to what, and what came of it."""

from typing import Any

import msgspec
from litestar import Request, Response, get

from ciranda.api import page, shape
from ciranda.api.answers import describe, ok
from ciranda.api.caller import may, node_of
from ciranda.api.proposals import cursor, terms_view
from ciranda.engine.action import Action, Terms
from ciranda.engine.operator import Right
from ciranda.instant import rfc3339


class ActionView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    at: str
    operator: str
    action: str
    subject: str
    terms: Terms
    outcome: str


class Actions(msgspec.Struct, frozen=True, kw_only=True):
    actions: list[ActionView]
    next_cursor: str | None


@get(
    "/v1/operator/actions",
    guards=[may(Right.READ)],
    opt=describe(
        answers={200: Actions},
        query={
            "limit": shape.limit("actions"),
            "cursor": shape.cursor(shape.PROPOSAL_CURSOR),
        },
    ),
)
async def list_actions(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What operators did and tried, the latest first. Nothing is ever taken out of it."""
    limit, before = page.limit(request), cursor(request)
    found = await node_of(request).store.actions(limit + 1, before)
    shown = found[:limit]
    return ok(
        Actions(
            actions=[_view(action) for action in shown],
            next_cursor=shown[-1].id if len(found) > limit else None,
        )
    )


def _view(action: Action) -> ActionView:
    return ActionView(
        id=action.id,
        at=rfc3339(action.at),
        operator=action.operator,
        action=action.action,
        subject=action.subject,
        terms=terms_view(action.terms),
        outcome=action.outcome,
    )
