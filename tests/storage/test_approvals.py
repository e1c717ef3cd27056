"""What waits for signatures, in the database: found again, listed, counted, and decided once whoever is faster."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from ciranda.agreement.participant import State
from ciranda.engine.approval import WAIT_MS, Approval, Subject
from ciranda.engine.input import (
    Begin,
    ChangeAccount,
    Decline,
    Expire,
    GiveMandate,
    Input,
    OpenAccount,
    Sign,
)
from ciranda.engine.mandate import Mandate
from ciranda.engine.record import Record
from ciranda.engine.reply import AccountMade, DenialCode, Denied, MandateMade, Paid
from ciranda.identity import Address, Document
from ciranda.instant import Instant
from ciranda.ledger.account import AccountKind
from tests.storage.book import ANA, BIA, FAR, NOW, B, Book, address, pay
from tests.storage.test_workers import Told, in_processes


def joint(book: Book, balance: int = 100) -> tuple[Address, Address]:
    """An account for which Ana and Bia sign together, with money in it; and another of theirs, for either."""
    (other,) = book.open_accounts(balance)
    (made,) = book.do(
        OpenAccount(
            claim=None,
            caller=ANA,
            address=address(900),
            kind=AccountKind.JOINT,
            holders=(ANA, BIA),
            signatures="all",
        )
    )
    assert isinstance(made, AccountMade)
    book.paid(pay("fill", (other, made.account.id, balance)))
    return Address(made.account.id), other


def approve(order: Begin, caller: Document = BIA) -> Sign:
    return Sign(
        subject=Subject.PAYMENT, id=order.id, caller=caller, begin=replace(order, claim=None, sealed=None)
    )


def decline(order: Begin, caller: Document = BIA) -> Decline:
    return Decline(subject=Subject.PAYMENT, id=order.id, caller=caller)


def mandate(id: str, account: Address) -> Mandate:
    return Mandate(
        id=id,
        account=account,
        giver=ANA,
        initiator=B,
        payer=ANA,
        scopes=("pay",),
        per_payment=None,
        total=None,
        used=0,
        created_at=NOW,
        expires_at=Instant(NOW + 10**10),
        revoked_at=None,
        approved_at=None,
    )


def record_of(book: Book, order: Begin) -> Record:
    record = book.wait(book.store.payment(order.id))
    assert record is not None
    return record


def approval_of(book: Book, id: str) -> Approval:
    return book.wait(book.store.approvals([id]))[id]


def awaited(book: Book, who: Document) -> list[str]:
    return [approval.id for approval in book.wait(book.store.awaiting(who, 10, None))]


def test_what_waits_is_found_again_by_whoever_must_sign_and_holds_nothing(book: Book) -> None:
    casa, other = joint(book)
    order = replace(pay("P1", (casa, other, 30)), sealed=b"\x00sealed\xff")
    (waiting,) = book.paid(order)
    assert waiting.state is State.AWAITING_APPROVAL
    assert (book.account(casa).balance, book.account(casa).held) == (100, 0)
    kept = approval_of(book, order.id)
    assert (kept.holders, kept.missing, kept.sealed) == ((ANA, BIA), (BIA,), b"\x00sealed\xff")
    assert (awaited(book, ANA), awaited(book, BIA)) == ([], [order.id])
    _, counts = book.wait(book.store.trial_balance())
    assert counts.in_doubt == 0
    assert book.wait(book.store.unfinished(10)) == []
    (settled,) = book.do(approve(order))
    assert isinstance(settled, Paid)
    assert settled == Paid(record=record_of(book, order), begun=True)
    assert book.balance(casa) == 70
    over = approval_of(book, order.id)
    assert (over.missing, over.sealed, over.ended_at) == ((), None, NOW)
    assert (awaited(book, ANA), awaited(book, BIA)) == ([], [])


def test_what_awaits_one_is_listed_newest_first_page_by_page(book: Book) -> None:
    casa, other = joint(book)
    orders = [pay(f"P{n}", (casa, other, 1)) for n in range(4)]
    for minute, order in enumerate((*orders[:3], orders[3])):
        # The last two at the same moment.
        book.clock.time = Instant(NOW + min(minute, 2) * 60_000)
        book.do(order)
    book.do(GiveMandate(claim=None, mandate=mandate("a0", casa)))
    newest_first = ["a0", orders[3].id, orders[2].id, orders[1].id, orders[0].id]
    found, before = [], None
    while page := book.wait(book.store.awaiting(BIA, 2, before)):
        found += [approval.id for approval in page]
        before = (page[-1].asked_at, page[-1].id)
    assert found == sorted(newest_first[:3], reverse=True) + newest_first[3:]


def test_what_nobody_signed_for_a_day_is_found_and_ended(book: Book) -> None:
    casa, other = joint(book)
    order = pay("P1", (casa, other, 1))
    book.do(order, GiveMandate(claim=None, mandate=mandate("a0", casa)))
    late = Instant(NOW + WAIT_MS)
    assert book.wait(book.store.expired(Instant(late - 1), 10)) == []
    assert {one.id for one in book.wait(book.store.expired(late, 10))} == {order.id, "a0"}
    book.clock.time = late
    book.do(Expire(subject=Subject.PAYMENT, id=order.id), Expire(subject=Subject.MANDATE, id="a0"))
    assert record_of(book, order).state is State.ABORTED
    assert book.wait(book.store.expired(late, 10)) == []
    assert awaited(book, BIA) == []
    assert book.do(Expire(subject=Subject.PAYMENT, id="E")) == [Denied(code=DenialCode.NOT_FOUND)]


def test_a_mandate_of_such_an_account_is_listed_for_all_who_sign_it(book: Book) -> None:
    casa, _ = joint(book)
    (asked,) = book.do(GiveMandate(claim=None, mandate=mandate("a0", casa)))
    assert asked == MandateMade(mandate=mandate("a0", casa))
    assert [one.id for one in book.wait(book.store.mandates_of(BIA))] == ["a0"]
    (given,) = book.do(Sign(subject=Subject.MANDATE, id="a0", caller=BIA, begin=None))
    assert given == MandateMade(mandate=replace(mandate("a0", casa), approved_at=NOW))
    assert book.wait(book.store.mandates(["a0", "none"])) == [given.mandate]


def test_a_person_who_closed_their_account_opens_another_but_never_two(book: Book) -> None:
    book.open_accounts()

    def open_one(number: int) -> OpenAccount:
        return OpenAccount(
            claim=None,
            caller=ANA,
            address=address(number),
            kind=AccountKind.INDIVIDUAL,
            holders=(ANA,),
            signatures=None,
        )

    first, second = book.do(open_one(1), open_one(2))
    assert isinstance(first, AccountMade)
    assert second == Denied(code=DenialCode.ACCOUNT_EXISTS)
    book.do(ChangeAccount(account=address(1), change="block"))
    assert book.do(open_one(2)) == [Denied(code=DenialCode.ACCOUNT_EXISTS)]
    book.do(ChangeAccount(account=address(1), change="close"))
    third, fourth = book.do(open_one(2), open_one(3))
    assert isinstance(third, AccountMade)
    assert fourth == Denied(code=DenialCode.ACCOUNT_EXISTS)
    assert book.do(open_one(4)) == [Denied(code=DenialCode.ACCOUNT_EXISTS)]


@pytest.mark.parametrize("far", [False, True])
def test_of_several_words_at_one_moment_one_decides(postgresql_url: str, far: bool) -> None:
    """Two workers of a bank, each with its own connections: one approves, the other refuses, time runs out too."""
    book, rival = Book(postgresql_url), Book(postgresql_url, seed=1)
    casa, other = joint(book)
    try:
        for turn in range(25):
            order = pay(f"P{turn}", (casa, FAR if far else other, 1))
            book.do(order)
            words: list[Input] = [approve(order), decline(order), approve(order, ANA), approve(order)]
            with ThreadPoolExecutor(len(words)) as pool:
                stores = [book, rival, rival, book]
                heard = list(pool.map(lambda at, word: at.do(word)[0], stores, words))
            begun = [one for one in heard if isinstance(one, Paid) and one.begun]
            record, approval = record_of(book, order), approval_of(book, order.id)
            if record.state is State.ABORTED:
                assert begun == []
                assert approval.refused_by == BIA
            else:
                assert record.state is (State.PREPARED if far else State.COMMITTED)
                assert len(begun) == 1, "it is begun once"
                assert approval.missing == ()
                assert heard[1] == Denied(code=DenialCode.ALREADY_DECIDED)
    finally:
        rival.close()
        book.close()


def sign_all(worker: int, url: str, orders: list[Begin]) -> Told:
    """Each worker speaks for Bia on every payment, some for her and some against."""
    book = Book(url, seed=worker)
    told = []
    for place, order in enumerate(orders):
        word = decline(order) if (place + worker) % 5 == 0 else approve(order)
        (reply,) = book.do(word)
        begun = isinstance(reply, Paid) and reply.begun
        told.append((str(order.id), "begun" if begun else "", ""))
    book.close()
    return told


def test_many_workers_begin_what_all_signed_once_and_book_it_once(postgresql_url: str) -> None:
    book = Book(postgresql_url)
    casa, other = joint(book)
    orders = [pay(f"P{n}", (casa, other, 1)) for n in range(40)]
    book.do(*orders)
    answers = in_processes(sign_all, postgresql_url, orders)
    begun = [id for told in answers for id, what, _ in told if what]
    assert len(begun) == len(set(begun))
    settled = [order for order in orders if record_of(book, order).state is State.COMMITTED]
    assert {order.id for order in settled} == set(begun)
    assert book.balance(casa) == 100 - len(settled)
    assert all(record_of(book, order).state is not State.AWAITING_APPROVAL for order in orders)
    assert book.is_whole()
    book.close()
