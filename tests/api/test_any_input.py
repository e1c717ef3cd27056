"""Whatever is sent in place of what was asked for: it is answered as the document says, and the bank makes no mistake.

Each request is in order but for one place. The same requests in every run; `make schemathesis` tries others.
"""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

import ciranda.api
from ciranda.api import body
from ciranda.api.answers import Stopped
from tests.api.bank import OPERATOR, Answer, Door, Pair, new_key
from tests.api.test_who_may import BODIES, RECOVERY_CODE, ROWS, WITH_SECOND_FACTOR, World, prepared

SAME = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NASTY: tuple[Any, ...] = (
    "",
    "\u0000",
    "\ud800",
    "a\u0301" * 200,
    "x" * 5_000,
    "9" * 400,
    "10000001.0001.",
    "../../etc/passwd",
    "{address}",
    "2030-02-30T25:61:61Z",
    "9999-12-31T23:59:59.999-23:59",
    "' OR 1=1 --",
    "%00%ff",
    -1,
    2**63,
    2**64,
    10**400,
    1e308,
    -0.0,
    10.0,
    True,
    None,
    [],
    {},
)
texts = st.text(max_size=60) | st.sampled_from([one for one in NASTY if isinstance(one, str)])
anything = st.recursive(
    st.sampled_from(NASTY) | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def world(banks: Pair) -> World:
    return World(banks).with_staff()


@pytest.fixture(autouse=True)
def _the_bank_makes_no_mistake() -> Iterator[None]:
    with capture_logs() as logs:
        yield
    assert [line for line in logs if line["event"] in ("mistake", "input_failed", "unavailable")] == []


def caller(world: World, route: tuple[str, str]) -> str:
    """The token of somebody who may."""
    return world.tokens["holder"] if ROWS[route]["holder"] < 300 else OPERATOR


def check(answer: Answer) -> None:
    # Whether the document tells of it, `Door.request` has looked.
    assert answer.status < 500, answer


# Bodies.

DECODERS = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(ciranda.api.__path__)
    for name, value in vars(importlib.import_module(f"ciranda.api.{module.name}")).items()
    if isinstance(value, msgspec.json.Decoder)
}


@pytest.mark.parametrize("name", DECODERS)
@settings(SAME, max_examples=40)
@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_body_or_a_bad_request(name: str, raw: bytes) -> None:
    assert code_of(raw, DECODERS[name]) in (None, "bad_request")


def code_of(raw: bytes, decoder: "msgspec.json.Decoder[Any]") -> str | None:
    """Of the problem that these bytes are; None if they are a body."""
    try:
        body.decode(raw, decoder)
    except Stopped as stopped:
        return stopped.problem.code
    return None


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
@settings(SAME, max_examples=15)
@given(data=st.data())
def test_any_value_in_any_place_of_a_body_is_answered(
    world: World, route: tuple[str, str], data: st.DataObject
) -> None:
    path, order = prepared(world, route)
    place: Any = {"": order}
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], dict | list) or not place[key]:
            break
        place = place[key]
    place[key] = data.draw(anything)
    code = RECOVERY_CODE if route in WITH_SECOND_FACTOR else None
    token = caller(world, route)
    check(world.bank.call(route[0], path, order, token=token, key=new_key(), code=code))


# Paths, queries, headers.


@pytest.mark.parametrize("route", [route for route in ROWS if "{" in route[1]], ids=" ".join)
@settings(SAME, max_examples=10)
@given(text=texts)
def test_any_text_in_a_path_is_answered(world: World, route: tuple[str, str], text: str) -> None:
    start, end = route[1].index("{"), route[1].index("}") + 1
    path = route[1][:start] + text.encode("utf-8", "surrogatepass").decode("latin-1") + route[1][end:]
    order = BODIES[route](world) if route in BODIES else None
    check(world.bank.call(route[0], path, order, token=caller(world, route), key=new_key()))


PAGES = [
    ("GET", path)
    for path in (
        "/v1/accounts",
        "/v1/accounts/{address}/entries",
        "/v1/payments",
        "/v1/approvals",
        "/v1/mandates/{id}/uses",
        "/v1/operator/payments",
        "/v1/operator/actions",
        "/v1/operator/proposals",
        "/v1/operator/peers/{ispb}/heads",
    )
]


def test_every_route_with_a_query_is_asked_for_odd_ones(bank: Door) -> None:
    described = {
        (method.upper(), path)
        for path, operations in bank.described.items()
        for method, operation in operations.items()
        if any(parameter["in"] == "query" for parameter in operation.get("parameters", ()))
    }
    assert set(PAGES) == described


@pytest.mark.parametrize("route", PAGES, ids=" ".join)
@settings(SAME, max_examples=40)
@given(
    names=st.lists(
        st.sampled_from(["limit", "cursor", "after", "everywhere", "other"]), min_size=1, max_size=3
    ),
    value=st.binary(max_size=40)
    | st.sampled_from(
        [b"0", b"9" * 18, b"9" * 19, b"0-0", b"9" * 15 + b"-a", b"0" * 28, b"%D9%A1", b"1" * 5_000]
    ),
)
def test_any_query_is_answered(world: World, route: tuple[str, str], names: list[str], value: bytes) -> None:
    path, _ = prepared(world, route)
    query = b"&".join(name.encode() + b"=" + value for name in names)
    check(world.bank.call(route[0], path, token=caller(world, route), query=query))


HEADERS = [
    b"authorization",
    b"idempotency-key",
    b"second-factor",
    b"x-forwarded-for",
    b"user-agent",
    b"content-type",
    b"content-length",
    b"accept",
    b"cookie",
    b"host",
    b"expect",
    b"\xff",
]


@settings(SAME, max_examples=150)
@given(
    route=st.sampled_from(
        [
            ("POST", "/v1/payments"),
            ("POST", "/v1/deposits"),
            ("POST", "/v1/sessions"),
            ("GET", "/v1/accounts"),
        ]
    ),
    name=st.sampled_from(HEADERS),
    values=st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [b"Bearer ", b"bearer \xff", b"Bearer " + b"x" * 300, b"1.2.3.4," * 50, b"::1", b"-1"]
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_any_header_is_answered(
    world: World, route: tuple[str, str], name: bytes, values: list[bytes]
) -> None:
    path, order = prepared(world, route)
    # With the one at test there may be two: then they contradict each other.
    headers = [(name, value) for value in values]
    check(world.bank.call(route[0], path, order, token=caller(world, route), key=new_key(), headers=headers))
