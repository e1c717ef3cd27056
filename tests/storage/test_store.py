"""What every store must do, on SQLite and on PostgreSQL alike."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ciranda.agreement.header import digest
from ciranda.agreement.height import Height
from ciranda.agreement.message import Ask, Decided, Decision, Done, Violated, Vote
from ciranda.agreement.participant import State
from ciranda.engine.input import (
    ChangeAccount,
    Decide,
    GiveMandate,
    Heard,
    Learn,
    MakeLink,
    Postpone,
    RemoveLink,
    RevokeMandate,
    TakeBallot,
    Told,
)
from ciranda.engine.key import Claim
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.reply import (
    AccountMade,
    Answered,
    BallotTaken,
    DenialCode,
    Denied,
    Failed,
    Known,
    LinkMade,
    MandateMade,
    Paid,
    Removed,
)
from ciranda.identity import VAULT, AccountId, EndToEndId, Ispb, clearing
from ciranda.instant import Instant
from ciranda.payment import Kind
from ciranda.refusal import Code
from ciranda.storage import WrongBank
from tests.storage.book import (
    ANA,
    BIA,
    FAR,
    NOW,
    A,
    B,
    Book,
    address,
    customer,
    deposit,
    open_account,
    pay,
    payment_id,
    prepare,
    tell,
)

# A batch.


def test_a_payment_inside_the_bank_is_booked_at_once(book: Book) -> None:
    """PROTOCOL 1.5."""
    ana, bia = book.open_accounts(100, 0)
    (record,) = book.paid(pay("P1", (ana, bia, 30), description="bread"))
    assert record.state is State.COMMITTED
    assert (book.balance(ana), book.balance(bia), book.balance(VAULT)) == (70, 30, -100)
    assert book.wait(book.store.payment(record.id)) == record
    assert book.is_whole()


def test_later_orders_of_a_batch_see_what_earlier_ones_did(book: Book) -> None:
    ana, bia = book.open_accounts(100, 0)
    first, second, third = book.paid(
        pay("P1", (ana, bia, 100)), pay("P2", (ana, bia, 1)), pay("P3", (bia, ana, 100))
    )
    assert [first.state, second.state, third.state] == [State.COMMITTED, State.ABORTED, State.COMMITTED]
    assert second.refusal is not None
    assert second.refusal.code is Code.INSUFFICIENT_FUNDS
    assert (book.balance(ana), book.balance(bia)) == (100, 0)


def test_a_payment_of_several_transfers_happens_wholly_or_not_at_all(book: Book) -> None:
    ana, bia = book.open_accounts(100, 50)
    (record,) = book.paid(pay("P1", (ana, bia, 60), (bia, ana, 10), (ana, bia, 41)))
    assert record.state is State.ABORTED
    assert (book.account(ana).held, book.account(bia).incoming) == (0, 0)
    assert (book.balance(ana), book.balance(bia)) == (100, 50)


def test_a_refused_payment_is_recorded_with_its_reason(book: Book) -> None:
    """PROTOCOL 5.1."""
    ana, bia = book.open_accounts(10, 0)
    (record,) = book.paid(pay("P1", (ana, bia, 11)))
    assert record.refusal is not None
    assert book.wait(book.store.payment(record.id)) == record


def test_an_empty_batch_is_answered_with_nothing(book: Book) -> None:
    height = book.store.height()
    assert book.do() == []
    assert book.store.height() == height


def test_what_was_answered_survives_that_the_process_is_killed(
    url: str, books: Callable[[str], Book]
) -> None:
    """PROTOCOL 2.3: a reply comes only after the commit."""
    script = (
        "import os, signal, sys\n"
        "from tests.storage.book import *\n"
        f"book = Book({url!r})\n"
        "ana, bia = book.open_accounts(100, 0)\n"
        "(record,) = book.paid(pay('P1', (ana, bia, 30)))\n"
        "print(record.state.value, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (died.stdout, died.returncode) == ("committed\n", -signal.SIGKILL), died.stderr
    book = books(url)
    assert (book.balance(address(1)), book.balance(address(2))) == (70, 30)
    assert book.is_whole()


# One poisoned input.


@pytest.mark.parametrize("poison", ["\x00", "\ud800"], ids=["NUL", "half a character"])
def test_a_text_that_the_database_refuses_fails_alone(book: Book, url: str, poison: str) -> None:
    ana, bia = book.open_accounts(100, 0)
    orders = [pay(f"P{n}", (ana, bia, 10), description=poison if n == 3 else "bread") for n in range(7)]
    with capture_logs() as logged:
        replies = book.do(*orders)
    takes_it = poison == "\x00" and url.startswith("sqlite")
    for n, reply in enumerate(replies):
        if n == 3 and not takes_it:
            assert isinstance(reply, Failed)
        else:
            assert isinstance(reply, Paid)
            assert (reply.record.id, reply.record.state) == (payment_id(f"P{n}"), State.COMMITTED)
    assert book.balance(bia) == (70 if takes_it else 60)
    assert [one["event"] for one in logged] == ([] if takes_it else ["input_failed"])
    assert book.is_whole()


def test_a_mistake_of_ours_fails_alone_and_leaves_its_key_free(book: Book) -> None:
    ana, bia = book.open_accounts(100, 0)
    mistake = pay("P2", (ana, bia, 10), caller=None)
    with capture_logs():
        replies = book.do(pay("P1", (ana, bia, 10)), mistake, pay("P3", (ana, bia, 10)))
    assert [type(reply) for reply in replies] == [Paid, Failed, Paid]
    assert book.wait(book.store.payment(mistake.id)) is None
    (record,) = book.paid(replace(mistake, caller=ANA))
    assert record.state is State.COMMITTED
    assert (book.balance(ana), book.balance(bia)) == (70, 30)


def test_a_violation_is_recorded_and_leaves_nothing_else(book: Book) -> None:
    """PROTOCOL 3.1, 2.5."""
    ana, _ = book.open_accounts(100, 0)
    forged = prepare("P1", ana, 5)
    (reply,) = book.do(Heard(sender=A, question=forged))
    assert isinstance(reply, Answered)
    assert isinstance(reply.answer, Violated)
    assert book.wait(book.store.payment(forged.header.id)) is None
    (row,) = book.wait(book.store.violations(10))
    assert (row.peer, row.payment, row.at) == (A, forged.header.id, NOW)
    assert book.wait(book.store.all_payments(10, payment_id("zzzzzzzzzzz"))) == []


def test_a_known_payment_with_another_digest_changes_nothing(book: Book) -> None:
    """PROTOCOL 1.4."""
    ana, _ = book.open_accounts(100, 0)
    first = prepare("P1", ana, 5)
    assert book.hear(first) == Vote(id=first.header.id, refusal=None)
    assert isinstance(book.hear(prepare("P1", ana, 6)), Violated)
    assert book.account(ana).incoming == 5
    assert len(book.wait(book.store.violations(10))) == 1


# Once.


def test_the_same_order_again_moves_nothing_and_gets_the_same_answer(book: Book) -> None:
    """PROTOCOL 5.9, I6: in one batch, in later ones."""
    ana, bia = book.open_accounts(100, 0)
    again = [pay(f"P{n}", (ana, bia, 30), key="K") for n in range(3)]
    records = book.paid(*again[:2]) + book.paid(again[2])
    assert {record.id for record in records} == {payment_id("P0")}
    assert records[0] == records[1] == records[2]
    assert book.balance(bia) == 30
    assert book.wait(book.store.payment(payment_id("P1"))) is None


def test_a_refusal_uses_its_key_up_as_well(book: Book) -> None:
    """PROTOCOL 5.1."""
    ana, bia = book.open_accounts(10, 0)
    (refused,) = book.paid(pay("P1", (ana, bia, 30), key="K"))
    book.do(deposit("D1", ana, 100))
    (again,) = book.paid(pay("P2", (ana, bia, 30), key="K"))
    assert again == refused
    assert book.balance(bia) == 0


@pytest.mark.parametrize("together", [True, False])
def test_a_key_with_another_body_is_denied(book: Book, together: bool) -> None:
    ana, bia = book.open_accounts(100, 0)
    one, other = pay("P1", (ana, bia, 1), key="K"), pay("P2", (ana, bia, 2), key="K")
    replies = book.do(one, other) if together else [*book.do(one), *book.do(other)]
    assert isinstance(replies[0], Paid)
    assert replies[1] == Denied(code=DenialCode.IDEMPOTENCY_MISMATCH)
    assert book.balance(bia) == 1


def test_an_account_is_opened_once_for_each_key(book: Book) -> None:
    book.open_accounts(0)
    first, second = book.do(open_account(8, ANA, key="K"), open_account(9, ANA, key="K"))
    (third,) = book.do(open_account(10, ANA, key="K"))
    assert isinstance(first, AccountMade)
    assert first == second == third
    assert first.account.id == address(8)
    assert [account.id for account in book.wait(book.store.accounts_of(ANA))] == [address(1), address(8)]


def test_what_was_denied_is_denied_again(book: Book) -> None:
    book.open_accounts(0)
    wrong = replace(open_account(8, ANA, key="K"), holders=(ANA,))
    denied = Denied(code=DenialCode.INVALID_HOLDERS)
    assert book.do(wrong) == [denied]
    assert book.do(wrong, wrong) == [denied, denied]


def test_keys_that_are_old_enough_are_forgotten_and_no_others(book: Book) -> None:
    ana, bia = book.open_accounts(100, 0)
    book.do(pay("P1", (ana, bia, 1), key="old"))
    book.clock.time = Instant(NOW + 1_000)
    book.do(pay("P2", (ana, bia, 1), key="new"))
    assert book.wait(book.store.forget_keys(Instant(NOW + 500))) == 2
    assert book.wait(book.store.forget_keys(Instant(NOW + 500))) == 0
    assert [one.id for one in book.paid(pay("P3", (ana, bia, 1), key="new"))] == [payment_id("P2")]
    assert [one.id for one in book.paid(pay("P4", (ana, bia, 1), key="old"))] == [payment_id("P4")]


# Between banks.


def test_a_payment_to_another_bank_is_held_until_it_is_decided_and_then_posted(book: Book) -> None:
    (ana,) = book.open_accounts(100)
    (record,) = book.paid(pay("P1", (ana, FAR, 30)))
    assert record.state is State.PREPARED
    assert (book.account(ana).balance, book.account(ana).held) == (100, 30)
    (reply,) = book.do(Decide(id=record.id, decision=Decision.COMMIT, refusal=None))
    assert isinstance(reply, Known)
    assert reply.record is not None
    assert (reply.record.state, reply.record.untold) == (State.COMMITTED, (B,))
    assert (book.account(ana).balance, book.account(ana).held) == (70, 0)
    assert book.balance(clearing(B)) == 30
    book.do(Told(id=record.id, bank=B))
    assert book.wait(book.store.unfinished(10)) == []
    assert book.is_whole()


@pytest.mark.parametrize("decision", Decision)
def test_begin_and_decide_may_fall_into_one_batch(book: Book, decision: Decision) -> None:
    (_, bia) = book.open_accounts(100, 0)
    asked = prepare("P1", bia, 7)
    vote, done, again = book.do(
        Heard(sender=B, question=asked),
        Heard(sender=B, question=tell(asked, decision)),
        Heard(sender=B, question=tell(asked, decision)),
    )
    assert vote == Answered(answer=Vote(id=asked.header.id, refusal=None))
    assert done == again == Answered(answer=Done(id=asked.header.id))
    assert book.balance(bia) == (7 if decision is Decision.COMMIT else 0)
    assert book.account(bia).incoming == 0
    assert book.is_whole()


def test_an_abort_that_overtakes_the_prepare_is_remembered(book: Book) -> None:
    """PROTOCOL 3.6."""
    (ana,) = book.open_accounts(100)
    asked = prepare("P1", ana, 7)
    assert book.hear(tell(asked, Decision.ABORT)) == Done(id=asked.header.id)
    vote = book.hear(asked)
    assert isinstance(vote, Vote)
    assert vote.refusal is not None
    assert vote.refusal.code is Code.ABORTED
    record = book.wait(book.store.payment(asked.header.id))
    assert record is not None
    assert (record.state, record.digest) == (State.ABORTED, digest(asked.header))


def test_a_sole_witness_that_is_asked_has_decided_once_it_answers(book: Book) -> None:
    """PROTOCOL 5.5."""
    (ana,) = book.open_accounts(100)
    (record,) = book.paid(pay("P1", (ana, FAR, 30)))
    assert record.header is not None
    said = book.hear(Ask(header=record.header, ballot=None))
    assert isinstance(said, Decided)
    assert said.decision is Decision.ABORT
    (late,) = book.do(Decide(id=record.id, decision=Decision.COMMIT, refusal=None))
    assert isinstance(late, Known)
    assert late.record is not None
    assert late.record.state is State.ABORTED
    assert book.account(ana).held == 0


def test_a_fresh_ballot_is_written_down_before_it_is_used(book: Book) -> None:
    """PROTOCOL 4.1."""
    (ana,) = book.open_accounts(100)
    asked = prepare("P1", ana, 7)
    book.hear(asked)
    (first,) = book.do(TakeBallot(id=asked.header.id, nonce=5, seen=None))
    (second,) = book.do(TakeBallot(id=asked.header.id, nonce=5, seen=None))
    assert isinstance(first, BallotTaken)
    assert isinstance(second, BallotTaken)
    assert second.ballot > first.ballot
    record = book.wait(book.store.payment(asked.header.id))
    assert record is not None
    assert record.promised == second.ballot


# Looking.


def test_statement_lines_are_numbered_without_gaps_and_carry_the_balance(book: Book) -> None:
    ana, bia = book.open_accounts(100, 0)
    for n in range(5):
        book.do(
            pay(f"P{n}", (ana, bia, 10), description=f"week {n}"),
            pay(f"Q{n}", (ana, bia, 1_000)),
            pay(f"R{n}", (bia, ana, 1)),
        )
    lines = book.wait(book.store.entries(ana, 100, after=0))
    assert [line.entry.number for line in lines] == list(range(1, 12))
    balance = 0
    for line in lines:
        balance += line.entry.amount
        assert line.entry.balance == balance
    assert [line.description for line in lines[1:4]] == ["week 0", None, "week 1"]
    assert balance == book.balance(ana) == 55


def test_a_statement_is_paged_from_both_ends_and_misses_nothing(book: Book) -> None:
    ana, bia = book.open_accounts(100, 0)
    book.do(*(pay(f"P{n}", (ana, bia, 1)) for n in range(9)))

    def numbers(**window: int) -> list[int]:
        return [line.entry.number for line in book.wait(book.store.entries(ana, 4, **window))]

    assert numbers() == [10, 9, 8, 7]
    assert numbers(before=7) == [6, 5, 4, 3]
    assert numbers(before=3) == [2, 1]
    assert numbers(before=1) == []
    assert numbers(after=0) == [1, 2, 3, 4]
    assert numbers(after=8) == [9, 10]
    assert numbers(after=10) == []


def test_any_part_of_a_long_statement_is_found(book: Book) -> None:
    ana, bia = book.open_accounts(1_000, 0)
    for some in range(0, 300, 30):
        book.do(*(pay(f"P{n}", (ana, bia, 1), (ana, bia, 2)) for n in range(some, some + 30)))
    whole = book.wait(book.store.entries(ana, 1_000))
    assert [line.entry.number for line in whole] == list(range(601, 0, -1))
    oldest_first = whole[::-1]
    for near in (1, 2, 62, 63, 64, 65, 66, 127, 128, 129, 500, 575, 576, 577, 600, 601, 602, 2**62):
        for limit in (1, 3, 64, 200):
            older = book.wait(book.store.entries(ana, limit, before=near))
            assert older == [line for line in whole if line.entry.number < near][:limit]
            later = book.wait(book.store.entries(ana, limit, after=near))
            assert later == [line for line in oldest_first if line.entry.number > near][:limit]


def test_a_customer_sees_the_payments_that_they_asked_for_here_newest_first(book: Book) -> None:
    ana, bia = book.open_accounts(100, 100)
    for n in range(5):
        book.do(pay(f"P{n}", (ana, bia, 1)), pay(f"Q{n}", (bia, ana, 1), caller=BIA))
    book.hear(prepare("Z", ana, 5))
    ids = [record.id for record in book.wait(book.store.payments_of(ANA, 3, None))]
    assert ids == [payment_id(f"P{n}") for n in (4, 3, 2)]
    rest = book.wait(book.store.payments_of(ANA, 3, ids[-1]))
    assert [record.id for record in rest] == [payment_id(f"P{n}") for n in (1, 0)]


def test_all_payments_come_by_id_page_by_page(book: Book) -> None:
    ana, bia = book.open_accounts(100, 0)
    names = ["aB", "Ab", "B", "b", "1", "Z", "z"]
    book.do(*(pay(name, (ana, bia, 1)) for name in names))
    seen: list[EndToEndId] = []
    while page := book.wait(book.store.all_payments(3, seen[-1] if seen else None)):
        seen += [record.id for record in page]
    assert seen == sorted([payment_id("cash0"), *map(payment_id, names)])


def test_an_account_shows_its_holders_and_a_customer_their_accounts_oldest_first(book: Book) -> None:
    addresses = book.open_accounts(0, 0)
    book.clock.time = Instant(NOW - 1)
    book.do(open_account(3, BIA))
    assert book.account(addresses[0]).holders == (ANA, BIA)
    of_ana = [account.id for account in book.wait(book.store.accounts_of(ANA))]
    assert of_ana == [address(3), *addresses]
    own = [account.id for account in book.wait(book.store.own_accounts())]
    assert own == [clearing(B), VAULT]
    assert book.wait(book.store.account(AccountId("nothing"))) is None


def test_whoever_says_that_a_decided_payment_was_decided_otherwise_is_written_down(book: Book) -> None:
    """PROTOCOL 3.1: it cannot happen between honest banks, and what is decided stands."""
    (ana,) = book.open_accounts(100)
    (mine,) = book.paid(pay("P1", (ana, FAR, 30)))
    book.do(Decide(id=mine.id, decision=Decision.COMMIT, refusal=None))
    book.do(Learn(id=mine.id, decision=Decision.COMMIT, refusal=None, said_by=B))
    assert book.wait(book.store.violations(10)) == []
    book.do(Learn(id=mine.id, decision=Decision.ABORT, refusal=None, said_by=B))
    (seen,) = book.wait(book.store.violations(10))
    assert (seen.peer, seen.payment) == (B, mine.id)
    assert seen.reason == "says that it was decided to abort, and here it is committed"
    record = book.wait(book.store.payment(mine.id))
    assert record is not None
    assert record.state is State.COMMITTED


def test_payments_with_something_left_to_do_are_found_until_it_is_done(book: Book) -> None:
    """PROTOCOL 6.5."""
    (ana,) = book.open_accounts(100)
    mine, other = book.paid(pay("P1", (ana, FAR, 30)), pay("P2", (ana, FAR, 5)))
    theirs = prepare("P3", ana, 7)
    book.hear(theirs)
    unfinished = [record.id for record in book.wait(book.store.unfinished(10))]
    assert unfinished == [mine.id, other.id, theirs.header.id]
    page = book.wait(book.store.unfinished(1, mine.id))
    assert [record.id for record in page] == [other.id]
    assert book.wait(book.store.count_in_doubt()) == 3
    assert len(book.wait(book.store.in_doubt(2))) == 2

    assert mine.due is not None
    assert book.wait(book.store.due(NOW, 10)) == []
    book.do(Postpone(id=other.id, due=Instant(mine.due - 1)))
    due = [record.id for record in book.wait(book.store.due(mine.due, 10))]
    assert due == [other.id, mine.id, theirs.header.id]

    book.do(Decide(id=mine.id, decision=Decision.COMMIT, refusal=None))
    book.do(Learn(id=theirs.header.id, decision=Decision.ABORT, refusal=None, said_by=B))
    assert [record.id for record in book.wait(book.store.in_doubt(10))] == [other.id]
    assert [record.id for record in book.wait(book.store.unfinished(10))] == [mine.id, other.id]
    book.do(Told(id=mine.id, bank=B), Decide(id=other.id, decision=Decision.ABORT, refusal=None))
    book.do(Told(id=other.id, bank=B))
    assert book.wait(book.store.unfinished(10)) == []
    assert book.wait(book.store.count_in_doubt()) == 0


def test_a_payment_that_was_put_off_before_the_clock_went_back_is_not_left_alone(book: Book) -> None:
    (ana,) = book.open_accounts(100)
    (record,) = book.paid(pay("P1", (ana, FAR, 30)))
    year_ago = Instant(NOW - 365 * 24 * 3_600_000)
    assert [one.id for one in book.wait(book.store.due(year_ago, 10))] == [record.id]


def test_the_trial_balance_adds_everything_up(book: Book) -> None:
    ana, bia = book.open_accounts(100, 50)
    (_, held, posted) = book.paid(
        pay("P1", (ana, bia, 10)), pay("P2", (ana, FAR, 30)), pay("P3", (ana, FAR, 5))
    )
    book.do(Decide(id=posted.id, decision=Decision.COMMIT, refusal=None), pay("P4", (ana, bia, 10**6)))
    balances, counts = book.wait(book.store.trial_balance())
    assert (balances.customers, balances.vault, balances.clearing) == (145, -150, {B: 5})
    assert (balances.held, balances.accounts, balances.sum) == (held.amount, 2, 0)
    assert (counts.settled, counts.refused, counts.in_doubt) == (4, 1, 1)


# People.


def test_a_document_belongs_to_one_customer(book: Book) -> None:
    store = book.store
    assert book.wait(store.add_customer(customer(ANA, "Ana"), "secret", "ana@example.org", None))
    assert not book.wait(store.add_customer(customer(ANA, "Eva"), "other", None, None))
    assert book.wait(store.customers([ANA, BIA])) == {ANA: customer(ANA, "Ana")}
    known, unknown = book.wait(store.credentials(ANA)), book.wait(store.credentials(BIA))
    assert (known.customer, known.password_hash) == (customer(ANA, "Ana"), "secret")
    assert (unknown.customer, unknown.password_hash) == (None, None)


def test_of_two_who_come_with_one_document_at_the_same_moment_one_is_told_no(book: Book) -> None:
    async def both() -> list[bool]:
        return await asyncio.gather(
            *(book.store.add_customer(customer(ANA, name), name, None, None) for name in ("Ana", "Eva"))
        )

    assert sorted(book.wait(both())) == [False, True]


def test_a_session_lasts_until_it_is_ended(book: Book) -> None:
    store, end = book.store, Instant(NOW + 1_000)
    book.wait(store.add_customer(customer(ANA), "", None, None))
    book.begin_session(b"token", end)
    for _ in range(2):
        session = book.wait(store.session(b"token"))
        assert session is not None
        assert (session.customer.document, session.expires_at) == (ANA, end)
    assert book.wait(store.session(b"other")) is None
    book.wait(store.drop_session(b"token"))
    book.wait(store.drop_session(b"token"))
    assert book.wait(store.session(b"token")) is None


def test_a_session_ended_elsewhere_is_over_here_where_several_serve_one_bank(
    postgresql_url: str, books: Callable[[str], Book]
) -> None:
    here, there = books(postgresql_url), books(postgresql_url)
    here.wait(here.store.add_customer(customer(ANA), "", None, None))
    here.begin_session(b"token")
    assert here.wait(here.store.session(b"token")) is not None
    there.wait(there.store.drop_session(b"token"))
    assert here.wait(here.store.session(b"token")) is None


# Mandates and links.

MANDATE = Mandate(
    id="M1",
    account=address(1),
    giver=ANA,
    initiator=B,
    payer=BIA,
    scopes=("pay", "read"),
    per_payment=None,
    total=10**15,
    used=0,
    created_at=NOW,
    expires_at=Instant(NOW + 1_000),
    revoked_at=None,
    approved_at=NOW,
)
LINK = Link(owner=ANA, account=FAR, sealed=b"\x00\xff", scopes=("pay",), shown=b"{}", created_at=NOW)


def test_a_mandate_is_kept_listed_and_ended(book: Book) -> None:
    book.open_accounts(100)
    claim = Claim(scope="mandates", key="K", body="")
    given = book.do(GiveMandate(claim=claim, mandate=MANDATE))
    assert given == [MandateMade(mandate=MANDATE)]
    assert book.do(GiveMandate(claim=claim, mandate=replace(MANDATE, id="M2"))) == given
    assert book.wait(book.store.mandates_of(ANA)) == [MANDATE]
    assert book.wait(book.store.mandates_of(BIA)) == []
    assert book.do(RevokeMandate(caller=BIA, id="M1")) == [Denied(code=DenialCode.NOT_FOUND)]
    assert book.do(RevokeMandate(caller=ANA, id="M1")) == [Removed()]
    assert book.wait(book.store.mandate("M1")) == replace(MANDATE, revoked_at=NOW)
    assert book.wait(book.store.mandate("M2")) is None


def test_a_link_is_kept_and_removed(book: Book) -> None:
    claim = Claim(scope="links", key="K", body="")
    assert book.do(MakeLink(claim=claim, link=LINK)) == [LinkMade(link=LINK)]
    assert book.do(MakeLink(claim=claim, link=LINK)) == [LinkMade(link=LINK)]
    assert book.wait(book.store.links_of(ANA)) == [LINK]
    assert book.do(RemoveLink(owner=ANA, account=FAR)) == [Removed()]
    assert book.do(RemoveLink(owner=ANA, account=FAR)) == [Denied(code=DenialCode.NOT_FOUND)]
    assert book.wait(book.store.links_of(ANA)) == []


def test_an_account_is_blocked_and_closed(book: Book) -> None:
    ana, bia = book.open_accounts(100, 0)
    book.do(ChangeAccount(account=ana, change="block"), ChangeAccount(account=bia, change="close"))
    (blocked,) = book.paid(pay("P1", (ana, bia, 1)))
    assert blocked.refusal is not None
    assert blocked.refusal.code is Code.BLOCKED_ACCOUNT
    assert book.account(bia).status == "closed"
    cash = book.paid(pay("P2", (bia, VAULT, 1), kind=Kind.WITHDRAWAL, caller=None))
    assert [record.refusal and record.refusal.code for record in cash] == [Code.CLOSED_ACCOUNT]


# Heights, and whose book it is.


def test_the_height_grows_with_everything_that_is_written_and_stays(
    url: str, books: Callable[[str], Book]
) -> None:
    """PROTOCOL 2.6."""
    book = Book(url)
    ana, bia = book.open_accounts(100, 0)
    heights = [book.store.height()]
    for n in range(3):
        book.do(pay(f"P{n}", (ana, bia, 1)))
        heights.append(book.store.height())
    assert all(low < high for low, high in pairwise(heights))
    book.do(pay("P0", (ana, bia, 1)))
    assert book.store.height() == heights[-1] == book.wait(book.store.read_height())
    book.close()
    assert books(url).store.height() >= heights[-1]


def test_the_greatest_height_of_each_peer_is_kept(book: Book) -> None:
    """PROTOCOL 2.6."""
    other = Ispb("10000003")
    for heights in (
        {B: Height(5, "five")},
        {B: Height(3, "three"), other: Height(1, "one")},
        {B: Height(7, "seven")},
    ):
        book.wait(book.store.keep_heights(heights))
    assert book.wait(book.store.heights()) == {B: Height(7, "seven"), other: Height(1, "one")}


def test_another_banks_database_is_refused(url: str) -> None:
    Book(url).close()
    with pytest.raises(WrongBank, match=A):
        Book(url, ispb=B)


def test_a_new_credit_limit_is_taken_over_when_the_bank_starts(
    url: str, books: Callable[[str], Book]
) -> None:
    before = Book(url)
    (ana,) = before.open_accounts(100)
    before.hear(prepare("P1", ana, 40))
    assert before.account(clearing(B)).floor == -1_000_000
    before.close()
    after = Book(url, credit_limit=50)
    try:
        owed = after.account(clearing(B))
        assert (owed.floor, owed.held, after.balance(VAULT)) == (-50, 40, -100)
        vote = after.hear(prepare("P2", ana, 11))
        assert isinstance(vote, Vote)
        assert vote.refusal is not None
        assert vote.refusal.code is Code.PEER_LIMIT_EXCEEDED
    finally:
        after.close()
