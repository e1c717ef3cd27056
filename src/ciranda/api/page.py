"""Pages: `limit` and `cursor` of every list."""

from typing import Any

from litestar import Request

from ciranda.api.answers import bad_request

LIMIT_DEFAULT = 50
LIMIT_MAX = 1_000


def query(request: Request[Any, Any, Any], name: str) -> str | None:
    values = request.query_params.getall(name, [])
    if len(values) > 1:
        bad_request(name, "once, not several times")
    return values[0] if values else None


def limit(request: Request[Any, Any, Any], most: int = LIMIT_MAX) -> int:
    value = query(request, "limit")
    if value is None:
        return LIMIT_DEFAULT
    return number("limit", value, 1, most)


def number(field: str, value: str, least: int, most: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 19 and least <= int(value) <= most):
        bad_request(field, f"a whole number from {least} to {most}")
    return int(value)
