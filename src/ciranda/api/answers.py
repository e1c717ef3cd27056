"""Answers: every response of the public listener is made here, and every one that is not a success is a problem.

Bodies are encoded once, by msgspec, from structs that the OpenAPI document describes.
"""

from typing import Any, NoReturn

import msgspec
from litestar import Response

from ciranda.engine.reply import Denied
from ciranda.wire.problem import FieldError, Problem, problem

RETRY_AFTER_S = 1

_encode = msgspec.json.Encoder().encode


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
    return Response(_encode(value), status_code=status, media_type="application/json")


def nothing() -> Response[None]:
    return Response(None, status_code=204)


def refused(what: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    sent = dict(headers or {})
    if what.status == 503:
        sent.setdefault("Retry-After", str(RETRY_AFTER_S))
    if what.status == 401:
        sent.setdefault("WWW-Authenticate", "Bearer")
    return Response(
        _encode(what), status_code=what.status, media_type="application/problem+json", headers=sent
    )


def describe(
    *,
    answers: dict[int, Any],
    body: Any = None,
    problems: tuple[int, ...] = (),
    query: dict[str, str] | None = None,
    key: str | None = None,
    public: bool = False,
) -> dict[str, Any]:
    """What the OpenAPI document says of a route: body and answers by type, and which problems may come.

    `key`: whether an Idempotency-Key is `required` or `taken`.
    """
    return {
        "answers": answers,
        "body": body,
        "problems": problems,
        "query": query or {},
        "key": key,
        "public": public,
    }
