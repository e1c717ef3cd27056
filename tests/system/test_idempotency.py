"""The same request sent again has one effect and gets the same answer, whatever happened in between."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.system import documents
from tests.system.answers import Json, created, found, problem, refused, settled
from tests.system.consortium import PASSWORD, Bank, Consortium, Customer, Person, new_key, transfer
from tests.system.crowd import at_once, while_under_way


@pytest.fixture
def bank(circle: Consortium) -> Bank:
    return circle.banks[0]


def test_a_payment_sent_again_is_made_once_and_answered_alike(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana, mine = here.someone("Ana Maria", 1_000)
    for payee, theirs in (here.someone("Bia Maria"), there.someone("Rui Barbosa")):
        key = new_key()
        first = settled(ana.pay(transfer(mine, theirs, 100), key=key))
        for _ in range(3):
            assert settled(ana.pay(transfer(mine, theirs, 100), key=key)) == first
        payee.balance_becomes(theirs, 100)
    ana.balance_becomes(mine, 800)


def test_a_payment_sent_many_times_at_once_is_made_once(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana, mine = here.someone("Ana Maria", 1_000)
    for payee, theirs in (here.someone("Bia Maria"), there.someone("Rui Barbosa")):
        answers = at_once(
            [partial(ana.pay, transfer(mine, theirs, 100), key="at-once-at-" + payee.bank.slug)] * 24
        )
        assert len({settled(answer)["id"] for answer in answers}) == 1
        payee.balance_becomes(theirs, 100)
    ana.balance_becomes(mine, 800)


def test_a_key_that_was_used_for_another_body_is_a_mismatch(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    key = new_key()
    leg = transfer(mine, theirs, 100)
    settled(ana.pay(leg, key=key))
    for answer in (
        ana.pay(transfer(mine, theirs, 101), key=key),
        ana.pay(leg, leg, key=key),
        ana.pay(leg, key=key, description="something else"),
    ):
        problem(answer, 422, "idempotency_mismatch")
    assert (ana.balance(mine), bia.balance(theirs)) == (900, 100)


def test_two_bodies_at_once_under_one_key_make_one_payment(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    key = new_key()
    amounts = [100, 200] * 8
    answers = at_once([partial(ana.pay, transfer(mine, theirs, amount), key=key) for amount in amounts])
    paid = {settled(answer)["amount"] for answer in answers if answer.status_code == 201}
    assert len(paid) == 1
    for amount, answer in zip(amounts, answers, strict=True):
        if amount not in paid:
            problem(answer, 422, "idempotency_mismatch")
    assert [bia.balance(theirs)] == list(paid)


def test_the_keys_of_different_callers_and_routes_do_not_meet(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria", 1_000)
    key = new_key()
    first = settled(ana.pay(transfer(mine, theirs, 100), key=key))
    second = settled(bia.pay(transfer(theirs, mine, 100), key=key))
    assert first["id"] != second["id"]
    cash = {"account": mine, "amount": 50}
    deposit = settled(bank.operate("POST", "/v1/deposits", cash, key=key))
    withdrawal = settled(bank.operate("POST", "/v1/withdrawals", cash, key=key))
    assert deposit["id"] != withdrawal["id"]
    holders = {"kind": "joint", "holders": [ana.document, bia.document]}
    created(ana.call("POST", "/v1/accounts", holders, key=key))
    assert (ana.balance(mine), bia.balance(theirs)) == (1_000, 1_000)


def test_a_customer_who_logs_in_again_is_the_same_caller(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    key = new_key()
    first = settled(ana.pay(transfer(mine, theirs, 100), key=key))
    ana.log_in()
    assert settled(ana.pay(transfer(mine, theirs, 100), key=key)) == first
    assert bia.balance(theirs) == 100


def test_cash_is_counted_once_however_often_the_operator_asks(bank: Bank) -> None:
    ana, mine = bank.someone()
    for path, balance in (("/v1/deposits", 500), ("/v1/withdrawals", 0)):
        key = new_key()
        order = {"account": mine, "amount": 500}
        answers = at_once([partial(bank.operate, "POST", path, order, key=key)] * 8)
        assert len({settled(answer)["id"] for answer in answers}) == 1
        assert ana.balance(mine) == balance
        problem(bank.operate("POST", path, {**order, "amount": 501}, key=key), 422, "idempotency_mismatch")


def test_a_refusal_stands_even_when_the_money_has_come(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana = Person([here], [here, there], 0)
    rui, shop = here.someone("Rui Barbosa")
    for source in (here, there):
        payer, key = ana.at[here], new_key()
        leg = ana.transfer(here, source, shop, 100)
        first = refused(payer.pay(leg, key=key), "insufficient_funds", source.ispb)
        source.deposit(ana.account[source], 100)
        assert refused(payer.pay(leg, key=key), "insufficient_funds", source.ispb) == first
    rui.balance_becomes(shop, 0)
    ana.balances_become(100, 100)


def test_an_answer_that_did_nothing_does_not_use_the_key_up(bank: Bank) -> None:
    (ana, mine), (_, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    key = new_key()
    problem(ana.pay(transfer(mine, theirs, -1), key=key), 400, "bad_request")
    order = {"transfers": [transfer(mine, theirs, 100)]}
    problem(bank.call("POST", "/v1/payments", order, key=key), 401, "unauthenticated")
    settled(ana.pay(transfer(mine, theirs, 100), key=key))

    key = new_key()
    cash = {"account": mine, "amount": 50}
    problem(ana.call("POST", "/v1/deposits", cash, key=key), 403, "forbidden")
    settled(bank.operate("POST", "/v1/deposits", cash, key=key))
    assert ana.balance(mine) == 950


def test_a_payment_and_a_batch_share_their_keys(bank: Bank) -> None:
    (ana, mine), (_, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    leg = transfer(mine, theirs, 100)

    def batch(*orders: Json) -> list[Json]:
        results = found(ana.call("POST", "/v1/payments/batches", {"payments": orders}))["results"]
        assert isinstance(results, list)
        return results

    alone, in_batch = new_key(), new_key()
    first = settled(ana.pay(leg, key=alone))
    results = batch({"key": alone, "transfers": [leg]}, {"key": in_batch, "transfers": [leg]})
    assert (results[0]["id"], results[0]["status"]) == (first["id"], "settled")
    assert settled(ana.pay(leg, key=in_batch))["id"] == results[1]["id"]
    assert batch({"key": in_batch, "transfers": [leg]})[0]["id"] == results[1]["id"]
    assert ana.balance(mine) == 800

    # Twice in one batch is once, too.
    twice = {"key": new_key(), "transfers": [leg]}
    assert len({result["id"] for result in batch(twice, twice)}) == 1
    assert ana.balance(mine) == 700


def test_another_body_under_a_used_key_is_a_mismatch_in_a_batch_and_harms_no_neighbour(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    key = new_key()
    settled(ana.pay(transfer(mine, theirs, 100), key=key))
    orders = [
        {"key": key, "transfers": [transfer(mine, theirs, 7)]},
        {"key": new_key(), "transfers": [transfer(mine, theirs, 20)]},
    ]
    mismatch, paid = found(ana.call("POST", "/v1/payments/batches", {"payments": orders}))["results"]
    assert (mismatch["status"], mismatch["refusal"]["code"]) == ("refused", "idempotency_mismatch")
    assert paid["status"] == "settled"
    assert bia.balance(theirs) == 120


def test_a_batch_sent_again_is_made_once(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")
    _, near = here.someone("Bia Maria")
    orders = [{"key": new_key(), "transfers": [transfer(mine, account, 10)]} for account in [near, far] * 10]
    answers = at_once([partial(ana.call, "POST", "/v1/payments/batches", {"payments": orders})] * 4)
    ids = {tuple(result["id"] for result in found(answer)["results"]) for answer in answers}
    assert len(ids) == 1
    ana.balance_becomes(mine, 800)
    rui.balance_becomes(far, 100)


def test_a_joint_account_asked_for_again_under_one_key_is_opened_once(bank: Bank) -> None:
    ana, bia = bank.sign_up("Ana Maria"), bank.sign_up("Bia Maria")
    order = {"kind": "joint", "holders": [ana.document, bia.document]}
    key = new_key()
    answers = at_once([partial(ana.call, "POST", "/v1/accounts", order, key=key)] * 8)
    assert len({created(answer)["address"] for answer in answers}) == 1
    assert len(found(ana.call("GET", "/v1/accounts"))["accounts"]) == 1
    problem(
        ana.call("POST", "/v1/accounts", {**order, "signatures": "all"}, key=key), 422, "idempotency_mismatch"
    )
    created(ana.call("POST", "/v1/accounts", order))
    assert len(found(ana.call("GET", "/v1/accounts"))["accounts"]) == 2


def test_an_individual_account_asked_for_again_under_its_key_is_shown_again(bank: Bank) -> None:
    ana, key = bank.sign_up("Ana Maria"), new_key()
    first = created(ana.call("POST", "/v1/accounts", {"kind": "individual"}, key=key))
    assert created(ana.call("POST", "/v1/accounts", {"kind": "individual"}, key=key)) == first
    problem(ana.call("POST", "/v1/accounts", {"kind": "individual"}, key=new_key()), 409, "account_exists")


def test_a_key_that_means_nothing_to_a_route_is_ignored(bank: Bank) -> None:
    ana = bank.sign_up("Ana Maria")
    login = {"document": ana.document, "password": PASSWORD}
    for key in ("same", "same", "x" * 1_000):
        created(bank.call("POST", "/v1/sessions", login, key=key))
    problem(ana.call("POST", "/v1/accounts", {"kind": "individual"}, key="x" * 65), 400, "bad_request")


def test_one_individual_account_comes_of_many_requests_at_once(bank: Bank) -> None:
    ana = bank.sign_up("Ana Maria")
    answers = at_once([partial(ana.call, "POST", "/v1/accounts", {"kind": "individual"})] * 8)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


def test_one_customer_comes_of_many_sign_ups_at_once(bank: Bank) -> None:
    form = Customer(bank, "Ana Maria", documents.cpf()).form()
    answers = at_once([partial(bank.call, "POST", "/v1/customers", form)] * 6)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


def test_a_link_sent_again_is_made_once(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    holder, account = there.someone("Ana Maria", 100)
    payer = holder.at(here)
    link = {"account": account, "mandate": holder.allow(account, here, scopes=["read", "pay"])["token"]}
    key = new_key()
    first = created(payer.call("POST", "/v1/links", link, key=key))
    assert created(payer.call("POST", "/v1/links", link, key=key))["address"] == first["address"] == account
    everywhere = found(payer.call("GET", "/v1/accounts", everywhere="true"))["accounts"]
    assert [seen["address"] for seen in everywhere] == [account]


# Crashes.


@pytest.fixture
def restarting(circle: Consortium) -> Iterator[Bank]:
    """A bank that the test kills; the next test finds it connected again."""
    yield circle.banks[4]
    circle.wait_connected()


def test_answers_stand_after_the_bank_was_killed(circle: Consortium, restarting: Bank) -> None:
    ana, mine = restarting.someone("Ana Maria", 1_000)
    bia, near = restarting.someone("Bia Maria")
    rui, far = circle.banks[0].someone("Rui Barbosa")
    legs = [transfer(mine, near, 100), transfer(mine, far, 100), transfer(mine, near, 5_000)]
    keys = [new_key() for _ in legs]
    holders = {"kind": "joint", "holders": [ana.document, bia.document]}

    def ask() -> list[tuple[int, Json]]:
        answers = [ana.pay(leg, key=key) for leg, key in zip(legs, keys, strict=True)]
        answers.append(ana.call("POST", "/v1/accounts", holders, key=keys[0]))
        answers.append(ana.call("POST", "/v1/mandates", mandate, key=keys[0]))
        return [(answer.status_code, answer.json()) for answer in answers]

    mandate = {"account": mine, "initiator": circle.banks[0].ispb, "expires_at": "2099-12-31T00:00:00.000Z"}
    told = ask()
    assert [status for status, _ in told] == [201, 201, 422, 201, 201]
    restarting.kill()
    restarting.restart()
    assert ask() == told
    assert (ana.account(mine)["balance"], bia.balance(near)) == (800, 100)
    rui.balance_becomes(far, 100)


def test_a_payment_sent_again_while_it_is_under_way_waits_for_the_same_answer(
    circle: Consortium, restarting: Bank
) -> None:
    (ana, mine), (rui, far) = circle.banks[0].someone("Ana Maria", 1_000), restarting.someone("Rui Barbosa")
    leg, key = transfer(mine, far, 100), new_key()

    def resume_when_held() -> None:
        ana.hold_becomes(mine, 100)
        restarting.resume()

    pay = partial(ana.pay, leg, key=key)
    with restarting.paused():
        answers = while_under_way(lambda: at_once([pay] * 6), resume_when_held)
    assert len({settled(answer)["id"] for answer in answers}) == 1
    ana.balance_becomes(mine, 900)
    rui.balance_becomes(far, 100)
