"""What was tried and not allowed: each attempt leaves a trace that an auditor finds, and no trace has a secret in it."""

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from ciranda.node.mask import masked_document
from ciranda.node.traces import Traces
from tests.api.bank import OPERATOR, PASSWORD, Customer, Door, Pair, new_key, pair, transfer
from tests.node.banks import MovableClock
from tests.system import documents

FAR = "203.0.113.7"
NETWORK = "203.0.113.0/24"


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("traces"), count=3, deadline_ms=5_000) as banks:
        yield banks


@pytest.fixture(scope="module")
def bank(banks: Pair) -> Door:
    return banks.here


@pytest.fixture(scope="module")
def ana(bank: Door) -> Customer:
    return bank.someone(100_000)


@pytest.fixture(autouse=True)
def another_second(banks: Pair) -> None:
    """One line a second is written of one kind: each test has seconds of its own."""
    banks.banks.clock.ahead_ms += 2_000


def said(logged: list[MutableMapping[str, Any]], event: str) -> list[dict[str, Any]]:
    return [dict(line) for line in logged if line["event"] == event]


def recorded(bank: Door) -> list[dict[str, Any]]:
    actions: list[dict[str, Any]] = bank.operate("GET", "/v1/operator/actions").json["actions"]
    return actions


def test_a_wrong_password_is_in_the_log_with_whose_it_was_to_be_and_where_it_came_from(
    bank: Door, ana: Customer
) -> None:
    nobody = documents.cpf()
    for document in (ana.document, nobody):
        with capture_logs() as logged:
            login = {"document": document, "password": "não é esta, é outra"}
            assert bank.call("POST", "/v1/sessions", login, client=FAR).status == 401
        (line,) = said(logged, "wrong_password")
        assert (line["customer"], line["network"]) == (masked_document(document), NETWORK)  # type: ignore[arg-type]
        assert document not in str(logged)
        assert "outra" not in str(logged)


@pytest.mark.parametrize("token", ["stolen-and-over", "op_maria_" + "x" * 43])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/accounts"), ("POST", "/v1/payments")])
def test_a_token_that_opens_nothing_is_in_the_log_without_the_token(
    bank: Door, token: str, method: str, path: str
) -> None:
    with capture_logs() as logged:
        assert bank.call(method, path, token=token, client=FAR).status == 401
    (line,) = said(logged, "token_refused")
    assert (line["network"], line["route"]) == (NETWORK, f"{method} {path}")
    assert token not in str(logged)


def test_a_token_in_the_address_opens_nothing_and_is_nowhere_in_the_log(bank: Door, ana: Customer) -> None:
    for name in ("token", "access_token", "authorization"):
        with capture_logs() as logged:
            query = f"{name}={ana.token}".encode()
            assert bank.call("GET", "/v1/accounts", query=query).status == 401
        assert ana.token not in str(logged)


def test_a_session_that_goes_on_in_another_network_leaves_a_trace(bank: Door, ana: Customer) -> None:
    with capture_logs() as logged:
        for client in ("127.0.0.9", FAR, FAR, "127.0.0.1"):
            assert bank.call("GET", "/v1/accounts", token=ana.token, client=client).status == 200
    (line,) = said(logged, "session_from_elsewhere")
    assert (line["customer"], line["network"]) == (masked_document(ana.document), NETWORK)  # type: ignore[arg-type]
    (session,) = bank.call("GET", "/v1/sessions", token=ana.token).json["sessions"]
    assert (line["session"], line["began_in"]) == (session["id"], session["address"])
    assert ana.token not in str(logged)


def test_a_customer_who_tries_an_operators_door_is_in_the_log(bank: Door, ana: Customer) -> None:
    with capture_logs() as logged:
        order = {"account": ana.account, "amount": 1}
        assert bank.call("POST", "/v1/deposits", order, token=ana.token, key=new_key()).status == 403
    (line,) = said(logged, "customer_turned_away")
    assert (line["customer"], line["route"]) == (masked_document(ana.document), "POST /v1/deposits")  # type: ignore[arg-type]


def test_an_operator_who_would_pay_is_in_the_record(bank: Door) -> None:
    """The hottest door has no guard of the other routes before it, and left no trace."""
    token = bank.operator("paula", "operator")
    assert bank.call("POST", "/v1/payments", {}, token=token, key=new_key()).status == 403
    (latest, *_) = recorded(bank)
    assert (latest["operator"], latest["action"]) == ("paula", "trespass")
    assert (latest["subject"], latest["outcome"]) == ("POST /v1/payments", "forbidden")


def test_an_operators_token_opens_nothing_once_it_is_ended_and_who_tries_it_is_in_the_record(
    bank: Door,
) -> None:
    token = bank.operator("ivo", "operator")
    assert bank.call("GET", "/v1/operator/audit", token=token).status == 200
    assert bank.operate("DELETE", "/v1/operator/operators/ivo").status == 204
    with capture_logs() as logged:
        for _ in range(5):
            assert bank.call("GET", "/v1/operator/audit", token=token, client=FAR).status == 401
    assert {line["operator"] for line in said(logged, "token_refused")} == {"ivo"}
    trespasses = [one for one in recorded(bank) if one["operator"] == "ivo"]
    assert [(one["subject"], one["outcome"]) for one in trespasses] == [
        ("GET /v1/operator/audit", "unauthenticated")
    ], "once, however often it is tried in a minute"


def test_who_only_guesses_an_operators_token_writes_nothing_into_the_record(bank: Door) -> None:
    bank.operator("rita", "auditor")
    with capture_logs() as logged:
        assert bank.call("GET", "/v1/operator/audit", token="op_rita_" + "x" * 43).status == 401
    assert [line["operator"] for line in said(logged, "token_refused")] == ["rita"]
    assert not [one for one in recorded(bank) if one["operator"] == "rita"]


def test_a_mandates_token_in_the_wrong_hands_pays_nothing_and_the_accounts_bank_says_so(banks: Pair) -> None:
    """A thief at the initiator's, a thief at another bank, and the very payer after the mandate has ended."""
    here, there = banks.here, banks.there
    ana = here.someone(100_000)
    thief = there.someone()
    order = {"account": ana.account, "initiator": there.ispb, "expires_at": "2099-01-01T00:00:00Z"}
    given = here.call("POST", "/v1/mandates", order, token=ana.token, key=new_key()).json
    with capture_logs() as logged:
        stolen = transfer(ana.account, thief.account, 500, mandate=given["token"])
        refused = there.pay(thief, {"transfers": [stolen]})
    assert (refused.status, refused.code, refused.json["bank"]) == (422, "not_permitted", here.ispb)
    (line,) = said(logged, "mandate_refused")
    assert (line["peer"], line["mandate"]) == (there.ispb, given["id"])
    assert given["token"] not in json.dumps(logged, default=str)
    assert here.balance(ana) == 100_000
    link = {"account": ana.account, "mandate": given["token"]}
    assert there.call("POST", "/v1/links", link, token=thief.token).code == "not_permitted"


def test_many_attempts_of_one_kind_leave_one_line_a_second_that_says_how_many_they_were() -> None:
    clock = MovableClock()
    traces = Traces(clock)
    with capture_logs() as logged:
        for _ in range(1_000):
            traces.note("token_refused", "a network")
        traces.note("token_refused", "another network")
        clock.ahead_ms += 5_000
        traces.note("token_refused", "a network")
    times = [line["times"] for line in logged]
    assert len(times) <= 4, "the clock may have come to another second meanwhile"
    assert sum(times) == 1_002


def test_what_is_wrong_with_a_session_or_a_password_is_said_to_nobody(bank: Door, ana: Customer) -> None:
    """Of a customer and of nobody the answers are the same, to the letter."""
    answers = [
        bank.call("POST", "/v1/sessions", {"document": document, "password": PASSWORD + "?"})
        for document in (ana.document, documents.cpf())
    ]
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    assert OPERATOR not in str(answers)
