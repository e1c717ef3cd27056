"""Any history of payments with three witnesses: banks crash and recover each other's payments in every order, messages
are lost, repeated and late, and yet each payment has one outcome, and the book adds up.

Each bank sees only what `needs` asks the storage for: what is missing there shows here.
"""

import random
from collections.abc import Callable, Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.coordinator import Attempt
from ciranda.agreement.message import (
    Accepted,
    AgreementQuestion,
    Answer,
    Ask,
    Busy,
    Decided,
    Decision,
    Done,
    Outbid,
    Promised,
    Propose,
    Tell,
    Violated,
    Vote,
    fits,
)
from ciranda.agreement.participant import State
from ciranda.agreement.witness import majority
from ciranda.engine.input import Accept, ChangeAccount, Decide, Learn, TakeBallot, Told
from ciranda.engine.mandate import Mandate
from ciranda.engine.record import Record
from ciranda.engine.reply import BallotTaken
from ciranda.identity import Address, EndToEndId, Ispb, clearing, coordinator_of
from ciranda.instant import Instant
from ciranda.payment import Transfer
from ciranda.refusal import Code
from tests.engine.circle import NOW, PEOPLE, A, B, C, Circle, D, FrugalBank

BANKS = [A, B, C, D]
ANA, BIA = PEOPLE["ana"], PEOPLE["bia"]


class Letter:
    """A question on its way, and who waits for the answer."""

    def __init__(
        self, sender: Ispb, receiver: Ispb, question: AgreementQuestion, hear: Callable[[Ispb, Answer], None]
    ) -> None:
        self.sender, self.receiver, self.question, self.hear = sender, receiver, question, hear


class Post(Circle):
    """The banks, and all letters that are under way."""

    def __init__(self) -> None:
        super().__init__(BANKS, witnesses=3, credit_limit=200, kind=FrugalBank)
        self.letters: list[Letter] = []
        self.attempts: list[Conclusion] = []
        self.voted: set[tuple[EndToEndId, Ispb]] = set()
        self.nonce = 0

    def send(self, letter: Letter) -> None:
        self.letters.append(letter)

    def deliver(self, letter: Letter, answer_arrives: bool = True) -> None:
        answer = self[letter.receiver].ask(letter.sender, letter.question)
        assert not isinstance(answer, Violated), f"honest banks only: {letter.question} -> {answer}"
        assert fits(letter.question, answer)
        if isinstance(answer, Vote) and answer.refusal is None:
            self.voted.add((answer.id, letter.receiver))
        if answer_arrives:
            letter.hear(letter.receiver, answer)

    def record(self, bank: Ispb, id: EndToEndId) -> Record:
        return self[bank].view.records[id]

    def undecided(self) -> list[tuple[Ispb, EndToEndId]]:
        return [
            (ispb, record.id)
            for ispb, bank in self.banks.items()
            for record in bank.view.records.values()
            if record.state is State.PREPARED
        ]

    def tell_all(self, bank: Ispb, id: EndToEndId) -> None:
        record = self.record(bank, id)
        assert record.header is not None
        assert record.digest is not None
        decision = Decision.COMMIT if record.state is State.COMMITTED else Decision.ABORT
        tell = Tell(
            id=id, digest=record.digest, decision=decision, refusal=record.refusal, header=record.header
        )
        for other in sorted(
            {*record.header.participants, *record.header.witnesses, coordinator_of(id)} - {bank}
        ):
            self.send(Letter(bank, other, tell, self._acknowledged(bank, id)))

    def _acknowledged(self, bank: Ispb, id: EndToEndId) -> Callable[[Ispb, Answer], None]:
        def hear(other: Ispb, answer: Answer) -> None:
            if isinstance(answer, Busy):
                # It will ask the only witness itself.
                return
            assert isinstance(answer, Done)
            self[bank].do(Told(id=id, bank=other))

        return hear


class Conclusion:
    """One attempt of one bank to bring a payment to its decision, alive until that bank crashes."""

    def __init__(self, post: Post, bank: Ispb, id: EndToEndId) -> None:
        self.post, self.bank, self.id, self.alive = post, bank, id, True
        header = post.record(bank, id).header
        assert header is not None
        self.header = header
        self.accepted: set[Ispb] = set()
        self.decision: Decision | None = None
        self.ballot = Ballot(0, bank, post.nonce)
        post.nonce += 1
        post.attempts.append(self)

    def others(self, banks: Iterable[Ispb]) -> list[Ispb]:
        return [bank for bank in banks if bank != self.bank]

    def ask(
        self, banks: Iterable[Ispb], question: AgreementQuestion, hear: Callable[[Ispb, Answer], None]
    ) -> None:
        def heard(other: Ispb, answer: Answer) -> None:
            if not self.alive:
                return
            if isinstance(answer, Decided):
                self.post[self.bank].do(
                    Learn(id=self.id, decision=answer.decision, refusal=answer.refusal, said_by=other)
                )
                self.end()
            elif isinstance(answer, Outbid):
                self.end()
            else:
                hear(other, answer)

        for bank in banks:
            self.post.send(Letter(self.bank, bank, question, heard))

    def end(self) -> None:
        self.alive = False
        if self.post.record(self.bank, self.id).state.decided:
            self.post.tell_all(self.bank, self.id)

    def propose(self, decision: Decision) -> None:
        if self.decision is None:
            self.decision = decision
        assert self.decision is decision, "an attempt proposes one decision"
        question = Propose(header=self.header, ballot=self.ballot, decision=decision)
        self.ask(self.others(self.header.witnesses), question, self.count)
        self.conclude()

    def count(self, bank: Ispb, answer: Answer) -> None:
        if isinstance(answer, Accepted) and answer.ballot == self.ballot:
            self.accepted.add(bank)
            self.conclude()

    def conclude(self) -> None:
        """The own acceptance is the last, in the same write as the decision."""
        own = self.bank in self.header.witnesses
        if len(self.accepted) + own >= majority(len(self.header.witnesses)):
            assert self.decision is not None
            self.post[self.bank].do(
                Accept(id=self.id, ballot=self.ballot, decision=self.decision, others=len(self.accepted))
            )
            self.end()


class Beginning(Conclusion):
    """The attempt that began the payment: round 0 (PROTOCOL 5.2 to 5.4)."""

    def __init__(self, post: Post, id: EndToEndId) -> None:
        super().__init__(post, coordinator_of(id), id)
        asked = self.others(self.header.participants)
        self.votes = Attempt(asked)
        for bank in asked:
            self.ask([bank], post.prepare(id, bank), self.voted)

    def voted(self, bank: Ispb, answer: Answer) -> None:
        before = self.votes.decision
        assert isinstance(answer, Vote)
        self.votes.voted(bank, answer)
        if before is None:
            self.decide()

    def out_of_time(self) -> None:
        missing = next(iter(self.others(self.header.participants)))
        if self.alive and self.votes.decision is None:
            self.votes.unheard(missing, Code.DEADLINE_PASSED)
            self.decide()
        elif self.alive and self.votes.decision is Decision.COMMIT:
            self.propose(Decision.COMMIT)

    def decide(self) -> None:
        if self.votes.decision is None:
            return
        if self.votes.decision is Decision.COMMIT and len(self.header.witnesses) > 1:
            self.propose(Decision.COMMIT)
            return
        self.post[self.bank].do(Decide(id=self.id, decision=self.votes.decision, refusal=self.votes.refusal))
        self.end()


class Recovering(Conclusion):
    """PROTOCOL 6.1 to 6.4."""

    def __init__(self, post: Post, bank: Ispb, id: EndToEndId) -> None:
        super().__init__(post, bank, id)
        self.promises: dict[Ispb, tuple[Ballot, Decision] | None] = {}
        if self.header.witnesses == (bank,):
            post[bank].do(Decide(id=id, decision=Decision.ABORT, refusal=None))
            self.end()
        elif len(self.header.witnesses) == 1:
            self.ask(self.header.witnesses, Ask(header=self.header, ballot=None), self.promised)
        else:
            self.bid()

    def bid(self) -> None:
        seen = max(
            (
                one.promised
                for bank in BANKS
                if (one := self.post[bank].view.records.get(self.id)) and one.promised
            ),
            default=None,
        )
        taken = self.post[self.bank].do(TakeBallot(id=self.id, nonce=self.ballot.nonce, seen=seen))
        if not isinstance(taken, BallotTaken):
            self.end()
            return
        self.ballot = taken.ballot
        if self.bank in self.header.witnesses:
            self.promises[self.bank] = taken.record.accepted
        self.ask(
            self.others(self.header.witnesses), Ask(header=self.header, ballot=self.ballot), self.promised
        )

    def promised(self, bank: Ispb, answer: Answer) -> None:
        if not isinstance(answer, Promised) or answer.ballot != self.ballot or self.decision is not None:
            return
        self.promises[bank] = answer.accepted
        if len(self.promises) >= majority(len(self.header.witnesses)):
            before = max((one for one in self.promises.values() if one is not None), default=None)
            self.propose(Decision.ABORT if before is None else before[1])


def opened() -> tuple[Post, dict[Address, int], dict[tuple[Address, Ispb], str]]:
    """Ana and Bia have 100 in each bank, and mandates from every bank for every other."""
    post, money, tokens = Post(), dict[Address, int](), dict[tuple[Address, Ispb], str]()
    for ispb in BANKS:
        for name in ("ana", "bia"):
            address = post.address(name, ispb)
            post[ispb].open(address, (PEOPLE[name],))
            post.deposit(address, 100)
            money[address] = 100
            for other in BANKS:
                mandate = Mandate(
                    id=f"{name}{ispb}{other}",
                    account=address,
                    giver=PEOPLE[name],
                    initiator=other,
                    payer=PEOPLE[name],
                    scopes=("pay",),
                    per_payment=70,
                    total=150,
                    used=0,
                    created_at=NOW,
                    expires_at=Instant(NOW + 10**9),
                    revoked_at=None,
                    approved_at=NOW,
                )
                tokens[address, other] = post.give(mandate)
    return post, money, tokens


OFTEN = ["pay"] * 2 + ["deliver"] * 22 + ["recover"] * 3
SELDOM = ["again", "unanswered", "lose", "late", "crash", "block", "tell"]
ACTS = OFTEN + SELDOM
HISTORIES = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2**30)), min_size=30, max_size=120)


@settings(max_examples=600)
@given(HISTORIES)
def test_whatever_is_lost_and_whoever_crashes_each_payment_has_one_outcome(
    history: list[tuple[str, int]],
) -> None:
    """PROTOCOL I1 to I4, I7, I8."""
    post, money, tokens = opened()
    begun: list[EndToEndId] = []
    for act, number in history:
        dice = random.Random(number)
        letter = dice.choice(post.letters) if post.letters else None
        match act:
            case "pay":
                at, person = dice.choice(BANKS), dice.choice(["ana", "bia"])
                transfers = [
                    Transfer(
                        source=post.address(person, dice.choice(BANKS)),
                        target=post.address("bia" if person == "ana" else "ana", dice.choice(BANKS)),
                        amount=dice.randint(1, 60),
                    )
                    for _ in range(dice.randint(1, 3))
                ]
                marks: list[str | None] = [tokens[Address(one.source), at] for one in transfers]
                record = post.begin(at, PEOPLE[person], transfers, marks)
                begun.append(record.id)
                if record.state is State.PREPARED:
                    Beginning(post, record.id)
            case "deliver" | "unanswered" if letter is not None:
                post.letters.remove(letter)
                post.deliver(letter, act == "deliver")
            case "again" if letter is not None:
                post.deliver(letter)
            case "lose" if letter is not None:
                post.letters.remove(letter)
            case "late" if post.attempts:
                attempt = dice.choice(post.attempts)
                if isinstance(attempt, Beginning):
                    attempt.out_of_time()
            case "crash":
                ispb = dice.choice(BANKS)
                for attempt in post.attempts:
                    attempt.alive = attempt.alive and attempt.bank != ispb
            case "recover" if post.undecided():
                Recovering(post, *dice.choice(post.undecided()))
            case "tell" if begun:
                id = dice.choice(begun)
                known = [one for one in BANKS if id in post[one].view.records]
                ispb = dice.choice(known)
                told = post.record(ispb, id)
                if told.state.decided and told.header is not None:
                    post.tell_all(ispb, id)
            case "block":
                ispb = dice.choice(BANKS)
                change = dice.choice(["block", "unblock"])
                account = post.address(dice.choice(["ana", "bia"]), ispb)
                post[ispb].do(ChangeAccount(account=account, change=change))  # type: ignore[arg-type]
            case _:
                pass
    _calm_down(post)
    _compare(post, begun, money)


def _calm_down(post: Post) -> None:
    """No more faults: within a bounded number of rounds nothing is in doubt (PROTOCOL I7)."""
    for attempt in post.attempts:
        attempt.alive = False
    post.letters.clear()
    for _ in range(6):
        for ispb, id in post.undecided():
            if post.record(ispb, id).state is State.PREPARED:
                Recovering(post, ispb, id)
                while post.letters:
                    post.deliver(post.letters.pop(0))
    assert post.undecided() == []
    for ispb, bank in post.banks.items():
        for record in list(bank.view.records.values()):
            if record.untold:
                post.tell_all(ispb, record.id)
    while post.letters:
        post.deliver(post.letters.pop(0))


def _compare(post: Post, begun: list[EndToEndId], money: dict[Address, int]) -> None:
    for id in begun:
        mine = post.record(coordinator_of(id), id)
        assert mine.state.decided
        assert mine.untold == ()
        assert mine.due is None
        if mine.header is not None:
            for member in mine.header.participants:
                assert post.record(member, id).state is mine.state, "one outcome (I2)"
                if mine.state is State.COMMITTED and member != coordinator_of(id):
                    assert (id, member) in post.voted, "only with every yes (I3)"
        if mine.state is State.COMMITTED:
            for transfer in post.orders[id].transfers:
                money[Address(transfer.source)] -= transfer.amount
                money[Address(transfer.target)] += transfer.amount
    for ispb, bank in post.banks.items():
        for account in bank.view.accounts.values():
            assert account.held == account.incoming == 0
            if account.holders:
                assert account.balance == money[Address(account.id)]
        for other in BANKS:
            if other != ispb:
                theirs = post[other].view.accounts[clearing(ispb)].balance
                assert bank.view.accounts[clearing(other)].balance + theirs == 0, "positions mirror (I4)"
