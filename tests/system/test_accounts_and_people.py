"""Who may be a customer, what they may open, and who sees and who rules an account."""

import itertools
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.system import documents
from tests.system.answers import ADDRESS, MOMENT, Json, created, found, problem, refused, settled
from tests.system.consortium import PASSWORD, Bank, Consortium, Customer, new_key, transfer
from tests.system.patience import eventually

LATER = "2099-12-31T00:00:00.000Z"


@pytest.fixture
def bank(circle: Consortium) -> Bank:
    return circle.banks[0]


def sign_up(bank: Bank, document: str, **changed: Any) -> httpx.Response:
    return bank.call(
        "POST", "/v1/customers", {"document": document, "name": "Ana Maria", "password": PASSWORD, **changed}
    )


def log_in(bank: Bank, document: str, password: str = PASSWORD) -> httpx.Response:
    return bank.call("POST", "/v1/sessions", {"document": document, "password": password})


# Customers.


def test_a_person_signs_up_with_a_cpf(bank: Bank) -> None:
    document = documents.cpf()
    answer = created(sign_up(bank, document, email="ana@example.com", phone="+55 61 99999-0000"))
    assert answer == {"document": document, "name": "Ana Maria", "kind": "person"}


@pytest.mark.parametrize("letters", [False, True])
def test_a_company_signs_up_with_a_cnpj_which_may_have_letters(bank: Bank, letters: bool) -> None:
    document = documents.cnpj(letters)
    assert created(sign_up(bank, document, name="Padaria Roda")) == {
        "document": document,
        "name": "Padaria Roda",
        "kind": "company",
    }


@pytest.mark.parametrize(
    ("written", "kept", "kind"),
    [("529.982.247-25", "52998224725", "person"), ("12.ABC.345/01DE-35", "12ABC34501DE35", "company")],
)
def test_the_punctuation_of_a_document_is_accepted_and_not_kept(
    bank: Bank, written: str, kept: str, kind: str
) -> None:
    customer = created(sign_up(bank, written))
    assert (customer["document"], customer["kind"]) == (kept, kind)
    problem(sign_up(bank, kept), 409, "document_taken")
    for spelling in (written, kept):
        created(log_in(bank, spelling))


@pytest.mark.parametrize(
    "document",
    [
        "529.982.247-24",
        "52998224735",
        "11111111111",
        "000.000.000-00",
        "00000000000000",
        "11.111.111/1111-11",
        "12ABC34501DE36",
        "5299822472",
        "529982247255",
        "5299822472A",
        "5２998224725",
    ],
)
def test_a_document_that_nobody_can_have_is_invalid(bank: Bank, document: str) -> None:
    problem(sign_up(bank, document), 422, "invalid_document")


def test_a_document_belongs_to_one_customer_of_a_bank_but_its_owner_may_join_other_banks(
    circle: Consortium,
) -> None:
    here, there = circle.banks[:2]
    document = documents.cpf()
    created(sign_up(here, document))
    problem(
        sign_up(here, document, name="Somebody Else", password="another long password"), 409, "document_taken"
    )
    created(sign_up(there, document))


@pytest.mark.parametrize("password", ["", "123", "senha"])
def test_a_password_that_is_easily_guessed_is_refused_and_the_document_stays_free(
    bank: Bank, password: str
) -> None:
    document = documents.cpf()
    problem(sign_up(bank, document, password=password), 422, "weak_password")
    created(sign_up(bank, document))


# Sessions.


def test_a_session_ends_in_the_future_or_when_its_owner_ends_it(bank: Bank) -> None:
    customer = bank.sign_up("Ana Maria")
    session = created(log_in(bank, customer.document))
    assert MOMENT.fullmatch(session["expires_at"])
    assert datetime.fromisoformat(session["expires_at"]) > datetime.now(UTC)

    def ask(token: str) -> httpx.Response:
        return bank.call("GET", "/v1/accounts", token=token)

    assert found(ask(session["token"])) == {"accounts": []}
    ended = bank.call("DELETE", "/v1/sessions/current", token=session["token"])
    assert (ended.status_code, ended.content) == (204, b"")
    problem(ask(session["token"]), 401, "unauthenticated")
    found(ask(customer.token))


def test_a_wrong_password_and_an_unknown_document_get_the_same_answer(bank: Bank) -> None:
    customer = bank.sign_up("Ana Maria")
    wrong = problem(log_in(bank, customer.document, "wrong, wrong, wrong"), 401, "wrong_credentials")
    unknown = problem(log_in(bank, documents.cpf()), 401, "wrong_credentials")
    assert wrong["detail"] == unknown["detail"]


def test_after_five_wrong_passwords_in_a_row_not_even_the_right_one_is_looked_at_for_a_while(
    bank: Bank,
) -> None:
    customer, other = bank.sign_up("Ana Maria"), bank.sign_up("Bia Maria")
    for _ in range(5):
        problem(log_in(bank, customer.document, "wrong, wrong, wrong"), 401, "wrong_credentials")
    problem(log_in(bank, customer.document, "wrong, wrong, wrong"), 429, "too_many_attempts")
    answer = log_in(bank, customer.document)
    problem(answer, 429, "too_many_attempts")
    first_wait_s = int(answer.headers["Retry-After"])

    found(customer.call("GET", "/v1/accounts"))
    created(log_in(bank, other.document))

    def the_wait_runs_out() -> None:
        answer = log_in(bank, customer.document)
        assert answer.status_code == 201 or int(answer.headers["Retry-After"]) < first_wait_s, answer.headers

    eventually(the_wait_runs_out, within_s=5)


def test_the_right_password_forgives_the_wrong_ones_before_it(bank: Bank) -> None:
    customer = bank.sign_up("Ana Maria")
    for _ in range(2):
        for _ in range(4):
            problem(log_in(bank, customer.document, "wrong, wrong, wrong"), 401, "wrong_credentials")
        created(log_in(bank, customer.document))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/sessions/current"),
        ("POST", "/v1/accounts"),
        ("GET", "/v1/accounts"),
        ("GET", "/v1/accounts/10000001.0001.1234563"),
        ("GET", "/v1/accounts/10000001.0001.1234563/entries"),
        ("GET", "/v1/payees/10000001.0001.1234563"),
        ("POST", "/v1/deposits"),
        ("POST", "/v1/withdrawals"),
        ("POST", "/v1/payments"),
        ("GET", "/v1/payments"),
        ("POST", "/v1/payments/batches"),
        ("GET", "/v1/payments/E1000000120260101120000000000000"),
        ("POST", "/v1/mandates"),
        ("GET", "/v1/mandates"),
        ("POST", "/v1/links"),
        ("GET", "/v1/links"),
        ("GET", "/v1/operator/audit"),
        ("GET", "/v1/operator/payments"),
        ("GET", "/v1/operator/positions"),
        ("POST", "/v1/operator/accounts/10000001.0001.1234563/block"),
    ],
)
def test_whoever_has_no_session_is_told_so_and_nothing_else(bank: Bank, method: str, path: str) -> None:
    body: Json | None = {} if method == "POST" else None
    for headers in (
        {},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YW5hOnNlbmhh"},
        {"Authorization": "Bearer " + "x" * 10_000},
    ):
        answer = bank.call(method, path, body, headers=headers, key=new_key())
        problem(answer, 401, "unauthenticated")


def test_a_session_of_one_bank_opens_nothing_at_another(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    customer = here.sign_up("Ana Maria")
    problem(there.call("GET", "/v1/accounts", token=customer.token), 401, "unauthenticated")


# Accounts.


def test_a_new_account_is_open_and_empty_and_its_address_carries_a_check_digit(bank: Bank) -> None:
    customer = bank.sign_up("Ana Maria")
    account = created(customer.call("POST", "/v1/accounts", {"kind": "individual"}))
    ispb, branch, number = account["address"].split(".")
    assert ADDRESS.fullmatch(account["address"])
    assert account["address"] == documents.address(ispb, branch, number[:-1])
    assert MOMENT.fullmatch(account["opened_at"])
    assert account == {
        "address": account["address"],
        "kind": "individual",
        "holders": [{"document": customer.document, "name": "Ana Maria"}],
        "signatures": account["signatures"],
        "status": "open",
        "balance": 0,
        "held": 0,
        "available": 0,
        "opened_at": account["opened_at"],
    }
    assert ispb == bank.ispb
    assert customer.account(account["address"]) == account
    assert found(customer.call("GET", "/v1/accounts")) == {"accounts": [account]}


def test_a_person_has_one_individual_account_in_each_bank(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana = here.sign_up("Ana Maria")
    first = ana.open()
    problem(ana.call("POST", "/v1/accounts", {"kind": "individual"}), 409, "account_exists")
    assert [account["address"] for account in found(ana.call("GET", "/v1/accounts"))["accounts"]] == [first]
    assert ana.at(there).open().startswith(there.ispb)


def test_individual_accounts_are_for_people_and_business_accounts_for_companies(bank: Bank) -> None:
    person, company = bank.sign_up("Ana Maria"), bank.sign_up("Padaria Roda", documents.cnpj())
    problem(person.call("POST", "/v1/accounts", {"kind": "business"}), 422, "wrong_account_kind")
    problem(company.call("POST", "/v1/accounts", {"kind": "individual"}), 422, "wrong_account_kind")
    assert company.account(company.open("business"))["kind"] == "business"


def test_people_hold_any_number_of_joint_accounts_together(bank: Bank) -> None:
    ana, bia, rui = (bank.sign_up(name) for name in ("Ana Maria", "Bia Maria", "Rui Barbosa"))
    pair, trio = [ana.document, bia.document], [ana.document, bia.document, rui.document]
    accounts = [
        ana.open("joint", holders=pair),
        bia.open("joint", holders=pair),
        ana.open("joint", holders=trio),
    ]
    assert len(set(accounts)) == 3
    account = rui.account(accounts[2])
    assert (account["kind"], account["signatures"]) == ("joint", "any")
    assert sorted(holder["document"] for holder in account["holders"]) == sorted(trio)

    def seen_by(customer: Customer) -> list[str]:
        return sorted(
            account["address"] for account in found(customer.call("GET", "/v1/accounts"))["accounts"]
        )

    assert seen_by(ana) == seen_by(bia) == sorted(accounts)
    assert seen_by(rui) == [accounts[2]]


def test_a_joint_account_needs_two_customers_of_the_bank_one_of_whom_asks(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    ana, bia, rui = (here.sign_up(name) for name in ("Ana Maria", "Bia Maria", "Rui Barbosa"))
    stranger = there.sign_up("Eva Maria")
    for holders in (
        [],
        [ana.document],
        [ana.document, ana.document],
        [bia.document, rui.document],
        [ana.document, stranger.document],
        [ana.document, documents.cpf()],
    ):
        answer = ana.call("POST", "/v1/accounts", {"kind": "joint", "holders": holders})
        problem(answer, 422, "invalid_holders")
    mistyped = [ana.document, documents.with_wrong_check_digit(bia.document)]
    problem(ana.call("POST", "/v1/accounts", {"kind": "joint", "holders": mistyped}), 422, "invalid_document")
    problem(ana.call("POST", "/v1/accounts", {"kind": "joint"}), 422, "invalid_holders")
    assert found(ana.call("GET", "/v1/accounts")) == {"accounts": []}


def test_of_a_joint_account_with_any_signature_each_holder_pays_alone(bank: Bank) -> None:
    ana, bia = bank.sign_up("Ana Maria"), bank.sign_up("Bia Maria")
    _, shop = bank.someone("Rui Barbosa")
    joint = ana.open("joint", holders=[ana.document, bia.document], signatures="any")
    bank.deposit(joint, 1_000)
    settled(ana.pay(transfer(joint, shop, 100)))
    settled(bia.pay(transfer(joint, shop, 200)))
    assert ana.balance(joint) == bia.balance(joint) == 700
    assert ana.entries(joint) == bia.entries(joint)


def test_of_a_joint_account_with_all_signatures_one_holder_alone_pays_nothing(bank: Bank) -> None:
    ana, bia = bank.sign_up("Ana Maria"), bank.sign_up("Bia Maria")
    rui, shop = bank.someone("Rui Barbosa")
    joint = ana.open("joint", holders=[ana.document, bia.document], signatures="all")
    bank.deposit(joint, 1_000)
    key = new_key()
    answer = ana.pay(transfer(joint, shop, 100), key=key)
    assert answer.status_code == 202, answer.text
    payment = answer.json()
    assert payment["status"] == "awaiting_approval"
    assert ana.payment(payment["id"])["status"] == "awaiting_approval"
    assert ana.pay(transfer(joint, shop, 100), key=key).json()["id"] == payment["id"]
    assert ana.account(joint)["signatures"] == "all"
    assert (ana.balance(joint), rui.balance(shop)) == (1_000, 0)
    # Nor in a batch.
    batch = {"payments": [{"key": new_key(), "transfers": [transfer(joint, shop, 100)]}]}
    results = found(bia.call("POST", "/v1/payments/batches", batch))["results"]
    assert results[0]["status"] == "awaiting_approval"
    assert (ana.balance(joint), rui.balance(shop)) == (1_000, 0)


def test_one_holder_alone_gives_no_mandate_on_an_account_that_needs_all_signatures(
    circle: Consortium,
) -> None:
    here, there = circle.banks[:2]
    ana, bia = here.sign_up("Ana Maria"), here.sign_up("Bia Maria")
    joint = ana.open("joint", holders=[ana.document, bia.document], signatures="all")
    for initiator, payer in itertools.product((here, there), (ana.document, documents.cpf())):
        order = {"account": joint, "initiator": initiator.ispb, "payer": payer, "expires_at": LATER}
        answer = ana.call("POST", "/v1/mandates", order)
        assert (answer.status_code, answer.json()["status"]) == (202, "awaiting_approval"), answer.text
        for holder in (ana, bia):
            listed = found(holder.call("GET", "/v1/mandates"))["mandates"]
            assert {mandate["status"] for mandate in listed} == {"awaiting_approval"}


def test_an_account_is_nobody_elses_to_see(circle: Consortium) -> None:
    bank = circle.banks[0]
    _, account = bank.someone("Ana Maria", 100)
    eva = bank.sign_up("Eva Maria")
    nowhere = documents.address(bank.ispb, "0001", "98765432")
    elsewhere = circle.banks[1].someone()[1]
    answers = [
        problem(eva.call("GET", f"/v1/accounts/{address}{page}"), 404, "not_found")["title"]
        for address, page in itertools.product((account, nowhere, elsewhere), ("", "/entries"))
    ]
    assert len(set(answers)) == 1


def test_a_mistyped_address_is_told_from_an_unknown_one(bank: Bank) -> None:
    ana, account = bank.someone()
    for address in (
        documents.with_wrong_check_digit(account),
        "1234",
        account + "x",
        account.replace(".", "-"),
    ):
        problem(ana.call("GET", f"/v1/accounts/{address}"), 400, "bad_request")


# What the operator does to accounts.


def test_the_operator_blocks_an_account_and_opens_it_again(bank: Bank) -> None:
    (ana, account), (_, other) = bank.someone("Ana Maria", 100), bank.someone("Bia Maria", 100)
    blocked = found(bank.operate("POST", f"/v1/operator/accounts/{account}/block"))
    assert (blocked["address"], blocked["status"]) == (account, "blocked")
    assert ana.account(account)["status"] == "blocked"
    refused(ana.pay(transfer(account, other, 10)), "blocked_account", bank.ispb)

    opened = found(bank.operate("POST", f"/v1/operator/accounts/{account}/unblock"))
    assert opened["status"] == "open"
    settled(ana.pay(transfer(account, other, 10)))


def test_only_an_empty_account_is_closed_and_a_closed_one_stays_to_be_read(bank: Bank) -> None:
    (ana, account), (_, other) = bank.someone("Ana Maria", 100), bank.someone("Bia Maria")
    problem(bank.operate("POST", f"/v1/operator/accounts/{account}/close"), 422, "balance_not_zero")
    assert ana.account(account)["status"] == "open"

    settled(ana.pay(transfer(account, other, 100)))
    closed = found(bank.operate("POST", f"/v1/operator/accounts/{account}/close"))
    assert closed["status"] == "closed"
    assert ana.account(account)["status"] == "closed"
    assert [entry["amount"] for entry in ana.entries(account)] == [-100, 100]


def test_a_closed_account_is_not_opened_again(bank: Bank) -> None:
    ana, account = bank.someone()
    found(bank.operate("POST", f"/v1/operator/accounts/{account}/close"))
    for verb in ("unblock", "block", "close"):
        bank.operate("POST", f"/v1/operator/accounts/{account}/{verb}")
        assert ana.account(account)["status"] == "closed"
    cash = {"account": account, "amount": 1}
    refused(bank.operate("POST", "/v1/deposits", cash, key=new_key()), "closed_account", bank.ispb)


def test_no_cash_goes_in_or_out_of_a_blocked_account(bank: Bank) -> None:
    ana, account = bank.someone("Ana Maria", 100)
    found(bank.operate("POST", f"/v1/operator/accounts/{account}/block"))
    for path in ("/v1/deposits", "/v1/withdrawals"):
        cash = {"account": account, "amount": 1}
        refused(bank.operate("POST", path, cash, key=new_key()), "blocked_account", bank.ispb)
    assert ana.balance(account) == 100


def test_only_the_operator_blocks_and_closes(bank: Bank) -> None:
    ana, account = bank.someone()
    for verb in ("block", "unblock", "close"):
        problem(ana.call("POST", f"/v1/operator/accounts/{account}/{verb}"), 403, "forbidden")
    assert ana.account(account)["status"] == "open"
    nowhere = documents.address(bank.ispb, "0001", "98765432")
    problem(bank.operate("POST", f"/v1/operator/accounts/{nowhere}/block"), 404, "not_found")
