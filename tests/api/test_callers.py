"""Who may call what: settled before a body is looked at, for every route that there is."""

from typing import Any

import pytest
from litestar import Litestar

from ciranda.api.app import ROUTES
from ciranda.api.openapi import document
from tests.api.bank import OPERATOR, Customer, Door
from tests.system import documents

NOBODY = documents.address("10000001", "0001", "98765432")

CALLS = sorted(
    (method.upper(), path, operation)
    for path, operations in document(Litestar(ROUTES, openapi_config=None, logging_config=None))[
        "paths"
    ].items()
    for method, operation in operations.items()
)
GUARDED = [(method, path) for method, path, operation in CALLS if "security" in operation]
OPERATORS = {path for _, path in GUARDED if path.startswith("/v1/operator")} | {
    "/v1/deposits",
    "/v1/withdrawals",
}
EITHERS = {
    ("GET", "/v1/accounts/{address}"),
    ("GET", "/v1/accounts/{address}/entries"),
    ("GET", "/v1/accounts/{address}/limits"),
    ("GET", "/v1/payees/{address}"),
    ("GET", "/v1/payments/{id}"),
}


@pytest.fixture(scope="module")
def ana(banks: Any) -> Customer:
    customer: Customer = banks.here.someone(1_000)
    return customer


def path_of(template: str) -> str:
    return template.replace("{address}", NOBODY).replace("{id}", "x")


def test_every_route_under_v1_asks_who_calls_but_those_that_come_before_a_session() -> None:
    open_to_all = {(method, path) for method, path, operation in CALLS if "security" not in operation}
    assert open_to_all == {
        ("GET", "/v1/bank"),
        ("POST", "/v1/customers"),
        ("POST", "/v1/sessions"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }


@pytest.mark.parametrize(("method", "template"), GUARDED)
@pytest.mark.parametrize(
    "authorization",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"Bearer nobody"],
        [b"Bearer \xff\x00"],
        [b"Basic b3BlcmF0b3I6"],
        [b"operator"],
        [b"Bearer " + b"x" * 10_000],
        [b"Bearer operator", b"Bearer operator"],
    ],
)
def test_whoever_has_no_good_token_is_told_so_whatever_they_send(
    bank: Door, method: str, template: str, authorization: list[bytes]
) -> None:
    headers = [(b"authorization", value) for value in authorization]
    answer = bank.call(method, path_of(template), raw=b"{", headers=headers)
    assert (answer.status, answer.code) == (401, "unauthenticated")


@pytest.mark.parametrize(("method", "template"), [call for call in GUARDED if call[1] in OPERATORS])
def test_what_is_the_operators_is_closed_to_customers(
    bank: Door, ana: Customer, method: str, template: str
) -> None:
    answer = bank.call(method, path_of(template), raw=b"{", token=ana.token)
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize(
    ("method", "template"), [call for call in GUARDED if call[1] not in OPERATORS and call not in EITHERS]
)
def test_what_a_customer_does_the_operator_does_not_do_for_them(
    bank: Door, method: str, template: str
) -> None:
    answer = bank.call(method, path_of(template), raw=b"{", token=OPERATOR)
    assert (answer.status, answer.code) == (403, "forbidden")


def test_the_operator_sees_any_account_its_statement_and_its_payments(bank: Door, ana: Customer) -> None:
    assert bank.operate("GET", f"/v1/accounts/{ana.account}").json["balance"] == 1_000
    (entry,) = bank.operate("GET", f"/v1/accounts/{ana.account}/entries").json["entries"]
    assert bank.operate("GET", f"/v1/payments/{entry['payment']}").json["kind"] == "deposit"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_name_of_the_scheme_is_read_in_any_case(bank: Door, ana: Customer, scheme: str) -> None:
    header = (b"authorization", f"{scheme} {ana.token}".encode())
    assert bank.call("GET", "/v1/accounts", headers=[header]).status == 200
    answer = bank.call("POST", "/v1/payments", raw=b"{", headers=[header])
    assert (answer.status, answer.code) == (400, "bad_request")


def test_a_session_that_was_ended_opens_nothing(bank: Door) -> None:
    token = bank.someone().token
    assert bank.call("DELETE", "/v1/sessions/current", token=token).status == 204
    assert bank.call("GET", "/v1/accounts", token=token).status == 401
    assert bank.call("DELETE", "/v1/sessions/current", token=token).status == 401
