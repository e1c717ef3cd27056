"""Idempotency keys, as requests bring them."""

import re
from hashlib import sha256
from typing import Any

import msgspec
from litestar import Request

from ciranda.api.answers import bad_request, stop
from ciranda.node.order import Once

_KEY = re.compile(r"[\x21-\x7e]{1,64}")
_canonical = msgspec.json.Encoder(order="deterministic").encode


def required(request: Request[Any, Any, Any], route: str, body: object) -> Once:
    return must(request.headers.getall("idempotency-key", []), route, body)


def taken(request: Request[Any, Any, Any], route: str, body: object) -> Once | None:
    return of(request.headers.getall("idempotency-key", []), route, body)


def must(keys: list[str], route: str, body: object) -> Once:
    once = of(keys, route, body)
    if once is None:
        stop("idempotency_key_required")
    return once


def of(keys: list[str], route: str, body: object) -> Once | None:
    """`keys`: all the values of the header, as they came."""
    if not keys:
        return None
    if len(keys) > 1:
        bad_request("Idempotency-Key", "one key, not several")
    return once(check_key("Idempotency-Key", keys[0]), route, body)


def once(key: str, route: str, body: object) -> Once:
    """Two spellings of one body are the same body: what is hashed is what was understood."""
    return Once(key=key, route=route, body=sha256(_canonical(body)).hexdigest())


def check_key(field: str, key: str) -> str:
    if not _KEY.fullmatch(key):
        bad_request(field, "1 to 64 visible ASCII characters")
    return key
