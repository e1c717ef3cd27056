"""The same on PostgreSQL, with two workers for each bank, which share its database and nothing else."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial

import psutil
import pytest

from tests.system.answers import created, found, problem, refused, settled
from tests.system.consortium import Bank, Consortium, Person, consortium, new_key, transfer
from tests.system.crowd import at_once
from tests.system.faults import happens_later, killed, trouble, worker_killed
from tests.system.patience import eventually
from tests.system.postgresql import PostgreSQL, postgresql
from tests.system.reconciliation import check_positions, check_rest, reconcile
from tests.system.workload import Town, ask


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def shared(server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    folder = tmp_path_factory.mktemp("postgresql") / "banks"
    with consortium(folder, deadline_ms=3_000, database=server.template, workers=2) as banks:
        yield banks


@pytest.fixture
def circle(shared: Consortium) -> Iterator[Consortium]:
    """Four banks, which a test may leave in any state."""
    yield shared
    shared.mend()


@pytest.fixture
def bank(shared: Consortium) -> Bank:
    return shared.banks[0]


def test_any_bank_pays_out_of_three_banks_into_a_fourth(circle: Consortium) -> None:
    teller, sources = circle.banks[1], circle.banks[:3]
    ana = Person([teller], sources, 1_000)
    rui, shop = circle.banks[3].someone("Rui Barbosa")
    legs = [ana.transfer(teller, bank, shop, 100 * i) for i, bank in enumerate(sources, start=1)]
    settled(ana.at[teller].pay(*legs, description="Almoço"))
    too_much = [*legs[:2], ana.transfer(teller, sources[2], shop, 701)]
    refused(ana.at[teller].pay(*too_much), "insufficient_funds", sources[2].ispb)
    ana.balances_become(900, 800, 700)
    rui.balance_becomes(shop, 600)
    check_rest(circle.banks)
    check_positions(circle.banks)


def test_two_workers_never_spend_a_centavo_twice(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    (ana, mine), (_, near), (_, far) = here.someone("Ana Maria", 300), here.someone(), there.someone()
    calls = [partial(ana.pay, transfer(mine, target, 10)) for target in [near, far] * 30]
    answers = Counter(answer.status_code for answer in at_once(calls))
    assert answers == {201: 30, 422: 30}
    ana.balance_becomes(mine, 0)
    check_rest(circle.banks)


def test_two_workers_never_take_more_under_a_mandate_than_it_allows(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    (ana, mine), (rui, till) = there.someone("Ana Maria", 5_000), here.someone("Rui Barbosa")
    elsewhere = ana.at(here)
    for figures in ({"total": 100}, {"per_day": 100}):
        mandate = ana.allow(mine, here, **figures)
        calls = [partial(elsewhere.pay, transfer(mine, till, 10, mandate["token"]))] * 50
        assert Counter(answer.status_code for answer in at_once(calls)) == {201: 10, 422: 40}
        shown = found(ana.call("GET", f"/v1/mandates/{mandate['id']}"))
        assert (shown["used"], shown["used_today"]) == (100, 100)
    rui.balance_becomes(till, 200)
    ana.balance_becomes(mine, 4_800)
    check_positions(circle.banks)


def test_two_workers_make_one_payment_of_one_key(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana, mine = here.someone("Ana Maria", 1_000)
    for payee, target in (here.someone("Bia Maria"), there.someone("Rui Barbosa")):
        answers = at_once([partial(ana.pay, transfer(mine, target, 100), key=f"to-{payee.bank.slug}")] * 24)
        assert len({settled(answer)["id"] for answer in answers}) == 1
        payee.balance_becomes(target, 100)
        problem(ana.pay(transfer(mine, target, 7), key=f"to-{payee.bank.slug}"), 422, "idempotency_mismatch")
    ana.balance_becomes(mine, 800)


def test_what_one_worker_did_the_other_knows_at_once(bank: Bank) -> None:
    for _ in range(10):
        ana, mine = bank.someone("Ana Maria", 100)
        seen = [ana.account(mine)["balance"] for _ in range(4)]
        assert seen == [100] * 4
    assert ana.call("DELETE", "/v1/sessions/current").status_code == 204
    for _ in range(8):
        problem(ana.call("GET", "/v1/accounts"), 401, "unauthenticated")


def test_wrong_passwords_are_counted_over_all_workers(bank: Bank) -> None:
    ana = bank.sign_up("Ana Maria")
    login = {"document": ana.document, "password": "wrong, wrong, wrong"}
    answers = [bank.call("POST", "/v1/sessions", login).status_code for _ in range(8)]
    assert answers == [401] * 5 + [429] * 3


def test_one_customer_and_one_account_come_of_many_requests_at_once(bank: Bank) -> None:
    ana = bank.sign_up("Ana Maria")
    answers = at_once([partial(ana.call, "POST", "/v1/accounts", {"kind": "individual"})] * 8)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    order = {"kind": "joint", "holders": [ana.document, bank.sign_up("Bia Maria").document]}
    answers = at_once([partial(ana.call, "POST", "/v1/accounts", order, key=new_key())] * 8)
    assert len({created(answer)["address"] for answer in answers}) == 1


def test_one_poisoned_payment_does_no_harm_to_its_neighbours(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 100), bank.someone("Bia Maria")
    texts = ["a\u0000b", "a b", "\ud800", "'; DROP TABLE account; --"] * 8
    answers = at_once([partial(ana.pay, transfer(mine, theirs, 1), description=text) for text in texts])
    assert [answer.status_code for answer in answers] == [400, 201] * 16
    assert (ana.balance(mine), bia.balance(theirs)) == (84, 16)


def test_a_batch_of_thousands_spends_each_centavo_once(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 3_000), bank.someone("Bia Maria")
    orders = [{"key": new_key(), "transfers": [transfer(mine, theirs, 1)]} for _ in range(5_000)]
    results = found(ana.call("POST", "/v1/payments/batches", {"payments": orders}))["results"]
    assert Counter(result["status"] for result in results) == {"settled": 3_000, "refused": 2_000}
    assert (ana.balance(mine), bia.balance(theirs)) == (0, 3_000)


# Crashes.


def test_the_workers_of_a_killed_bank_die_with_it(circle: Consortium) -> None:
    bank = circle.banks[3]
    workers = bank.children()
    assert len(workers) == 2
    bank.kill()

    def dead() -> None:
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)

    eventually(dead)


def test_a_worker_that_dies_is_replaced(circle: Consortium) -> None:
    bank = circle.banks[3]
    victim, _ = bank.children()
    victim.kill()

    def replaced() -> None:
        workers = bank.children()
        assert len(workers) == 2
        assert victim not in workers

    eventually(replaced)
    ana, mine = bank.someone("Ana Maria", 100)
    assert ana.balance(mine) == 100


def test_every_payment_has_one_outcome_and_it_is_the_one_that_was_told(circle: Consortium) -> None:
    dice = random.Random(4)
    town = Town(circle, 100_000)
    orders = town.orders(dice, 800)
    with trouble(killed, circle.banks, dice, times=2), trouble(worker_killed, circle.banks, dice, times=6):
        ask(orders)
    outcomes = reconcile(circle, town, orders)
    assert outcomes["settled"] > 200, outcomes
    assert outcomes["refused"] > 50, outcomes


def test_what_was_told_stands_when_the_database_breaks_off(circle: Consortium, server: PostgreSQL) -> None:
    def break_off() -> None:
        server.stop()
        server.start()

    dice = random.Random(5)
    town = Town(circle, 100_000)
    orders = town.orders(dice, 400)
    with happens_later(break_off, after_s=0.5):
        ask(orders)
    reconcile(circle, town, orders)


def test_a_bank_whose_database_is_away_says_so_and_does_nothing(
    circle: Consortium, server: PostgreSQL
) -> None:
    here = circle.banks[0]
    (ana, mine), (_, near) = here.someone("Ana Maria", 1_000), here.someone("Bia Maria")
    key = new_key()
    server.stop()
    try:
        for answer in (
            ana.pay(transfer(mine, near, 100), key=key),
            ana.call("GET", f"/v1/accounts/{mine}"),
            here.call("POST", "/v1/customers", ana.form()),
            here.operate("GET", "/v1/operator/audit"),
        ):
            problem(answer, 503, "unavailable")
        assert here.call("GET", "/health/live").status_code == 200
        assert here.call("GET", "/health/ready").status_code == 503
    finally:
        server.start()
    eventually(lambda: found(here.call("GET", "/health/ready")))
    eventually(lambda: settled(ana.pay(transfer(mine, near, 100), key=key)))
    ana.balance_becomes(mine, 900)
