"""Answers: every response of the public listener is made here, and every one that is not a success is a problem.

Bodies are encoded once, by msgspec, from structs that the OpenAPI document describes.
"""

from typing import Any, NoReturn

import msgspec
import structlog
from litestar import Response

from ciranda.api.shape import Parameter
from ciranda.engine.reply import Denied
from ciranda.node.attempts import MustWait
from ciranda.node.batches import Overloaded
from ciranda.node.second_factors import CodeRequired
from ciranda.ports import Unavailable
from ciranda.wire.problem import FieldError, Problem, problem

RETRY_AFTER_S = 1
PROBLEM_MEDIA = "application/problem+json"

log: structlog.stdlib.BoundLogger = structlog.get_logger()

encode = msgspec.json.Encoder().encode


class Stopped(Exception):
    """The request ends here, with this problem."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.headers = headers or {}


def stop(code: str, detail: str | None = None, **headers: str) -> NoReturn:
    raise Stopped(problem(code, detail), {name.replace("_", "-"): value for name, value in headers.items()})


def bad_request(field: str, message: str) -> NoReturn:
    raise Stopped(problem("bad_request", errors=(FieldError(field=field, message=message),)))


def denied(denial: Denied) -> NoReturn:
    stop(denial.code.value)


def ok(value: object, status: int = 200) -> Response[bytes]:
    return Response(encode(value), status_code=status, media_type="application/json")


def nothing() -> Response[None]:
    return Response(None, status_code=204)


def refused(what: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(
        encode(what),
        status_code=what.status,
        media_type=PROBLEM_MEDIA,
        headers=problem_headers(what, headers or {}),
    )


def problem_headers(what: Problem, headers: dict[str, str]) -> dict[str, str]:
    """What a problem's status asks for, beside what is given."""
    if what.status == 503:
        return {"Retry-After": str(RETRY_AFTER_S), **headers}
    if what.status == 401:
        return {"WWW-Authenticate": "Bearer", **headers}
    return headers


def problem_of(error: Exception) -> Stopped:
    """The problem that an exception is answered with."""
    match error:
        case Stopped():
            return error
        case Overloaded():
            return Stopped(problem("overloaded"))
        case CodeRequired():
            return Stopped(problem("second_factor_required"))
        case MustWait():
            return Stopped(problem("too_many_attempts"), {"Retry-After": str(error.seconds)})
        case Unavailable():
            log.warning("unavailable", why=str(error))
            return Stopped(problem("unavailable"))
        case _:
            # Ours: nothing that a client sends should lead here. The log has it; the client may try again.
            log.error("mistake", exc_info=error)
            return Stopped(problem("unavailable"))


def describe(
    *,
    answers: dict[int, Any],
    body: Any = None,
    problems: tuple[int, ...] = (),
    query: dict[str, Parameter] | None = None,
    key: str | None = None,
    public: bool = False,
    code: bool = False,
) -> dict[str, Any]:
    """What the OpenAPI document says of a route: body and answers by type, and which problems may come.

    `key`: whether an Idempotency-Key is `required` or `taken`. `code`: whether a second factor may guard it.
    """
    return {
        "answers": answers,
        "body": body,
        "problems": problems,
        "query": query or {},
        "key": key,
        "public": public,
        "code": code,
    }
