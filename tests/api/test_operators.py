"""Operators are people: what each role does, whose token ends when, and that all of it stands in the record."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.bank import OPERATOR, Customer, Door, Pair, new_key, pair

LIMIT = 50_000


@pytest.fixture(scope="module")
def staff(banks: Pair) -> dict[str, str]:
    """A token for each role."""
    bank = banks.here
    return {
        "teller": bank.operator("tina", "teller", cash_limit=LIMIT),
        "operator": bank.operator("otto", "operator"),
        "auditor": bank.operator("aldo", "auditor"),
        "admin": bank.operator("ada", "admin"),
    }


@pytest.fixture
def ana(bank: Door) -> Customer:
    return bank.someone(100_000)


def cash(bank: Door, token: str, route: str, account: str, amount: int, key: str | None = None) -> Any:
    order = {"account": account, "amount": amount}
    return bank.call("POST", f"/v1/{route}", order, token=token, key=key or new_key())


def latest(bank: Door, token: str = OPERATOR) -> Any:
    return bank.call("GET", "/v1/operator/actions", token=token, query=b"limit=1").json["actions"][0]


def told(action: Any) -> tuple[str, str, str, str]:
    return action["operator"], action["action"], action["subject"], action["outcome"]


@pytest.mark.parametrize("route", ["deposits", "withdrawals"])
def test_a_teller_hands_as_much_as_the_limit_and_no_more(
    bank: Door, staff: dict[str, str], ana: Customer, route: str
) -> None:
    kind = route[:-1]
    assert cash(bank, staff["teller"], route, ana.account, LIMIT).status == 201
    assert told(latest(bank)) == ("tina", kind, ana.account, "done")
    before = bank.balance(ana)
    answer = cash(bank, staff["teller"], route, ana.account, LIMIT + 1)
    assert (answer.status, answer.code) == (403, "over_cash_limit")
    assert told(latest(bank)) == ("tina", kind, ana.account, "over_cash_limit")
    assert bank.balance(ana) == before


def test_the_record_says_who_brought_which_payment_about(
    bank: Door, staff: dict[str, str], ana: Customer
) -> None:
    payment = cash(bank, staff["teller"], "withdrawals", ana.account, 1_000).json
    action = latest(bank, staff["auditor"])
    assert told(action) == ("tina", "withdrawal", ana.account, "done")
    assert (action["terms"]["payment"], action["terms"]["amount"]) == (payment["id"], 1_000)
    assert action["at"] == payment["decided_at"]


def test_a_refused_withdrawal_is_recorded_with_its_reason(
    bank: Door, staff: dict[str, str], ana: Customer
) -> None:
    poor = bank.someone()
    assert cash(bank, staff["teller"], "withdrawals", poor.account, 1).code == "insufficient_funds"
    assert told(latest(bank)) == ("tina", "withdrawal", poor.account, "insufficient_funds")


def test_a_request_sent_twice_is_one_action(bank: Door, staff: dict[str, str], ana: Customer) -> None:
    key = new_key()
    first = cash(bank, staff["teller"], "deposits", ana.account, 7, key)
    recorded = latest(bank)
    second = cash(bank, staff["teller"], "deposits", ana.account, 7, key)
    assert (first.status, first.json) == (second.status, second.json)
    assert latest(bank) == recorded
    assert cash(bank, staff["teller"], "deposits", ana.account, 8, key).code == "idempotency_mismatch"
    # Another person's key of the same letters is another key.
    assert cash(bank, OPERATOR, "deposits", ana.account, 8, key).status == 201


def test_an_operator_blocks_and_the_record_says_who(bank: Door, staff: dict[str, str], ana: Customer) -> None:
    for change, status in (("block", "blocked"), ("unblock", "open")):
        path = f"/v1/operator/accounts/{ana.account}/{change}"
        assert bank.call("POST", path, token=staff["operator"]).json["status"] == status
        assert told(latest(bank)) == ("otto", change, ana.account, "done")
    assert bank.call("POST", f"/v1/operator/accounts/{ana.account}/close", token=staff["operator"]).code == (
        "balance_not_zero"
    )
    assert told(latest(bank)) == ("otto", "close", ana.account, "balance_not_zero")


def test_whoever_tries_a_door_that_is_not_theirs_leaves_a_trace(
    bank: Door, staff: dict[str, str], ana: Customer
) -> None:
    path = f"/v1/operator/accounts/{ana.account}/block"
    assert bank.call("POST", path, token=staff["auditor"]).status == 403
    route = "POST /v1/operator/accounts/{address}/block"
    assert told(latest(bank)) == ("aldo", "trespass", route, "forbidden")


def test_a_token_is_shown_once_and_nothing_of_it_afterwards(bank: Door, staff: dict[str, str]) -> None:
    listed = bank.call("GET", "/v1/operator/operators", token=staff["auditor"]).json["operators"]
    assert {"tina", "otto", "aldo", "ada"} <= {one["name"] for one in listed}
    assert all("token" not in one for one in listed)
    recorded = bank.call("GET", "/v1/operator/actions", token=staff["auditor"], query=b"limit=1000")
    assert not any(token.encode() in recorded.body for token in staff.values())


def test_no_token_is_kept(bank: Door, banks: Pair, staff: dict[str, str]) -> None:
    files = [path.read_bytes() for path in banks.banks.folder.glob("*.db*")]
    assert any(b"tina" in content for content in files)
    secret = staff["teller"].rpartition("op_tina_")[2].encode()
    assert not any(secret in content for content in files)


def test_whoever_is_ended_does_nothing_more_and_their_name_is_never_given_again(bank: Door) -> None:
    token = bank.operator("temp", "operator")
    assert bank.call("GET", "/v1/operator/audit", token=token).status == 200
    assert bank.operate("DELETE", "/v1/operator/operators/temp").status == 204
    assert bank.call("GET", "/v1/operator/audit", token=token).status == 401
    again = bank.operate("POST", "/v1/operator/operators", {"name": "temp", "role": "operator"})
    assert (again.status, again.code) == (409, "operator_exists")
    renewed = bank.operate("POST", "/v1/operator/operators/temp/token", {})
    assert (renewed.status, renewed.code) == (404, "not_found")
    assert bank.operate("DELETE", "/v1/operator/operators/temp").status == 204
    assert bank.operate("DELETE", "/v1/operator/operators/nobody").status == 404


def test_a_new_token_takes_the_place_of_the_old_one(bank: Door) -> None:
    old = bank.operator("renata", "auditor")
    path = "/v1/operator/operators/renata/token"
    new = bank.call("POST", path, {}, token=old).json["token"]
    assert bank.call("GET", "/v1/operator/audit", token=old).status == 401
    assert bank.call("GET", "/v1/operator/audit", token=new).status == 200
    given = bank.operate("POST", path, {}).json["token"]
    assert bank.call("GET", "/v1/operator/audit", token=new).status == 401
    assert bank.call("GET", "/v1/operator/audit", token=given).status == 200


def test_a_token_ends_when_it_was_said_to_and_who_uses_it_then_is_in_the_record(tmp_path: Path) -> None:
    with pair(tmp_path) as banks:
        bank, clock = banks.here, banks.banks.clock
        token = bank.operator("ines", "auditor")
        clock.ahead_ms = 90 * 24 * 60 * 60 * 1000 - 60_000
        assert bank.call("GET", "/v1/operator/audit", token=token).status == 200
        clock.ahead_ms += 60_000
        assert bank.call("GET", "/v1/operator/audit", token=token).status == 401
        assert told(latest(bank)) == ("ines", "trespass", "GET /v1/operator/audit", "unauthenticated")


@pytest.mark.parametrize(
    "order",
    [
        {"name": "root", "role": "admin"},
        {"name": "", "role": "admin"},
        {"name": "A", "role": "admin"},
        {"name": "a_b", "role": "admin"},
        {"name": "a" * 33, "role": "admin"},
        {"name": "zoe", "role": "root"},
        {"name": "zoe", "role": "auditor", "cash_limit": 5},
        {"name": "zoe", "role": "teller", "cash_limit": -1},
        {"name": "zoe", "role": "teller", "token_hash": "00"},
        {"name": "zoe", "role": "teller", "token_hash": "A" * 64},
        {"name": "zoe", "role": "teller", "expires_at": "yesterday"},
        {"name": "zoe", "role": "teller", "expires_at": "2001-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_an_operator_that_cannot_be_is_a_bad_request(bank: Door, order: dict[str, Any]) -> None:
    assert bank.operate("POST", "/v1/operator/operators", order).code == "bad_request"


@pytest.mark.parametrize(
    "query", [b"limit=0", b"limit=1001", b"cursor=x", b"cursor=%00", b"cursor=" + b"Z" * 28]
)
@pytest.mark.parametrize("path", ["actions", "proposals"])
def test_a_page_of_the_record_that_makes_no_sense_is_a_bad_request(
    bank: Door, path: str, query: bytes
) -> None:
    assert bank.operate("GET", f"/v1/operator/{path}", query=query).code == "bad_request"


def test_pages_put_together_are_the_whole_record(bank: Door, ana: Customer) -> None:
    whole = bank.operate("GET", "/v1/operator/actions", query=b"limit=1000").json["actions"]
    pages: list[Any] = []
    cursor = ""
    while True:
        page = bank.operate("GET", "/v1/operator/actions", query=f"limit=7{cursor}".encode()).json
        pages += page["actions"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == whole
    assert [one["id"] for one in whole] == sorted((one["id"] for one in whole), reverse=True)


# A peer's limit.


def limit_of(bank: Door, peer: str) -> int:
    positions = bank.operate("GET", "/v1/operator/positions").json["positions"]
    return int(next(one["limit"] for one in positions if one["ispb"] == peer))


def test_a_peers_limit_acts_at_once_and_outlives_the_process(banks: Pair, staff: dict[str, str]) -> None:
    here, there = banks.here, banks.there
    path = f"/v1/operator/peers/{there.ispb}/limit"
    try:
        answer = here.call("PUT", path, {"limit": 1_234}, token=staff["operator"])
        assert (answer.status, answer.json["limit"]) == (200, 1_234)
        assert told(latest(here)) == ("otto", "set_limit", there.ispb, "done")
        here.run(banks.banks.stores[here.node.bank.ispb].open())
        assert limit_of(here, there.ispb) == 1_234
    finally:
        here.operate("PUT", path, {"limit": 10**12})


@pytest.mark.parametrize(
    ("peer", "limit", "code"),
    [
        ("10000009", 5, "not_found"),
        ("1", 5, "bad_request"),
        ("10000002", -1, "bad_request"),
        ("10000002", 1.5, "bad_request"),
        ("10000002", 10**19, "bad_request"),
        ("10000001", 5, "not_found"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(bank: Door, peer: str, limit: Any, code: str) -> None:
    assert bank.operate("PUT", f"/v1/operator/peers/{peer}/limit", {"limit": limit}).code == code
