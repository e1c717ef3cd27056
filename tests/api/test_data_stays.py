"""What one may not see: others' payments and mandates, others' parts of a payment, and who is a customer."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.api.bank import Customer, Door, Pair, new_key, pair, transfer
from tests.system import documents


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("data"), deadline_ms=5_000) as banks:
        yield banks


@pytest.fixture(scope="module")
def bank(banks: Pair) -> Door:
    return banks.here


@pytest.fixture(scope="module")
def firm(bank: Door) -> Customer:
    return bank.someone(1_000_000)


def test_whoever_is_paid_sees_their_own_part_of_a_payment_and_nobody_elses(
    banks: Pair, firm: Customer
) -> None:
    """Wages paid at once: each would have seen what the others earn."""
    here, there = banks.here, banks.there
    ana, bia, cai = here.someone(), here.someone(), there.someone()
    wages = [
        transfer(firm.account, one.account, amount)
        for one, amount in ((ana, 300), (bia, 500), (cai, 700), (ana, 20))
    ]
    paid = here.pay(firm, {"transfers": wages})
    assert (paid.status, paid.json["amount"]) == (201, 1_520)
    path = f"/v1/payments/{paid.json['id']}"
    assert here.call("GET", path, token=firm.token).json == paid.json
    for one, parts in ((ana, [wages[0], wages[3]]), (bia, [wages[1]])):
        shown = here.call("GET", path, token=one.token).json
        assert shown["transfers"] == parts
        assert shown["amount"] == sum(part["amount"] for part in parts)
    assert here.call("GET", path, token=here.someone().token).code == "not_found"


def test_another_holder_of_a_joint_source_sees_what_left_it(bank: Door) -> None:
    ana, bia, shop = bank.someone(1_000), bank.someone(), bank.someone()
    order = {"kind": "joint", "holders": [ana.document, bia.document]}
    joint = bank.call("POST", "/v1/accounts", order, token=ana.token).json["address"]
    bank.operate("POST", "/v1/deposits", {"account": joint, "amount": 1_000}, key=new_key())
    both = [transfer(ana.account, shop.account, 10), transfer(joint, shop.account, 20)]
    paid = bank.pay(ana, {"transfers": both}).json
    assert bank.call("GET", f"/v1/payments/{paid['id']}", token=bia.token).json["transfers"] == both[1:]


def test_one_customers_idempotency_key_says_nothing_to_another(bank: Door, firm: Customer) -> None:
    other, shop, key = bank.someone(1_000), bank.someone(), new_key()
    first = bank.pay(firm, {"transfers": [transfer(firm.account, shop.account, 5)]}, key=key)
    crossed = bank.pay(other, {"transfers": [transfer(other.account, shop.account, 7)]}, key=key)
    assert (first.status, crossed.status) == (201, 201)
    assert first.json["id"] != crossed.json["id"]


def test_who_is_a_customer_cannot_be_found_out_by_naming_holders_without_end(bank: Door) -> None:
    """A joint account with somebody who is no customer is refused, which tells who is one."""
    curious = bank.someone()

    def name(document: str) -> int:
        order = {"kind": "joint", "holders": [curious.document, document]}
        return bank.call("POST", "/v1/accounts", order, token=curious.token).status

    answers = [name(documents.cpf()) for _ in range(60)]
    assert answers[:50] == [422] * 50
    assert set(answers[50:]) == {429}
    with capture_logs() as logged:
        assert name(bank.someone().document) == 429, "nor does it tell of a customer now"
    assert [line["of"] for line in logged if line["event"] == "attempts_blocked"] == ["holders"]
    other = bank.someone()
    order = {"kind": "joint", "holders": [other.document, curious.document]}
    assert bank.call("POST", "/v1/accounts", order, token=other.token).status == 201
