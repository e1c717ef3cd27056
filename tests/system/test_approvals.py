"""Accounts for which all holders sign, in banks that are real: killed, standing still, asked by many at once; and
accounts that are blocked while money is on its way."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.system.answers import Json, found, problem, refused, settled
from tests.system.consortium import Bank, Consortium, Customer, Person, consortium, new_key, transfer
from tests.system.crowd import at_once, while_under_way
from tests.system.patience import eventually
from tests.system.postgresql import postgresql
from tests.system.reconciliation import check_positions, check_rest


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    with consortium(tmp_path_factory.mktemp("approvals") / "banks", banks=3) as banks:
        yield banks


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Two banks, each of two workers with one database."""
    folder = tmp_path_factory.mktemp("workers")
    with (
        postgresql() as server,
        consortium(folder / "banks", 2, database=server.template, workers=2) as banks,
    ):
        yield banks


def together(bank: Bank, *holders: Customer, balance: int = 1_000) -> str:
    account = holders[0].open("joint", holders=[one.document for one in holders], signatures="all")
    bank.deposit(account, balance)
    return account


def say(who: Customer, id: str, decision: str = "approve", of: str = "payments") -> httpx.Response:
    return who.call("POST", f"/v1/{of}/{id}/approvals", {"decision": decision})


def asked(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.json()["status"]) == (202, "awaiting_approval"), answer.text
    return str(answer.json()["id"])


def awaiting(who: Customer) -> list[str]:
    return [one["id"] for one in found(who.call("GET", "/v1/approvals"))["approvals"]]


def test_what_waits_survives_a_crash_and_takes_from_other_banks_when_all_have_signed(
    circle: Consortium,
) -> None:
    here, there, payee = circle.banks
    ana, bia = here.sign_up("Ana Maria"), here.sign_up("Bia Maria")
    ana_there = ana.at(there)
    far = ana_there.open()
    there.deposit(far, 500)
    rui, shop = payee.someone("Rui Barbosa")
    casa = together(here, ana, bia)
    token = ana_there.allow(far, here)["token"]
    key = new_key()
    legs = [transfer(casa, shop, 100), transfer(far, shop, 50, mandate=token)]
    id = asked(ana.pay(*legs, key=key))
    mandate = asked(
        ana.call(
            "POST",
            "/v1/mandates",
            {"account": casa, "initiator": there.ispb, "expires_at": "2099-12-31T00:00:00Z"},
        )
    )
    here.kill()
    here.restart()
    circle.wait_connected()
    assert set(awaiting(bia)) == {id, mandate}
    assert asked(ana.pay(*legs, key=key)) == id
    assert here.payments()[id]["status"] == "awaiting_approval"
    assert here.audit()["payments"]["in_doubt"] == 0
    settled(say(bia, id))
    assert say(bia, mandate, of="mandates").status_code == 201
    here.kill()
    here.restart()
    circle.wait_connected()
    assert awaiting(bia) == []
    assert settled(ana.pay(*legs, key=key))["id"] == id
    rui.balance_becomes(shop, 150)
    ana.balance_becomes(casa, 900)
    check_rest(circle.banks)
    check_positions(circle.banks)


def test_a_bank_that_dies_in_the_middle_of_what_all_signed_finishes_or_undoes_it(circle: Consortium) -> None:
    here, _, payee = circle.banks
    ana, bia = here.sign_up("Ana Maria"), here.sign_up("Bia Maria")
    rui, shop = payee.someone("Rui Barbosa")
    casa = together(here, ana, bia)
    id = asked(ana.pay(transfer(casa, shop, 100)))

    def approve_in_vain() -> None:
        with pytest.raises(httpx.TransportError):
            say(bia, id)

    def die_when_begun() -> None:
        ana.hold_becomes(casa, 100)
        here.kill()
        payee.resume()

    with payee.paused():
        while_under_way(approve_in_vain, die_when_begun)
    here.restart()
    circle.wait_connected()
    eventually(lambda: _is_over(ana, id))
    answer = say(bia, id)
    moved = 100 if answer.status_code == 201 else 0
    ana.balance_becomes(casa, 1_000 - moved)
    rui.balance_becomes(shop, moved)
    check_rest(circle.banks)
    check_positions(circle.banks)


def _is_over(who: Customer, id: str) -> None:
    assert who.payment(id)["status"] in ("settled", "refused")


@pytest.mark.parametrize("where", ["circle", "on_postgresql"])
@pytest.mark.parametrize("far", [False, True], ids=["inside", "between banks"])
def test_many_words_at_one_moment_have_one_outcome(
    where: str, far: bool, request: pytest.FixtureRequest
) -> None:
    """All holders approve at once, some of them twice; in every other turn one of them refuses at the same moment."""
    banks = request.getfixturevalue(where).banks
    here: Bank = banks[0]
    dice = random.Random(f"{where} {far}")
    holders = [here.sign_up(name) for name in ("Ana Maria", "Bia Maria", "Cid Moreira")]
    rui, shop = (banks[1] if far else here).someone("Rui Barbosa")
    casa = together(here, *holders)
    seen: Counter[str] = Counter()
    for turn in range(16):
        ana, bia, cid = dice.sample(holders, 3)
        id = asked(ana.pay(transfer(casa, shop, 10)))
        words = [partial(say, one, id) for one in (bia, bia, cid, cid, ana)]
        if turn % 2:
            words.append(partial(say, dice.choice(holders), id, "refuse"))
        dice.shuffle(words)
        answers = at_once(words)
        outcome = ana.payment(id)
        seen[outcome["status"]] += 1
        for answer in answers:
            if answer.status_code == 201:
                assert outcome["status"] == "settled"
            elif answer.status_code == 200:
                assert outcome["status"] == "refused"
            elif answer.status_code == 409:
                assert (answer.json()["code"], outcome["status"]) == ("already_decided", "settled")
            elif answer.status_code == 422:
                assert (answer.json()["code"], outcome["status"]) == ("not_permitted", "refused")
            else:
                assert answer.status_code == 202, answer.text
        approvals = outcome["approvals"]
        assert (approvals["missing"] == []) == (outcome["status"] == "settled")
    assert seen["settled"] >= 8, "nobody refused in every other turn"
    assert seen["settled"] + seen["refused"] == 16
    ana.balance_becomes(casa, 1_000 - 10 * seen["settled"])
    rui.balance_becomes(shop, 10 * seen["settled"])
    check_rest(banks)


def test_many_payments_approved_at_once_never_take_more_than_there_is(circle: Consortium) -> None:
    here, there, _ = circle.banks
    ana, bia = here.sign_up("Ana Maria"), here.sign_up("Bia Maria")
    rui, shop = there.someone("Rui Barbosa")
    casa = together(here, ana, bia, balance=100)
    ids = [asked(ana.pay(transfer(casa, shop, 30))) for _ in range(8)]
    answers = at_once([partial(say, bia, id) for id in ids])
    assert Counter(answer.status_code for answer in answers) == {201: 3, 422: 5}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {
        "insufficient_funds"
    }
    rui.balance_becomes(shop, 90)
    ana.balance_becomes(casa, 10)


# Blocked and closed while money is on its way.


def _operator(bank: Bank, account: str, change: str) -> httpx.Response:
    return bank.operate("POST", f"/v1/operator/accounts/{account}/{change}")


@pytest.mark.parametrize("which", ["coordinator", "holder"])
def test_what_was_promised_before_a_block_is_still_paid_in_every_bank(circle: Consortium, which: str) -> None:
    teller, holder, payee = circle.banks
    ana = Person([teller], [teller, holder], 1_000)
    rui, shop = payee.someone("Rui Barbosa")
    blocked = teller if which == "coordinator" else holder
    mine = ana.account[blocked]

    def block_when_promised() -> None:
        for bank in (teller, holder):
            ana.at[bank].hold_becomes(ana.account[bank], 100)
        problem(_operator(blocked, mine, "close"), 422, "balance_not_zero")
        assert found(_operator(blocked, mine, "block"))["status"] == "blocked"
        refused(ana.at[blocked].pay(transfer(mine, shop, 1)), "blocked_account", blocked.ispb)
        payee.resume()

    legs = [ana.transfer(teller, bank, shop, 100) for bank in (teller, holder)]
    with payee.paused():
        settled(while_under_way(partial(ana.at[teller].pay, *legs), block_when_promised))
    ana.balances_become(900, 900)
    rui.balance_becomes(shop, 200)
    # Nothing more is promised to it or by it, here or there.
    refused(ana.at[teller].pay(*legs), "blocked_account", blocked.ispb)
    sender, money = holder.someone("Eva Maria", 10)
    refused(sender.pay(transfer(money, mine, 1)), "blocked_account", blocked.ispb)
    found(_operator(blocked, mine, "unblock"))
    settled(sender.pay(transfer(money, mine, 1)))


def test_a_payee_that_is_blocked_or_closed_refuses_in_its_banks_name(circle: Consortium) -> None:
    here, there, _ = circle.banks
    ana, mine = here.someone("Ana Maria", 1_000)
    rui, shop = there.someone("Rui Barbosa")
    found(_operator(there, shop, "block"))
    refused(ana.pay(transfer(mine, shop, 10)), "blocked_account", there.ispb)
    found(_operator(there, shop, "close"))
    refused(ana.pay(transfer(mine, shop, 10)), "closed_account", there.ispb)
    problem(ana.call("GET", f"/v1/payees/{shop}"), 404, "not_found")
    ana.balance_becomes(mine, 1_000)
    assert rui.account(shop)["status"] == "closed"


def test_to_close_and_to_pay_at_one_moment_is_one_of_the_two(circle: Consortium) -> None:
    here, there, _ = circle.banks
    ana, mine = here.someone("Ana Maria", 1_000)
    for payee in (here, there):
        for _ in range(6):
            rui, shop = payee.someone("Rui Barbosa")
            paid, closed = at_once(
                [partial(ana.pay, transfer(mine, shop, 1)), partial(_operator, payee, shop, "close")]
            )
            if paid.status_code == 201:
                problem(closed, 422, "balance_not_zero")
                rui.balance_becomes(shop, 1)
            else:
                refused(paid, "closed_account", payee.ispb)
                assert found(closed)["status"] == "closed"
                assert rui.account(shop)["balance"] == 0
    check_rest(circle.banks)


def test_who_closed_their_account_opens_another_and_reads_the_old_one(circle: Consortium) -> None:
    bank = circle.banks[0]
    ana, account = bank.someone("Ana Maria")
    problem(ana.call("POST", "/v1/accounts", {"kind": "individual"}), 409, "account_exists")
    found(_operator(bank, account, "block"))
    problem(ana.call("POST", "/v1/accounts", {"kind": "individual"}), 409, "account_exists")
    found(_operator(bank, account, "close"))
    answers = at_once([partial(ana.call, "POST", "/v1/accounts", {"kind": "individual"})] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    shown: list[Json] = found(ana.call("GET", "/v1/accounts"))["accounts"]
    assert [(one["address"] == account, one["status"]) for one in shown] == [
        (True, "closed"),
        (False, "open"),
    ]


def test_nothing_in_the_files_of_a_bank_shows_a_token_that_waits(tmp_path: Path) -> None:
    with consortium(tmp_path / "banks", banks=2) as circle:
        here, there = circle.banks
        ana, bia = here.sign_up("Ana Maria"), here.sign_up("Bia Maria")
        casa = together(here, ana, bia)
        far = (at := ana.at(there)).open()
        token = at.allow(far, here)["token"]
        asked(ana.pay(transfer(casa, far, 1), transfer(far, casa, 1, mandate=token)))
        for file in [*here.database_files(), *(circle.folder / here.slug).rglob("*")]:
            assert not file.is_file() or token.partition(".")[2].encode() not in file.read_bytes()
