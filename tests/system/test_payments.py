"""Payments that settle: inside a bank, between banks, out of many accounts at once; and what can be read of them."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.system import documents
from tests.system.answers import MOMENT, Json, found, problem, refused, settled
from tests.system.consortium import Bank, Consortium, Customer, Person, new_key, transfer
from tests.system.patience import eventually

AMOUNT_MAX = 10**15
BALANCE_MAX = 9 * 10**15


@pytest.fixture
def bank(circle: Consortium) -> Bank:
    return circle.banks[0]


# Transfers.


def test_a_payment_inside_a_bank_is_settled_when_it_is_answered(bank: Bank) -> None:
    (ana, source), (bia, target) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    leg = transfer(source, target, 300)
    payment = settled(ana.pay(leg, description="Almoço", reference="Mesa7"))
    assert MOMENT.fullmatch(payment["created_at"])
    assert MOMENT.fullmatch(payment["decided_at"])
    assert payment["id"].startswith("E" + bank.ispb)
    assert payment == {
        "id": payment["id"],
        "kind": payment["kind"],
        "status": "settled",
        "transfers": [leg],
        "amount": 300,
        "description": "Almoço",
        "reference": "Mesa7",
        "created_at": payment["created_at"],
        "decided_at": payment["decided_at"],
    }
    assert ana.payment(payment["id"]) == bia.payment(payment["id"]) == payment
    account = ana.account(source)
    assert (account["balance"], account["held"], account["available"]) == (700, 0, 700)
    assert bia.balance(target) == 300


def test_a_payment_between_two_banks_moves_their_position_by_as_much(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    (ana, source), (bia, target) = here.someone("Ana Maria", 1_000), there.someone("Bia Maria")

    def owed() -> tuple[int, int]:
        """What `here` owes `there`, as each of them sees it."""
        return here.positions()[there.ispb]["balance"], -there.positions()[here.ispb]["balance"]

    before = owed()
    assert before[0] == before[1]
    payment = settled(ana.pay(transfer(source, target, 300)))
    ana.balance_becomes(source, 700)
    bia.balance_becomes(target, 300)
    assert owed() == (before[0] + 300, before[1] + 300)

    seen = bia.payment(payment["id"])
    assert (seen["status"], seen["transfers"], seen["amount"]) == ("settled", payment["transfers"], 300)


@pytest.mark.parametrize("teller", [1, 3, 4], ids=["holds a source", "holds the target", "holds no account"])
def test_any_bank_pays_out_of_three_banks_into_a_fourth(circle: Consortium, teller: int) -> None:
    asked, sources = circle.banks[teller], circle.banks[:3]
    ana = Person([asked], sources, 1_000)
    rui, shop = circle.banks[3].someone("Rui Barbosa")
    legs = [ana.transfer(asked, bank, shop, 100 * i) for i, bank in enumerate(sources, start=1)]
    payment = settled(ana.at[asked].pay(*legs))
    assert payment["amount"] == 600
    ana.balances_become(900, 800, 700)
    rui.balance_becomes(shop, 600)


def test_a_participant_shows_a_payment_to_its_own_customers_and_only_what_concerns_it(
    circle: Consortium,
) -> None:
    a, b, c = circle.banks[:3]
    ana = Person([a], [a, b], 1_000)
    rui, shop = c.someone("Rui Barbosa")
    eva, bakery = b.someone("Eva Maria")
    payment = settled(ana.at[a].pay(ana.transfer(a, a, shop, 10), ana.transfer(a, b, bakery, 20)))

    def seen_at_b() -> None:
        part = ana.at[b].payment(payment["id"])
        assert (part["status"], part["amount"]) == ("settled", 20)
        assert [(leg["source"], leg["target"], leg["amount"]) for leg in part["transfers"]] == [
            (ana.account[b], bakery, 20)
        ]

    eventually(seen_at_b)
    assert len(found(a.operate("GET", f"/v1/payments/{payment['id']}"))["transfers"]) == 2
    assert len(rui.payment(payment["id"])["transfers"]) == 1
    assert len(eva.payment(payment["id"])["transfers"]) == 1
    for bank in (a, b, c):
        stranger = bank.sign_up("Zeca Maria")
        problem(stranger.call("GET", f"/v1/payments/{payment['id']}"), 404, "not_found")


def test_one_payment_takes_from_two_accounts_of_one_bank(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana, mine = here.someone("Ana Maria", 1_000)
    bia = here.sign_up("Bia Maria")
    ours = ana.open("joint", holders=[ana.document, bia.document])
    here.deposit(ours, 500)
    rui, shop = there.someone("Rui Barbosa")
    settled(ana.pay(transfer(mine, shop, 1_000), transfer(ours, shop, 500)))
    ana.balance_becomes(mine, 0)
    ana.balance_becomes(ours, 0)
    rui.balance_becomes(shop, 1_500)


def test_one_payment_pays_many_people_in_all_banks(circle: Consortium) -> None:
    ana, source = circle.banks[0].someone("Ana Maria", 10_000)
    payees = [bank.someone("Rui Barbosa") for bank in circle.banks]
    legs = [transfer(source, account, 100 + i) for i, (_, account) in enumerate(payees)]
    payment = settled(ana.pay(*legs))
    assert payment["amount"] == 510
    ana.balance_becomes(source, 9_490)
    for i, (payee, account) in enumerate(payees):
        payee.balance_becomes(account, 100 + i)


def test_a_payment_has_up_to_64_transfers_and_happens_whole_or_not_at_all(bank: Bank) -> None:
    (ana, source), (bia, target) = bank.someone("Ana Maria", 100), bank.someone("Bia Maria")
    settled(ana.pay(*[transfer(source, target, 1)] * 64))
    assert (ana.balance(source), bia.balance(target)) == (36, 64)
    refused(ana.pay(*[transfer(source, target, 1)] * 37), "insufficient_funds", bank.ispb)
    problem(ana.pay(*[transfer(source, target, 1)] * 65), 400, "bad_request")
    problem(ana.pay(), 400, "bad_request")
    assert (ana.balance(source), bia.balance(target)) == (36, 64)


def test_money_that_one_bank_refuses_to_pay_is_not_taken_in_another(circle: Consortium) -> None:
    a, b, c = circle.banks[:3]
    ana = Person([b], [a, b], 1_000)
    rui, shop = c.someone("Rui Barbosa")
    answer = ana.at[b].pay(ana.transfer(b, a, shop, 1_001), ana.transfer(b, b, shop, 500))
    refused(answer, "insufficient_funds", a.ispb)
    ana.balances_become(1_000, 1_000)
    rui.balance_becomes(shop, 0)


# Deposits and withdrawals.


def test_the_operator_takes_cash_in_and_gives_it_out(bank: Bank) -> None:
    ana, account = bank.someone()
    vault = bank.audit()["balances"]["vault"]
    for path, amount, balance in (("deposits", 500, 500), ("withdrawals", 200, 300)):
        order = {"account": account, "amount": amount, "description": "no caixa"}
        payment = settled(bank.operate("POST", f"/v1/{path}", order, key=new_key()))
        assert (payment["amount"], payment["description"]) == (amount, "no caixa")
        assert ana.balance(account) == balance
        assert ana.payment(payment["id"])["kind"] == payment["kind"] == path.removesuffix("s")
    audit = bank.audit()
    assert abs(audit["balances"]["vault"] - vault) == 300
    assert audit["sum"] == 0


def test_cash_is_not_given_out_of_an_account_that_has_less(bank: Bank) -> None:
    ana, account = bank.someone(balance=500)
    order = {"account": account, "amount": 501}
    refused(bank.operate("POST", "/v1/withdrawals", order, key=new_key()), "insufficient_funds", bank.ispb)
    assert ana.balance(account) == 500


@pytest.mark.parametrize("path", ["deposits", "withdrawals"])
def test_cash_is_handled_by_the_operator_and_for_accounts_of_this_bank_only(
    circle: Consortium, path: str
) -> None:
    here, there = circle.banks[:2]
    (ana, account), (bia, elsewhere) = here.someone("Ana Maria", 100), there.someone("Bia Maria", 100)
    problem(
        ana.call("POST", f"/v1/{path}", {"account": account, "amount": 1}, key=new_key()), 403, "forbidden"
    )
    nowhere = documents.address(here.ispb, "0001", "98765432")
    for address in (elsewhere, nowhere):
        answer = here.operate("POST", f"/v1/{path}", {"account": address, "amount": 1}, key=new_key())
        refused(answer, "unknown_account", here.ispb)
    assert (ana.balance(account), bia.balance(elsewhere)) == (100, 100)


def test_an_account_holds_up_to_the_maximum_and_not_a_centavo_more(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    rica, full = here.someone("Rica Maria")
    for _ in range(9):
        here.deposit(full, AMOUNT_MAX)
    order = {"account": full, "amount": 1}
    refused(here.operate("POST", "/v1/deposits", order, key=new_key()), "balance_exceeded", here.ispb)
    (ana, near), (bia, far) = here.someone("Ana Maria", 10), there.someone("Bia Maria", 10)
    refused(ana.pay(transfer(near, full, 1)), "balance_exceeded", here.ispb)
    refused(bia.pay(transfer(far, full, 1)), "balance_exceeded", here.ispb)
    assert rica.balance(full) == BALANCE_MAX
    ana.balance_becomes(near, 10)
    bia.balance_becomes(far, 10)
    order = {"account": full, "amount": AMOUNT_MAX}
    for _ in range(9):
        settled(here.operate("POST", "/v1/withdrawals", order, key=new_key()))


# Statements.


def test_a_statement_is_read_page_by_page_newest_first_and_from_a_number_on_oldest_first(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria")
    paid = [settled(ana.pay(transfer(mine, theirs, i), reference=f"No{i}"))["id"] for i in range(1, 8)]
    pages = list(_pages(ana, f"/v1/accounts/{mine}/entries", limit=3))
    assert [len(page["entries"]) for page in pages] == [3, 3, 2]
    entries = [entry for page in pages for entry in page["entries"]]
    newest = entries[0]
    assert MOMENT.fullmatch(newest["booked_at"])
    assert newest == {
        "number": newest["number"],
        "payment": paid[-1],
        "amount": -7,
        "balance": 972,
        "counterpart": theirs,
        "description": newest["description"],
        "reference": "No7",
        "booked_at": newest["booked_at"],
    }
    assert [entry["amount"] for entry in entries] == [-7, -6, -5, -4, -3, -2, -1, 1_000]
    assert [entry["balance"] for entry in entries] == [972, 979, 985, 990, 994, 997, 999, 1_000]
    numbers = [entry["number"] for entry in entries]
    assert numbers == sorted(set(numbers), reverse=True)

    assert ana.entries(mine, after=numbers[3]) == entries[2::-1]
    assert ana.entries(mine, after=numbers[3], limit=2) == entries[2:0:-1]
    assert ana.entries(mine, after=numbers[0]) == []
    assert [entry["amount"] for entry in bia.entries(theirs)] == [7, 6, 5, 4, 3, 2, 1]


def test_a_customer_lists_their_own_payments_newest_first(bank: Bank) -> None:
    (ana, mine), (_, theirs) = bank.someone("Ana Maria", 1_000), bank.someone("Bia Maria", 1_000)
    paid = [settled(ana.pay(transfer(mine, theirs, i)))["id"] for i in range(1, 6)]
    paid.append(refused(ana.pay(transfer(mine, theirs, 10_000)), "insufficient_funds")["payment"])
    pages = list(_pages(ana, "/v1/payments", limit=2))
    listed = [payment for page in pages for payment in page["payments"]]
    assert [payment["id"] for payment in listed] == paid[::-1]
    assert [payment["status"] for payment in listed] == ["refused"] + ["settled"] * 5
    assert listed[1] == ana.payment(paid[4])


def _pages(customer: Customer, path: str, limit: int) -> Iterator[Json]:
    query: Json = {"limit": limit}
    while True:
        page = found(customer.call("GET", path, **query))
        yield page
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


# Payees.


def test_before_paying_one_sees_the_payees_name_half_hidden_from_any_bank(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana = here.sign_up("Ana Maria")
    payee = there.sign_up("Joana Ningning")
    account = payee.open()
    shown = found(ana.call("GET", f"/v1/payees/{account}"))
    assert (shown["address"], shown["kind"]) == (account, "individual")
    assert shown["bank"] in (there.ispb, there.name)
    assert re.fullmatch(r"J[oan*]{3}\* N[ing*]{6}\*", shown["name"]), shown["name"]
    assert set(shown) == {"address", "bank", "name", "kind"}
    assert found(payee.call("GET", f"/v1/payees/{account}")) == shown


def test_a_payee_that_does_not_exist_is_not_found(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana = here.sign_up("Ana Maria")
    for ispb in (here.ispb, there.ispb, "99999999"):
        nobody = documents.address(ispb, "0001", "98765432")
        problem(ana.call("GET", f"/v1/payees/{nobody}"), 404, "not_found")
    mistyped = documents.with_wrong_check_digit(documents.address(there.ispb, "0001", "98765432"))
    problem(ana.call("GET", f"/v1/payees/{mistyped}"), 400, "bad_request")


# Batches of payments.


def test_a_batch_answers_each_of_its_payments_in_order_and_one_refusal_harms_no_other(
    circle: Consortium,
) -> None:
    here, there = circle.banks[:2]
    (ana, mine), (bia, near) = here.someone("Ana Maria", 1_000), here.someone("Bia Maria")
    rui, far = there.someone("Rui Barbosa")
    orders = [
        {"key": new_key(), "transfers": [transfer(mine, near, 100)], "description": "um"},
        {"key": new_key(), "transfers": [transfer(mine, far, 200)], "reference": "Dois"},
        {"key": new_key(), "transfers": [transfer(mine, near, 5_000)]},
        {"key": new_key(), "transfers": [transfer(mine, near, 0)]},
        {"key": new_key(), "transfers": [transfer(mine, near, 300), transfer(mine, far, 50)]},
    ]
    results = found(ana.call("POST", "/v1/payments/batches", {"payments": orders}))["results"]
    assert [result["key"] for result in results] == [order["key"] for order in orders]
    assert [(result["status"], result.get("refusal", {}).get("code")) for result in results] == [
        ("settled", None),
        ("settled", None),
        ("refused", "insufficient_funds"),
        ("refused", "zero_amount"),
        ("settled", None),
    ]
    for result in results:
        payment = ana.payment(result["id"])
        assert (payment["status"], payment.get("refusal")) == (result["status"], result.get("refusal"))
    ana.balance_becomes(mine, 350)
    bia.balance_becomes(near, 400)
    rui.balance_becomes(far, 250)


def test_a_batch_of_thousands_spends_each_centavo_once(bank: Bank) -> None:
    (ana, mine), (bia, theirs) = bank.someone("Ana Maria", 3_000), bank.someone("Bia Maria")
    orders = [{"key": new_key(), "transfers": [transfer(mine, theirs, 1)]} for _ in range(5_000)]
    results = found(ana.call("POST", "/v1/payments/batches", {"payments": orders}))["results"]
    statuses = [result["status"] for result in results]
    assert (statuses.count("settled"), statuses.count("refused")) == (3_000, 2_000)
    assert len({result["id"] for result in results}) == 5_000
    assert (ana.balance(mine), bia.balance(theirs)) == (0, 3_000)


def test_a_batch_has_one_to_5000_payments_and_up_to_10000_transfers(bank: Bank) -> None:
    (ana, mine), (_, theirs) = bank.someone("Ana Maria", 100_000), bank.someone("Bia Maria")
    leg = transfer(mine, theirs, 1)

    def batch(payments: int, transfers: int) -> httpx.Response:
        orders = [{"key": new_key(), "transfers": [leg] * transfers} for _ in range(payments)]
        return ana.call("POST", "/v1/payments/batches", {"payments": orders})

    for payments, transfers in ((0, 1), (5_001, 1), (201, 50), (1, 0), (1, 65)):
        problem(batch(payments, transfers), 400, "bad_request")
    assert ana.balance(mine) == 100_000
    found(batch(200, 50))
    assert ana.balance(mine) == 90_000
