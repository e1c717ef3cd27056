"""Where two people must agree: what the first is answered, what the second sees, and what root cannot do any more."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from ciranda.engine.operator import TwoPerson
from tests.api.bank import PASSWORD, Customer, Door, Pair, drawn, new_key, pair, transfer

ALONE = 1_000


class Counter(NamedTuple):
    bank: Door
    there: Door
    banks: Pair
    tokens: dict[str, str]

    def call(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.bank.call(method, path, body, token=self.tokens.get(who, who), **more)

    def withdraw(self, who: str, account: str, amount: int, key: str | None = None) -> Any:
        order = {"account": account, "amount": amount}
        return self.call(who, "POST", "/v1/withdrawals", order, key=key or new_key())

    def decide(self, who: str, proposal: str, how: str = "approvals") -> Any:
        return self.call(who, "POST", f"/v1/operator/proposals/{proposal}/{how}")


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with pair(tmp_path_factory.mktemp("two"), two_person=TwoPerson(withdrawals_above=ALONE)) as banks:
        bank = banks.here
        ada, bea = bank.found_two("ada", "bea")
        tokens = {"ada": ada, "bea": bea}
        for name, role in (
            ("tina", "teller"),
            ("theo", "teller"),
            ("otto", "operator"),
            ("olga", "operator"),
        ):
            tokens[name] = bank.agreed(ada, bea, name, role)
        bank.cashier = tokens["tina"]
        yield Counter(bank, banks.there, banks, tokens)


@pytest.fixture
def ana(counter: Counter) -> Customer:
    return counter.bank.someone(100_000)


def test_a_large_withdrawal_waits_for_a_second_person(counter: Counter, ana: Customer) -> None:
    assert counter.withdraw("tina", ana.account, ALONE).status == 201
    key = new_key()
    asked = counter.withdraw("tina", ana.account, ALONE + 1, key)
    assert (asked.status, asked.json["status"], asked.json["by"]) == (202, "awaiting_approval", "tina")
    assert (asked.json["action"], asked.json["subject"]) == ("withdrawal", ana.account)
    assert asked.json["terms"]["amount"] == ALONE + 1
    assert counter.bank.balance(ana) == 100_000 - ALONE
    again = counter.withdraw("tina", ana.account, ALONE + 1, key)
    assert (again.status, again.json) == (202, asked.json)
    (listed,) = counter.call("theo", "GET", "/v1/operator/proposals", query=b"limit=1").json["proposals"]
    assert listed == asked.json
    own = counter.decide("tina", asked.json["id"])
    assert (own.status, own.code) == (403, "second_operator_required")
    done = counter.decide("theo", asked.json["id"]).json
    assert (done["status"], done["decided_by"], done["outcome"]) == ("done", "theo", "done")
    assert counter.bank.balance(ana) == 100_000 - 2 * ALONE - 1
    # The first one's request, sent again, is answered with what came of it.
    paid = counter.withdraw("tina", ana.account, ALONE + 1, key)
    assert (paid.status, paid.json["id"]) == (201, asked.json["terms"]["payment"])
    assert counter.decide("otto", asked.json["id"]).code == "proposal_closed"


def test_it_takes_two_to_take_a_customers_second_factor_away(counter: Counter, ana: Customer) -> None:
    enrolled = counter.bank.call("POST", "/v1/second-factor", {"password": PASSWORD}, token=ana.token)
    assert enrolled.status == 201
    order = {"document": ana.document}
    asked = counter.call("otto", "POST", "/v1/operator/second-factor/removal", order)
    assert (asked.status, asked.json["action"], asked.json["subject"]) == (
        202,
        "reset_second_factor",
        ana.document,
    )
    assert counter.decide("otto", asked.json["id"]).code == "second_operator_required"
    assert counter.decide("tina", asked.json["id"]).code == "forbidden"
    assert counter.bank.call("GET", "/v1/sessions", token=ana.token).status == 200
    assert counter.decide("olga", asked.json["id"]).json["status"] == "done"
    assert counter.bank.call("GET", "/v1/sessions", token=ana.token).status == 401
    again = counter.bank.call("POST", "/v1/sessions", {"document": ana.document, "password": PASSWORD})
    shown = counter.bank.call("GET", "/v1/second-factor", token=again.json["token"])
    assert shown.json["status"] == "off"


def test_a_request_whose_proposal_was_rejected_says_so(counter: Counter, ana: Customer) -> None:
    key = new_key()
    asked = counter.withdraw("tina", ana.account, 5_000, key).json
    assert counter.decide("theo", asked["id"], "rejections").json["status"] == "rejected"
    again = counter.withdraw("tina", ana.account, 5_000, key)
    assert (again.status, again.json["status"], again.json["decided_by"]) == (202, "rejected", "theo")


def test_a_request_whose_proposal_failed_is_refused_with_the_reason(counter: Counter, ana: Customer) -> None:
    key = new_key()
    asked = counter.withdraw("tina", ana.account, 200_000, key).json
    failed = counter.decide("theo", asked["id"]).json
    assert (failed["status"], failed["outcome"]) == ("failed", "insufficient_funds")
    again = counter.withdraw("tina", ana.account, 200_000, key)
    assert (again.status, again.code) == (422, "insufficient_funds")


def test_a_proposal_of_yesterday_has_expired(counter: Counter, ana: Customer) -> None:
    asked = counter.withdraw("tina", ana.account, 5_000).json
    clock = counter.banks.banks.clock
    clock.ahead_ms = 24 * 60 * 60 * 1000
    try:
        shown = counter.call("theo", "GET", f"/v1/operator/proposals/{asked['id']}").json
        assert shown["status"] == "expired"
        assert counter.decide("theo", asked["id"]).code == "proposal_closed"
    finally:
        clock.ahead_ms = 0


def test_an_account_is_blocked_by_one_and_unblocked_by_two(counter: Counter, ana: Customer) -> None:
    path = f"/v1/operator/accounts/{ana.account}"
    assert counter.call("otto", "POST", f"{path}/block").json["status"] == "blocked"
    asked = counter.call("otto", "POST", f"{path}/unblock")
    assert (asked.status, asked.json["action"]) == (202, "unblock")
    assert counter.call("otto", "GET", f"/v1/accounts/{ana.account}").json["status"] == "blocked"
    assert counter.decide("olga", asked.json["id"]).json["outcome"] == "done"
    assert counter.call("otto", "GET", f"/v1/accounts/{ana.account}").json["status"] == "open"


def test_a_peers_limit_is_lowered_by_one_and_raised_by_two(counter: Counter, ana: Customer) -> None:
    """And what it forbids is forbidden at once."""
    path = f"/v1/operator/peers/{counter.there.ispb}/limit"
    first, second = counter.there.found_two("ada", "bea")
    counter.there.cashier = counter.there.agreed(first, second, "tom", "teller")
    owner = counter.there.someone(1_000)
    paid = {"transfers": [transfer(owner.account, ana.account, 100)]}
    assert counter.there.pay(owner, paid).status == 201
    lowered = counter.call("otto", "PUT", path, {"limit": 150})
    assert (lowered.status, lowered.json["limit"]) == (200, 150)
    refused = counter.there.pay(owner, paid)
    assert (refused.code, refused.json["bank"]) == ("peer_limit_exceeded", counter.bank.ispb)
    asked = counter.call("otto", "PUT", path, {"limit": 200})
    assert asked.status == 202
    assert counter.there.pay(owner, paid).code == "peer_limit_exceeded"
    assert counter.decide("ada", asked.json["id"]).json["outcome"] == "done"
    assert counter.there.pay(owner, paid).status == 201


def test_nobody_sees_another_persons_token(counter: Counter) -> None:
    order = {"name": "zoe", "role": "teller"}
    (fault,) = counter.call("ada", "POST", "/v1/operator/operators", order).json["errors"]
    assert fault["field"] == "token_hash"
    (fault,) = counter.call("ada", "POST", "/v1/operator/operators/bea/token", {}).json["errors"]
    assert fault["field"] == "token_hash"
    mine = counter.call("olga", "POST", "/v1/operator/operators/olga/token", {})
    assert mine.status == 201
    counter.tokens["olga"] = mine.json["token"]


def test_the_second_person_sees_whose_token_it_is(counter: Counter) -> None:
    token, order = drawn("zoe", "teller", cash_limit=5_000)
    asked = counter.call("ada", "POST", "/v1/operator/operators", order)
    assert asked.status == 202
    assert (asked.json["terms"]["token_hash"], asked.json["terms"]["cash_limit"]) == (
        order["token_hash"],
        5_000,
    )
    assert asked.json["terms"]["expires_at"].endswith("Z")
    assert counter.call(token, "GET", "/v1/operator/proposals").status == 401
    assert counter.decide("bea", asked.json["id"]).json["outcome"] == "done"
    assert counter.call(token, "GET", "/v1/operator/proposals").status == 200


def test_root_cannot_begin_again(counter: Counter) -> None:
    """Not even by ending those who could stop it."""
    _, order = drawn("eva", "admin")
    assert counter.bank.operate("POST", "/v1/operator/operators", order).status == 202
    for name in ("ada", "bea"):
        assert counter.bank.operate("DELETE", f"/v1/operator/operators/{name}").status == 204
    assert counter.bank.operate("POST", "/v1/operator/operators", order).status == 202
    assert counter.call("otto", "GET", "/v1/operator/audit").json["sum"] == 0
