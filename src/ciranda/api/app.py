"""The public listener, put together: routes, and one answer for everything that goes wrong.

Whatever a client sends, the answer is the contract's: a problem with a code, never a bare 500.
"""

import time
from collections.abc import Callable
from typing import Any

from litestar import Litestar, Request, Response, route
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from ciranda.api import (
    accounts,
    actions,
    approvals,
    bank,
    batches,
    customers,
    heads,
    health,
    limits,
    links,
    mandates,
    openapi,
    operator,
    operators,
    payees,
    payments,
    proposals,
    second_factor,
    sessions,
)
from ciranda.api.answers import problem_of, refused
from ciranda.api.origin import Proxies
from ciranda.api.payment_door import BODY_MAX, PaymentDoor
from ciranda.node.node import Node
from ciranda.wire.problem import FieldError, problem

ROUTES = [
    bank.show_bank,
    customers.sign_up,
    customers.change_password,
    sessions.sign_in,
    sessions.list_sessions,
    sessions.sign_out,
    sessions.end_other_sessions,
    sessions.end_session,
    second_factor.show_second_factor,
    second_factor.enrol,
    second_factor.confirm,
    second_factor.set_guard,
    second_factor.renew_recovery_codes,
    second_factor.remove_second_factor,
    second_factor.reset_second_factor,
    accounts.open_account,
    accounts.list_accounts,
    accounts.show_account,
    accounts.list_entries,
    limits.show_limits,
    limits.set_limits,
    payees.show_payee,
    payments.pay,
    payments.deposit,
    payments.withdraw,
    payments.list_payments,
    payments.show_payment,
    batches.pay_batch,
    approvals.approve_payment,
    approvals.approve_mandate,
    approvals.list_approvals,
    mandates.give_mandate,
    mandates.list_mandates,
    mandates.show_mandate,
    mandates.revoke_mandate,
    mandates.pause,
    mandates.resume,
    mandates.list_uses,
    links.make_link,
    links.list_links,
    links.remove_link,
    operator.audit,
    operator.known_payments,
    operator.positions,
    operator.violations,
    operator.block,
    operator.unblock,
    operator.close,
    operator.set_limit,
    operators.add_operator,
    operators.list_operators,
    operators.end_operator,
    operators.renew_token,
    proposals.list_proposals,
    proposals.show_proposal,
    proposals.approve,
    proposals.reject,
    actions.list_actions,
    heads.list_heads,
    heads.list_disputes,
    health.live,
    health.ready,
    health.metrics,
    openapi.openapi_json,
    openapi.docs,
]


def make_app(node: Node, trusted_proxies: Proxies = ()) -> PaymentDoor:
    figures = health.Metrics(node)
    routes = Litestar(
        [*_options(), *ROUTES],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_MAX,
        exception_handlers={
            HTTPException: _http,
            Exception: _any,
        },
        middleware=[_counting(figures)],
        state=State({"node": node, "metrics": figures, "trusted_proxies": trusted_proxies}, deep_copy=False),
    )
    return PaymentDoor(node, routes, figures)


def _options() -> list[HTTPRouteHandler]:
    """What may be asked of each path. Litestar's own answer forgets all methods of a path but the first."""
    methods: dict[str, set[str]] = {}
    for handler in ROUTES:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    return [_options_of(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _options_of(path: str, allowed: str) -> HTTPRouteHandler:
    @route(path, http_method=["OPTIONS"], status_code=204)
    async def options(request: Request[Any, Any, Any]) -> Response[None]:
        del request
        return Response(None, status_code=204, headers={"Allow": allowed})

    return options


def _any(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    stopped = problem_of(error)
    return refused(stopped.problem, stopped.headers)


_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def _http(_request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses."""
    if error.status_code >= 500:
        return _any(_request, error)
    headers = {"Allow": error.headers["allow"]} if error.headers and "allow" in error.headers else {}
    code = _BY_STATUS.get(error.status_code)
    if code is None:
        # Such as a Host header that names no host.
        fault = FieldError(field="", message="the request's head makes no sense")
        return refused(problem("bad_request", errors=(fault,)), headers)
    return refused(problem(code), headers)


def _counting(figures: health.Metrics) -> Callable[[ASGIApp], ASGIApp]:
    """Counts answers and their time, by route."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            start = time.perf_counter()

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = str(scope.get("path_template", ""))
                    figures.answered(route, message["status"], time.perf_counter() - start)
                await send(message)

            await app(scope, receive, sending)

        return counted

    return wrap
