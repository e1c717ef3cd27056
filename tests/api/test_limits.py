"""Limits, as a client meets them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ciranda.engine.limits import Figures, LimitRules
from tests.api.bank import PASSWORD, Answer, Customer, Door, Pair, pair, transfer
from tests.system import documents

RULES = LimitRules(
    # At whatever hour the tests run, the night's limit is no other than the day's.
    persons=Figures(per_transfer=500, per_day=1_000, per_night=1_000),
    companies=Figures(per_day=50_000),
)


@pytest.fixture(scope="module")
def limited_banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("limited"), limits=RULES) as made:
        yield made


@pytest.fixture
def limited(limited_banks: Pair) -> Door:
    return limited_banks.here


def show(door: Door, customer: Customer) -> Any:
    answer = door.call("GET", f"/v1/accounts/{customer.account}/limits", token=customer.token)
    assert answer.status == 200, answer
    return answer.json


def choose(door: Door, customer: Customer, **figures: Any) -> Answer:
    return door.call("PUT", f"/v1/accounts/{customer.account}/limits", figures, token=customer.token)


def test_limits_are_shown_with_what_was_spent(limited: Door) -> None:
    ana, bia = limited.someone(5_000), limited.someone()
    assert limited.pay(ana, {"transfers": [transfer(ana.account, bia.account, 300)] * 2}).status == 201
    shown = show(limited, ana)
    assert shown.pop("spent_tonight") in (None, 600)
    assert shown == {
        "account": ana.account,
        "enforced": True,
        "per_transfer": 500,
        "per_day": 1_000,
        "per_night": 1_000,
        "raises": [],
        "spent_today": 600,
    }
    refused = limited.pay(ana, {"transfers": [transfer(ana.account, bia.account, 401)]})
    assert (refused.status, refused.code, refused.json["bank"]) == (422, "limit_exceeded", limited.ispb)
    assert show(limited, bia)["spent_today"] == 0


def test_a_lower_limit_acts_at_once_and_a_higher_one_after_a_day(limited: Door) -> None:
    ana, bia = limited.someone(5_000), limited.someone()
    before = datetime.now(UTC)
    chosen = choose(limited, ana, per_transfer=100, per_day=2_000)
    assert chosen.status == 200
    assert (chosen.json["per_transfer"], chosen.json["per_day"]) == (100, 1_000)
    (raised,) = chosen.json["raises"]
    acts_at = datetime.fromisoformat(raised.pop("acts_at"))
    assert raised == {"limit": "per_day", "amount": 2_000}
    assert timedelta(0) <= acts_at - before - timedelta(days=1) < timedelta(minutes=1)
    assert choose(limited, ana).json == show(limited, ana) == chosen.json
    assert choose(limited, ana, per_day=2_000).json == chosen.json
    assert limited.pay(ana, {"transfers": [transfer(ana.account, bia.account, 101)]}).code == "limit_exceeded"
    assert limited.pay(ana, {"transfers": [transfer(ana.account, bia.account, 100)]}).status == 201
    assert choose(limited, ana, per_day=1_000).json["raises"] == []


def test_a_raised_limit_acts_a_day_later_by_the_banks_own_clock(limited_banks: Pair) -> None:
    here, clock = limited_banks.here, limited_banks.banks.clock
    cpf = documents.cpf()
    ana, bia = here.someone(5_000, cpf), here.someone()
    order = {"transfers": [transfer(ana.account, bia.account, 600)]}
    choose(here, ana, per_transfer=600)
    assert here.pay(ana, order).code == "limit_exceeded"
    try:
        clock.ahead_ms = 24 * 60 * 60 * 1000
        session = here.call("POST", "/v1/sessions", {"document": cpf, "password": PASSWORD})
        tomorrow = Customer(cpf, session.json["token"], ana.account)
        assert (show(here, tomorrow)["per_transfer"], show(here, tomorrow)["raises"]) == (600, [])
        assert here.pay(tomorrow, order).status == 201
    finally:
        clock.ahead_ms = 0
    # The clock is put right: today the raise is awaited again, and nothing was spent today.
    assert (show(here, ana)["per_transfer"], show(here, ana)["spent_today"]) == (500, 0)
    assert here.pay(ana, order).code == "limit_exceeded"


def test_a_debit_from_another_bank_is_limited_where_the_account_is(limited_banks: Pair) -> None:
    here, there, _ = limited_banks
    cpf = documents.cpf()
    at_here, at_there = here.someone(0, cpf), there.someone(5_000, cpf)
    mandate = {"account": at_there.account, "initiator": here.ispb, "expires_at": "2040-01-01T00:00:00Z"}
    token = there.call("POST", "/v1/mandates", mandate, token=at_there.token).json["token"]
    choose(there, at_there, per_day=70)
    for amount, status in ((70, 201), (1, 422)):
        order = {"transfers": [transfer(at_there.account, at_here.account, amount, mandate=token)]}
        paid = here.pay(at_here, order)
        assert paid.status == status
    assert (paid.code, paid.json["bank"]) == ("limit_exceeded", there.ispb)


def test_a_company_has_the_limits_of_companies_and_the_teller_none(limited: Door) -> None:
    token = limited.sign_up(cnpj := documents.cnpj())
    account = limited.call("POST", "/v1/accounts", {"kind": "business"}, token=token).json["address"]
    shop, ana = Customer(cnpj, token, account), limited.someone(90_000)
    assert (show(limited, shop)["per_transfer"], show(limited, shop)["per_day"]) == (None, 50_000)
    cash = {"account": ana.account, "amount": 80_000}
    assert limited.operate("POST", "/v1/withdrawals", cash, key="cash").status == 201
    assert show(limited, ana)["spent_today"] == 0
    assert show(limited, shop)["per_night"] is None
    assert choose(limited, shop, per_night=0).json["per_night"] == 0


@pytest.mark.parametrize(
    "figures",
    [
        {"per_day": -1},
        {"per_day": 1.5},
        {"per_day": "100"},
        {"per_day": None},
        {"per_day": True},
        {"per_day": 10**15 + 1},
        {"per_week": 1},
        [],
        None,
    ],
    ids=str,
)
def test_a_limit_that_makes_no_sense_is_not_taken(limited: Door, figures: Any) -> None:
    ana = limited.someone()
    answer = limited.call("PUT", f"/v1/accounts/{ana.account}/limits", figures, token=ana.token)
    assert (answer.status, answer.code) == (400, "bad_request")


def test_nobody_else_sees_or_chooses_but_the_operator_sees(limited: Door) -> None:
    ana, stranger = limited.someone(), limited.someone()
    path = f"/v1/accounts/{ana.account}/limits"
    assert limited.call("GET", path, token=stranger.token).code == "not_found"
    assert limited.call("PUT", path, {"per_day": 1}, token=stranger.token).code == "not_found"
    assert limited.call("PUT", path, {"per_day": 1}).code == "unauthenticated"
    assert limited.operate("GET", path).json == show(limited, ana)
    assert limited.operate("PUT", path, {"per_day": 1}).code == "forbidden"


def test_a_bank_that_keeps_no_limits_says_so(bank: Door) -> None:
    ana = bank.someone()
    shown = show(bank, ana)
    assert shown.pop("account") == ana.account
    assert shown == {
        "enforced": False,
        "per_transfer": None,
        "per_day": None,
        "per_night": None,
        "raises": [],
        "spent_today": 0,
        "spent_tonight": None,
    }
    answer = choose(bank, ana, per_day=100)
    assert (answer.status, answer.code) == (422, "limits_off")
