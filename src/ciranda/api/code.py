"""The code of a second factor, as a request brings it: `Second-Factor: 123456`, or one of the recovery codes."""

from typing import Any

from litestar import Request

from ciranda.api.answers import bad_request
from ciranda.node.second_factors import CODE, RECOVERY_CODE

HEADER = "Second-Factor"


def code_of(request: Request[Any, Any, Any]) -> str | None:
    return code_among(request.headers.getall(HEADER.lower(), []))


def code_among(values: list[str]) -> str | None:
    """`values`: all the values of the header, as they came."""
    if not values:
        return None
    if len(values) > 1:
        bad_request(HEADER, "one code, not several")
    return check_code(HEADER, values[0])


def check_code(field: str, code: str) -> str:
    code = code.strip().lower()
    if not (CODE.fullmatch(code) or RECOVERY_CODE.fullmatch(code)):
        bad_request(field, "six digits, or a recovery code such as abcd-efgh-ijkl-mnop")
    return code
