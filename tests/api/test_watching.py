"""What whoever watches over the bank is shown: health, figures, audit, and the document of the API itself."""

import re

import msgspec

from ciranda.wire.problem import DETAIL, STATUS, problem
from tests.api.bank import Door, Pair, transfer


def test_health_is_told_in_one_word(bank: Door) -> None:
    assert bank.call("GET", "/health/live").json == {"status": "live"}
    assert bank.call("GET", "/health/ready").json == {"status": "ready"}


def test_answers_are_counted_by_route_and_not_by_what_clients_type(bank: Door) -> None:
    ana = bank.someone(10)
    for _ in range(3):
        bank.pay(ana, {"transfers": [transfer(ana.account, ana.account, 1)]})
    bank.call("GET", f"/v1/accounts/{ana.account}", token=ana.token)
    bank.call("GET", f"/v1/accounts/{'9' * 50}", token=ana.token)
    shown = bank.call("GET", "/metrics")
    figures = shown.body.decode()
    assert 'ciranda_requests_total{route="/v1/payments",status="422"} 3.0' in figures
    assert re.search(r'ciranda_requests_total\{route="/v1/accounts/\{address\}",status="200"\}', figures)
    assert 'ciranda_request_seconds_count{route="/v1/payments"}' in figures
    assert "ciranda_waiting_inputs 0.0" in figures
    assert 'ciranda_peer_up{peer="10000002"} 1.0' in figures
    assert ana.account not in figures
    assert "9" * 50 not in figures


def test_the_audit_sums_to_nothing_and_the_positions_are_those_of_the_roster(banks: Pair) -> None:
    banks.here.someone(123)
    audit = banks.here.operate("GET", "/v1/operator/audit").json
    assert (audit["sum"], audit["held"], audit["in_doubt"]) == (0, 0, [])
    assert audit["balances"]["customers"] == -audit["balances"]["vault"]
    (position,) = banks.here.operate("GET", "/v1/operator/positions").json["positions"]
    assert (position["ispb"], position["limit"], position["reachable"]) == (banks.there.ispb, 10**12, True)
    assert banks.here.operate("GET", "/v1/operator/violations").json == {"violations": []}


def test_the_operator_blocks_and_closes_and_a_closed_account_was_empty(bank: Door) -> None:
    ana = bank.someone(1)
    path = f"/v1/operator/accounts/{ana.account}"
    assert bank.operate("POST", f"{path}/block").json["status"] == "blocked"
    assert bank.operate("POST", f"{path}/unblock").json["status"] == "open"
    full = bank.operate("POST", f"{path}/close")
    assert (full.status, full.code) == (422, "balance_not_zero")
    empty = bank.someone()
    assert bank.operate("POST", f"/v1/operator/accounts/{empty.account}/close").json["status"] == "closed"
    again = bank.operate("POST", f"/v1/operator/accounts/{empty.account}/unblock")
    assert (again.status, again.code) == (422, "closed_account")


def test_the_document_of_the_api_can_be_read_by_machines_and_by_people(bank: Door) -> None:
    described = bank.call("GET", "/openapi.json").json
    assert described["openapi"].startswith("3.1")
    assert "/v1/payments" in described["paths"]
    page = bank.call("GET", "/docs").body.decode()
    assert "POST /v1/payments" in page
    outside = re.findall(r"(?:src|href)=\"(?!/)", page) + re.findall(r"https?://(?!json-schema)", page)
    assert not outside, "the page needs nothing from elsewhere"


def test_every_problem_has_a_status_a_sentence_and_a_name_of_its_own() -> None:
    assert set(STATUS) == set(DETAIL)
    made = [problem(code) for code in STATUS]
    assert len({one.type for one in made}) == len(made)
    for one in made:
        assert one.title
        assert one.detail
        assert set(msgspec.to_builtins(one)) == {"type", "title", "status", "detail", "code"}
