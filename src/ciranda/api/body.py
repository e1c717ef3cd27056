"""Bodies: bytes to structs, strictly. What is not well formed is answered with 400 and the fields at fault.

Unknown fields, wrong types, numbers that are no integers, text with control characters: none of it gets further. Text
is brought to Unicode's normal form C, so that two spellings of one name are one name.
"""

import re
import time
import unicodedata
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import ClientException

from ciranda.api.answers import Stopped, bad_request
from ciranda.identity import Address, Document, Ispb, parse_address, parse_document, parse_ispb
from ciranda.instant import Instant, parse_rfc3339
from ciranda.wire.problem import problem

T = TypeVar("T")

NAME_MAX = 120
DESCRIPTION_MAX = 140
REFERENCE = re.compile(r"[A-Za-z0-9]{1,35}")

TIME_MAX = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: with an offset, a later instant can be written, but it cannot be shown again."""

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_AT = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every body has in common: a field that we do not know is a mistake of the client's."""


async def parse(request: Request[Any, Any, Any], decoder: "msgspec.json.Decoder[T]", empty: bytes = b"") -> T:
    """`empty`: what no body at all stands for."""
    try:
        body = await request.body()
    except ClientException as error:
        if error.status_code == 413:
            raise
        bad_request("", "the body did not come whole")
    return decode(body or empty, decoder)


def decode(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        match = _AT.match(str(error))
        assert match is not None, "the pattern takes anything"
        path = (match["path"] or "$").removeprefix("$").removeprefix(".")
        bad_request(path, match["message"])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError):
        bad_request("", "the body is not JSON in UTF-8")


def plain(field: str, value: str) -> str:
    """The text in normal form C; 400 if it has control characters."""
    value = unicodedata.normalize("NFC", value)
    if _CONTROL.search(value):
        bad_request(field, "control characters are not allowed")
    return value


def text(field: str, value: str, longest: int, shortest: int = 1) -> str:
    """The same; 400 also if it has another length."""
    value = plain(field, value)
    if not shortest <= len(value) <= longest:
        bad_request(field, f"between {shortest} and {longest} characters")
    return value


def description(value: str | None, within: str = "") -> str | None:
    return None if value is None else text(f"{within}description", value, DESCRIPTION_MAX, 0)


def reference(value: str | None, within: str = "") -> str | None:
    if value is not None and not REFERENCE.fullmatch(value):
        bad_request(f"{within}reference", "1 to 35 letters or digits")
    return value


def address(field: str, value: str) -> Address:
    try:
        return parse_address(value)
    except ValueError as error:
        bad_request(field, str(error))


def address_in_path(request: Request[Any, Any, Any]) -> Address:
    return address("address", request.path_params["address"])


def ispb(field: str, value: str) -> Ispb:
    try:
        return parse_ispb(value)
    except ValueError as error:
        bad_request(field, str(error))


def document(value: str) -> Document:
    """422 `invalid_document` if it is none."""
    try:
        return parse_document(value)
    except ValueError as error:
        raise Stopped(problem("invalid_document")) from error


def expiry(field: str, value: str) -> Instant:
    """A time in the future."""
    expires_at = moment(field, value)
    if expires_at <= time.time() * 1000:
        bad_request(field, "in the future, and not after the year 9999")
    return expires_at


def moment(field: str, value: str) -> Instant:
    value = value.upper()
    try:
        instant = parse_rfc3339(value) if _RFC3339.fullmatch(value) else None
    except (ValueError, OverflowError):
        instant = None
    if instant is None:
        bad_request(field, "a time of RFC 3339, such as 2030-01-31T12:00:00.000Z")
    if not 0 <= instant <= TIME_MAX:
        bad_request(field, "between the years 1970 and 9999")
    return instant
