"""What operators do, on both databases: done with its record or not at all, and what two agree on is done once."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from ciranda.engine.input import (
    Act,
    AddOperator,
    Approve,
    Begin,
    ChangeAccount,
    Deed,
    EndOperator,
    Reject,
    RenewToken,
    SetCreditLimit,
    Trespass,
)
from ciranda.engine.key import Claim
from ciranda.engine.operator import Role, TwoPerson
from ciranda.engine.proposal import LASTS_MS, ProposalStatus
from ciranda.engine.reply import AccountMade, Denied, Failed, OperatorMade, Paid, Proposed, Reply
from ciranda.identity import VAULT, Address, clearing
from ciranda.instant import Instant
from ciranda.ledger.account import AccountStatus
from ciranda.payment import Kind
from ciranda.storage import batch
from tests.storage.book import NOW, B, Book, pay

TWO = TwoPerson(withdrawals_above=10)
FAR_OFF = Instant(NOW + 10**10)

_ids = itertools.count(1)


def act(by: str, deed: Deed | Approve | Reject | Trespass) -> Act:
    return Act(id=f"{next(_ids):028x}", by=by, deed=deed)


def add(name: str, role: Role, *, founding: bool = False, cash_limit: int | None = None) -> AddOperator:
    return AddOperator(
        name=name,
        role=role,
        cash_limit=cash_limit,
        token_hash=name.encode().ljust(32),
        expires_at=FAR_OFF,
        founding=founding,
    )


def withdrawal(name: str, account: Address, amount: int) -> Begin:
    return pay(name, (account, VAULT, amount), kind=Kind.WITHDRAWAL, caller=None)


class Counter:
    """A book where two people must agree, with operators of each kind and one account with 100 in it."""

    def __init__(self, book: Book) -> None:
        self.book = book
        (self.ana,) = book.open_accounts(100)
        for name in ("ada", "bea"):
            assert isinstance(self.do("root", add(name, Role.ADMIN, founding=True)), OperatorMade)
        for name, role in (("tina", Role.TELLER), ("theo", Role.TELLER), ("otto", Role.OPERATOR)):
            self.approve("bea", self.propose("ada", add(name, role)))
        self.approve("bea", self.propose("ada", add("olga", Role.OPERATOR)))

    def do(self, by: str, deed: Deed | Approve | Reject | Trespass) -> Reply:
        (reply,) = self.book.do(act(by, deed))
        return reply

    def propose(self, by: str, deed: Deed) -> str:
        reply = self.do(by, deed)
        assert isinstance(reply, Proposed), reply
        return reply.id

    def approve(self, by: str, proposal: str) -> None:
        assert self.do(by, Approve(proposal=proposal)) == Proposed(id=proposal)

    def stands(self, proposal: str) -> tuple[ProposalStatus, str | None, str | None]:
        kept = self.book.wait(self.book.store.proposal(proposal))
        assert kept is not None
        return kept.status_at(self.book.clock.now()), kept.decided_by, kept.outcome

    def recorded(self) -> list[tuple[str, str, str, str]]:
        """The latest last."""
        actions = self.book.wait(self.book.store.actions(1_000, None))
        return [(one.operator, one.action, one.subject, one.outcome) for one in reversed(actions)]

    def denied(self, by: str, deed: Deed | Approve | Reject | Trespass) -> str:
        """The code; and that nothing but the record has changed."""
        before, recorded = self.book.balance(self.ana), len(self.recorded())
        reply = self.do(by, deed)
        assert isinstance(reply, Denied), reply
        assert self.book.balance(self.ana) == before
        assert len(self.recorded()) == recorded + 1
        assert self.recorded()[-1][-1] == reply.code.value
        return reply.code.value


@pytest.fixture
def two(url: str) -> Any:
    with closing(Book(url, two_person=TWO)) as book:
        yield Counter(book)


def test_what_two_agree_on_is_done_once_and_the_record_names_both(two: Counter) -> None:
    proposal = two.propose("tina", withdrawal("W", two.ana, 60))
    assert two.stands(proposal) == (ProposalStatus.AWAITING_APPROVAL, None, None)
    assert two.book.account(two.ana).held == 0
    two.approve("theo", proposal)
    assert two.stands(proposal) == (ProposalStatus.DONE, "theo", "done")
    assert two.book.balance(two.ana) == 40
    # The answer was lost, and the same person says it again.
    two.approve("theo", proposal)
    assert two.denied("otto", Approve(proposal=proposal)) == "proposal_closed"
    assert two.book.balance(two.ana) == 40
    assert two.recorded()[-3:] == [
        ("tina", "withdrawal", two.ana, "awaiting_approval"),
        ("theo", "approve", proposal, "done"),
        ("otto", "approve", proposal, "proposal_closed"),
    ]
    assert two.book.is_whole()


def test_nobody_is_two_people(two: Counter) -> None:
    proposal = two.propose("tina", withdrawal("W", two.ana, 60))
    assert two.denied("tina", Approve(proposal=proposal)) == "second_operator_required"
    # Nor with another token: it is the name that counts.
    assert isinstance(
        two.do("tina", RenewToken(name="tina", token_hash=b"x" * 32, expires_at=FAR_OFF)), OperatorMade
    )
    assert two.denied("tina", Approve(proposal=proposal)) == "second_operator_required"
    for name in ("ada", "root"):
        assert two.denied(name, Approve(proposal=proposal)) == "forbidden"
    # And nobody makes a second self alone.
    alias = two.propose("ada", add("tina-two", Role.TELLER))
    assert two.denied("ada", Approve(proposal=alias)) == "second_operator_required"
    assert two.denied("tina-two", Approve(proposal=proposal)) == "unauthenticated"
    hers = two.propose("ada", RenewToken(name="bea", token_hash=b"x" * 32, expires_at=FAR_OFF))
    assert two.denied("ada", Approve(proposal=hers)) == "second_operator_required"


def test_what_does_not_cost_much_needs_one_person(two: Counter) -> None:
    assert isinstance(two.do("tina", withdrawal("W", two.ana, 10)), Paid)
    assert isinstance(two.do("tina", pay("D", (VAULT, two.ana, 50), kind=Kind.DEPOSIT, caller=None)), Paid)
    assert isinstance(two.do("otto", ChangeAccount(account=two.ana, change="block")), AccountMade)
    assert isinstance(two.do("otto", SetCreditLimit(peer=B, limit=5)), AccountMade)
    assert two.book.account(clearing(B)).floor == -5


def test_unblocking_and_a_higher_limit_need_two(two: Counter) -> None:
    two.do("otto", ChangeAccount(account=two.ana, change="block"))
    unblock = two.propose("otto", ChangeAccount(account=two.ana, change="unblock"))
    assert two.book.account(two.ana).status is AccountStatus.BLOCKED
    two.approve("olga", unblock)
    assert two.book.account(two.ana).status is AccountStatus.OPEN
    raised = two.propose("otto", SetCreditLimit(peer=B, limit=1_000_001))
    assert two.book.account(clearing(B)).floor == -1_000_000
    assert two.denied("tina", Approve(proposal=raised)) == "forbidden"
    two.approve("ada", raised)
    assert two.book.account(clearing(B)).floor == -1_000_001


def test_a_teller_approves_up_to_their_own_limit(two: Counter) -> None:
    two.approve("bea", two.propose("ada", add("small", Role.TELLER, cash_limit=20)))
    proposal = two.propose("tina", withdrawal("W", two.ana, 21))
    assert two.denied("small", Approve(proposal=proposal)) == "forbidden"
    assert two.denied("small", withdrawal("X", two.ana, 21)) == "over_cash_limit"
    two.approve("otto", proposal)


def test_what_was_proposed_is_checked_afresh_and_a_failure_ends_it(two: Counter) -> None:
    first = two.propose("tina", withdrawal("W1", two.ana, 60))
    second = two.propose("tina", withdrawal("W2", two.ana, 60))
    two.approve("theo", first)
    two.approve("theo", second)
    assert two.stands(second) == (ProposalStatus.FAILED, "theo", "insufficient_funds")
    assert two.book.balance(two.ana) == 40
    unblock = two.propose("otto", ChangeAccount(account=two.ana, change="unblock"))
    two.do("tina", withdrawal("W3", two.ana, 10))
    for number in range(3):
        two.do("tina", withdrawal(f"X{number}", two.ana, 10))
    two.do("otto", ChangeAccount(account=two.ana, change="close"))
    two.approve("olga", unblock)
    assert two.stands(unblock) == (ProposalStatus.FAILED, "olga", "closed_account")


def test_a_proposal_ends_after_a_day(two: Counter) -> None:
    proposal = two.propose("tina", withdrawal("W", two.ana, 60))
    two.book.clock.time = Instant(NOW + LASTS_MS - 1)
    assert two.stands(proposal)[0] is ProposalStatus.AWAITING_APPROVAL
    two.book.clock.time = Instant(NOW + LASTS_MS)
    assert two.stands(proposal)[0] is ProposalStatus.EXPIRED
    assert two.denied("theo", Approve(proposal=proposal)) == "proposal_closed"
    assert two.denied("theo", Reject(proposal=proposal)) == "proposal_closed"


def test_a_proposal_is_rejected_or_taken_back_and_that_ends_it(two: Counter) -> None:
    for number, by in enumerate(("theo", "tina")):
        proposal = two.propose("tina", withdrawal(f"W{number}", two.ana, 60))
        assert two.denied("ada", Reject(proposal=proposal)) == "forbidden"
        assert two.do(by, Reject(proposal=proposal)) == Proposed(id=proposal)
        assert two.stands(proposal) == (ProposalStatus.REJECTED, by, None)
        assert two.denied("otto", Approve(proposal=proposal)) == "proposal_closed"
    assert two.denied("theo", Reject(proposal="0" * 28)) == "not_found"
    assert two.denied("theo", Approve(proposal="0" * 28)) == "not_found"


def test_whoever_was_ended_has_not_asked(two: Counter) -> None:
    proposal = two.propose("tina", withdrawal("W", two.ana, 60))
    two.do("ada", EndOperator(name="tina"))
    assert two.denied("theo", Approve(proposal=proposal)) == "proposal_closed"
    assert two.denied("tina", withdrawal("X", two.ana, 1)) == "unauthenticated"


def test_root_names_the_first_admins_alone_and_does_nothing_else(two: Counter) -> None:
    proposal = two.propose("root", add("eva", Role.ADMIN))
    two.approve("ada", proposal)
    for deed in (
        withdrawal("W", two.ana, 1),
        ChangeAccount(account=two.ana, change="block"),
        SetCreditLimit(peer=B, limit=1),
    ):
        assert two.denied("root", deed) == "forbidden"
    assert two.denied("root", add("max", Role.TELLER, founding=True)) == "forbidden"
    assert two.denied("ada", add("max", Role.ADMIN, founding=True)) == "forbidden"


def test_a_key_leads_to_the_proposal_and_then_to_its_payment(two: Counter) -> None:
    order = withdrawal("W", two.ana, 60)
    proposal = two.propose("tina", order)
    recorded = two.recorded()
    assert two.do("tina", withdrawal("W", two.ana, 60)) == Proposed(id=proposal)
    assert two.recorded() == recorded
    other = withdrawal("W", two.ana, 61)
    (reply,) = two.book.do(act("tina", other))
    assert isinstance(reply, Denied)
    two.approve("theo", proposal)
    assert two.do("tina", order) == Proposed(id=proposal)
    assert two.book.balance(two.ana) == 40


def test_in_one_batch_the_first_approval_counts(two: Counter) -> None:
    proposal = two.propose("tina", withdrawal("W", two.ana, 60))
    replies = two.book.do(*(act(name, Approve(proposal=proposal)) for name in ("theo", "otto", "olga")))
    assert [isinstance(reply, Proposed) for reply in replies] == [True, False, False]
    assert two.book.balance(two.ana) == 40


def test_of_many_workers_that_hear_an_approval_one_does_it(
    postgresql_url: str, books: Callable[[str], Book]
) -> None:
    with closing(Book(postgresql_url, two_person=TWO)) as book:
        counter = Counter(book)
        proposals = [counter.propose("tina", withdrawal(f"W{n}", counter.ana, 11)) for n in range(5)]
        workers = [Book(postgresql_url, seed=seed, two_person=TWO) for seed in (1, 2)]

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(
                *(
                    worker.store.transact([act(name, Approve(proposal=proposal))])
                    for proposal in proposals
                    for worker, name in zip([book, *workers], ("theo", "otto", "olga"), strict=True)
                )
            )

        try:
            replies = [reply for (reply,) in book.wait(all_at_once())]
        finally:
            for worker in workers:
                worker.close()
        assert sum(isinstance(reply, Proposed) for reply in replies) == len(proposals)
        assert book.balance(counter.ana) == 100 - 11 * len(proposals)
        assert book.is_whole()


@pytest.mark.parametrize("where", ["_write_operators", "_forget_stubs"])
def test_a_death_in_the_middle_leaves_the_proposal_as_it_was(
    two: Counter, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    proposal = two.propose("tina", withdrawal("W", two.ana, 60))
    recorded = two.recorded()

    def dies(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(batch, where, dies)
        assert isinstance(two.do("theo", Approve(proposal=proposal)), Failed)
    assert two.stands(proposal) == (ProposalStatus.AWAITING_APPROVAL, None, None)
    assert (two.book.balance(two.ana), two.recorded()) == (100, recorded)
    two.approve("theo", proposal)
    assert two.book.balance(two.ana) == 40


def test_an_operators_limit_stands_over_the_settings(url: str) -> None:
    with closing(Book(url, credit_limit=50)) as book:
        (reply,) = book.do(act("root", SetCreditLimit(peer=B, limit=7)))
        assert isinstance(reply, AccountMade)
        assert book.account(clearing(B)).floor == -7
    with closing(Book(url, credit_limit=1_000)) as book:
        assert book.account(clearing(B)).floor == -7


def test_a_claim_of_another_proposal_is_another_claim(two: Counter) -> None:
    """Two tellers may use the same letters for their keys."""
    first, second = withdrawal("W1", two.ana, 11), withdrawal("W2", two.ana, 11)
    claims = [Claim(scope=f"operator:{name}/withdrawals", key="K", body="b") for name in ("tina", "theo")]
    one = two.propose("tina", replace(first, claim=claims[0]))
    other = two.propose("theo", replace(second, claim=claims[1]))
    assert one != other
    two.approve("otto", one)
    two.approve("otto", other)
    assert two.book.balance(two.ana) == 78
