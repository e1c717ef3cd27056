"""Many at the same moment: limits, approvals, mandates, accounts and proposals are never used twice over."""

from collections import Counter
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from ciranda.engine.limits import Figures, LimitRules
from ciranda.engine.operator import TwoPerson
from tests.api.bank import Answer, Customer, Door, Pair, new_key, pair, transfer
from tests.system import documents

DAY = 1_000
NOON = datetime(2027, 3, 1, 15, tzinfo=UTC)
"""By day, far from midnight, in São Paulo."""


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    limits = LimitRules(persons=Figures(per_day=DAY), companies=Figures())
    with pair(tmp_path_factory.mktemp("races"), limits=limits, deadline_ms=5_000) as banks:
        clock = banks.banks.clock
        clock.ahead_ms += int(NOON.timestamp() * 1000) - clock.now()
        yield banks


@pytest.fixture(scope="module")
def bank(banks: Pair) -> Door:
    return banks.here


class Joint(NamedTuple):
    ana: Customer
    bia: Customer
    account: str


@pytest.fixture
def joint(bank: Door) -> Joint:
    """An account for which both sign."""
    ana, bia = bank.someone(), bank.someone()
    order = {"kind": "joint", "holders": [ana.document, bia.document], "signatures": "all"}
    account = bank.call("POST", "/v1/accounts", order, token=ana.token).json["address"]
    bank.operate("POST", "/v1/deposits", {"account": account, "amount": DAY}, key=new_key())
    return Joint(ana, bia, account)


def paying(door: Door, payer: Customer, *transfers: Any) -> Coroutine[Any, Any, Answer]:
    body = {"transfers": transfers}
    return door.request("POST", "/v1/payments", body, token=payer.token, key=new_key())


def saying(door: Door, who: Customer, payment: str, decision: str) -> Coroutine[Any, Any, Answer]:
    path = f"/v1/payments/{payment}/approvals"
    return door.request("POST", path, {"decision": decision}, token=who.token)


def told(answers: list[Answer]) -> Counter[tuple[int, str]]:
    return Counter((one.status, one.json.get("code") or one.json.get("status")) for one in answers)


def test_twenty_payments_at_once_into_two_banks_take_a_days_limit_and_no_more(banks: Pair) -> None:
    here, ana = banks.here, banks.here.someone(100_000)
    targets = [here.someone().account, banks.there.someone().account]
    answers = here.at_once(
        *(paying(here, ana, transfer(ana.account, targets[number % 2], DAY // 10)) for number in range(20))
    )
    assert told(answers) == {(201, "settled"): 10, (422, "limit_exceeded"): 10}
    assert here.balance(ana) == 100_000 - DAY
    lowered = here.call("GET", f"/v1/accounts/{ana.account}/limits", token=ana.token).json
    assert lowered["spent_today"] == DAY


def test_one_holder_who_approves_ten_times_at_once_is_one_holder(bank: Door, joint: Joint) -> None:
    asked = bank.pay(joint.ana, {"transfers": [transfer(joint.account, joint.ana.account, 10)]}).json["id"]
    answers = bank.at_once(*(saying(bank, joint.ana, asked, "approve") for _ in range(10)))
    assert told(answers) == {(202, "awaiting_approval"): 10}


@pytest.mark.parametrize("first", ["approve", "refuse"])
def test_a_payment_that_is_approved_and_refused_at_one_moment_happens_or_not_and_all_are_told_the_same(
    bank: Door, joint: Joint, first: str
) -> None:
    asked = bank.pay(joint.ana, {"transfers": [transfer(joint.account, joint.ana.account, 10)]}).json["id"]
    words = [
        saying(bank, joint.bia, asked, "approve"),
        saying(bank, joint.ana, asked, "refuse"),
    ]
    answers = told(bank.at_once(*(words if first == "approve" else words[::-1])))
    shown = bank.call("GET", f"/v1/payments/{asked}", token=joint.bia.token).json["status"]
    held_back = {(422, "not_permitted"): 1, (200, "refused"): 1}
    went = {(201, "settled"): 1, (409, "already_decided"): 1}
    assert answers == (went if shown == "settled" else held_back)
    assert bank.balance(joint.ana) == (10 if shown == "settled" else 0)


def test_what_was_asked_for_within_the_limit_is_held_against_what_was_spent_when_it_begins(
    bank: Door, joint: Joint
) -> None:
    """Two payments of the whole day's limit are both asked for: it is there for one of them."""
    asked = [
        bank.pay(joint.ana, {"transfers": [transfer(joint.account, joint.ana.account, DAY)]}).json["id"]
        for _ in range(2)
    ]
    bank.operate("POST", "/v1/deposits", {"account": joint.account, "amount": DAY}, key=new_key())
    answers = bank.at_once(*(saying(bank, joint.bia, one, "approve") for one in asked))
    assert told(answers) == {(201, "settled"): 1, (422, "limit_exceeded"): 1}


def test_a_mandate_that_is_revoked_while_it_is_used_has_used_what_was_paid(banks: Pair) -> None:
    here, there, document = banks.here, banks.there, documents.cpf()
    ana, abroad = here.someone(100_000, document), there.someone(0, document)
    order = {"account": ana.account, "initiator": there.ispb, "expires_at": "2099-01-01T00:00:00Z"}
    mandate = here.call("POST", "/v1/mandates", order, token=ana.token).json
    debit = transfer(ana.account, abroad.account, 20, mandate=mandate["token"])
    path = f"/v1/mandates/{mandate['id']}"
    *paid, revoked = there.at_once(
        *(paying(there, abroad, debit) for _ in range(15)),
        here.request("DELETE", path, token=ana.token),
    )
    assert revoked.status == 204
    settled = told(paid)[201, "settled"]
    assert told(paid)[422, "not_permitted"] == 15 - settled
    there.run(banks.banks.settled())
    assert here.call("GET", path, token=ana.token).json["used"] == 20 * settled
    assert here.balance(ana) == 100_000 - 20 * settled
    assert there.pay(abroad, {"transfers": [debit]}).code == "not_permitted"


def test_an_account_is_not_closed_over_money_that_comes_or_goes(banks: Pair) -> None:
    here, there = banks.here, banks.there
    far = there.someone(100)
    for _ in range(3):
        ana = here.someone(50)
        path = f"/v1/operator/accounts/{ana.account}/close"
        operator = "operator"
        out, into, closed = here.at_once(
            paying(here, ana, transfer(ana.account, far.account, 50)),
            paying(there, far, transfer(far.account, ana.account, 1)),
            here.request("POST", path, token=operator),
        )
        here.run(banks.banks.settled())
        shown = here.operate("GET", f"/v1/accounts/{ana.account}").json
        assert (shown["status"], shown["held"]) == ("closed" if closed.status == 200 else "open", 0)
        expected = 50 - 50 * (out.status == 201) + (into.status == 201)
        assert shown["balance"] == expected
        assert shown["status"] == "open" or expected == 0


def test_a_proposal_is_done_once_however_many_approve_it_and_never_by_its_maker(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with pair(tmp_path_factory.mktemp("two"), two_person=TwoPerson(withdrawals_above=0)) as two:
        bank = two.here
        ada, bea = bank.found_two("ada", "bea")
        tellers = [bank.agreed(ada, bea, name, "teller") for name in ("tina", "theo", "tess")]
        bank.cashier = tellers[0]
        ana = bank.someone(1_000)
        order = {"account": ana.account, "amount": 400}
        asked = bank.call("POST", "/v1/withdrawals", order, token=tellers[0], key=new_key())
        path = f"/v1/operator/proposals/{asked.json['id']}/approvals"
        own = bank.at_once(*(bank.request("POST", path, token=tellers[0]) for _ in range(2)))
        assert told(own) == {(403, "second_operator_required"): 2}
        assert bank.balance(ana) == 1_000
        others = [bank.request("POST", path, token=token) for token in tellers[1:] * 2]
        answers = told(bank.at_once(*others))
        assert answers == {(200, "done"): 2, (409, "proposal_closed"): 2}
        assert bank.balance(ana) == 600
        actions = bank.call("GET", "/v1/operator/actions", token=ada).json["actions"]
        tried = [(one["operator"], one["outcome"]) for one in actions if one["action"] == "approve"]
        assert tried.count(("tina", "second_operator_required")) == 2, "each try is in the record"
