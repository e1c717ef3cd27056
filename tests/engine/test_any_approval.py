"""Any history of accounts that need all signatures: nothing leaves one without the word of every holder.

The model is what a clerk with a sheet of paper would keep: who said what of which payment or mandate, and when. After
each step `BankInMemory` looks the whole book through; here each answer is held against the sheet.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from ciranda.agreement.message import Decision, Vote
from ciranda.agreement.participant import State
from ciranda.engine.approval import WAIT_MS, WAITING_MAX, Subject
from ciranda.engine.input import (
    Begin,
    ChangeAccount,
    Decide,
    Decline,
    Expire,
    GiveMandate,
    RevokeMandate,
    Sign,
)
from ciranda.engine.mandate import Mandate, token_of
from ciranda.engine.record import Record
from ciranda.engine.reply import DenialCode, Denied, MandateMade, Paid, Removed, Reply
from ciranda.identity import Address, Document, EndToEndId
from ciranda.instant import Instant
from ciranda.payment import Transfer
from ciranda.refusal import Code
from tests.engine.circle import NOW, PEOPLE, A, B, Circle, FrugalBank

HOLDERS = {"casa": ("ana", "bia"), "sitio": ("bia", "ana", "rui"), "barco": ("bia", "rui"), "ana": ("ana",)}
JOINT = ("casa", "sitio", "barco")
NAMES = st.sampled_from(sorted(PEOPLE))
WORDS = st.lists(st.tuples(NAMES, st.sampled_from([True] * 5 + [False])), min_size=1, max_size=5)


@dataclass
class Sheet:
    """What the clerk wrote down of one thing that was asked for."""

    must_sign: set[str]
    asked_at: int
    said_yes: set[str] = field(default_factory=set)
    over: str | None = None
    """`signed`, `refused` or `expired`."""

    def look(self, now: int) -> None:
        if self.over is None and now >= self.asked_at + WAIT_MS:
            self.over = "expired"

    def yes(self, who: str, now: int) -> bool:
        """Whether this was the last one."""
        self.look(now)
        if self.over is None:
            self.said_yes.add(who)
            if self.said_yes >= self.must_sign:
                self.over = "signed"
                return True
        return False

    def no(self, now: int) -> None:
        self.look(now)
        self.over = self.over or "refused"


class AnyApproval(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.circle = Circle([A, B], kind=FrugalBank)
        self.now = int(NOW)
        self.sheets: dict[str, Sheet] = {}
        self.orders: dict[str, Begin] = {}
        self.accounts: dict[str, Address] = {}
        self.mandates: dict[str, Mandate] = {}
        self.ended: set[str] = set()

    @initialize()
    def open_accounts(self) -> None:
        for name, holders in HOLDERS.items():
            self.accounts[name] = self.circle.address(name, A)
            self.circle[A].open(
                self.accounts[name],
                tuple(PEOPLE[holder] for holder in holders),
                "all" if len(holders) > 1 else None,
            )
            self.circle.deposit(self.accounts[name], 150)
        self.circle[B].open(self.circle.address("rui", B), (PEOPLE["rui"],))

    @rule(name=st.sampled_from(sorted(HOLDERS)), amount=st.integers(50, 200))
    def cash_comes(self, name: str, amount: int) -> None:
        self.circle.deposit(self.accounts[name], amount)

    @rule(hours=st.sampled_from([12, 24]))
    def time_passes(self, hours: int) -> None:
        self.now += hours * 3_600_000
        for bank in self.circle.banks.values():
            bank.now = Instant(self.now)

    @rule(name=st.sampled_from(JOINT), change=st.sampled_from(["unblock"] * 6 + ["block", "close"]))
    def the_operator_acts(self, name: str, change: str) -> None:
        self.circle[A].do(ChangeAccount(account=self.accounts[name], change=change))  # type: ignore[arg-type]

    # Payments.

    @rule(
        data=st.data(),
        legs=st.lists(
            st.tuples(st.sampled_from(sorted(HOLDERS)), st.booleans(), st.integers(1, 60)),
            min_size=1,
            max_size=3,
        ),
    )
    def somebody_asks_for_a_payment(self, data: st.DataObject, legs: list[tuple[str, bool, int]]) -> None:
        who = data.draw(st.sampled_from(HOLDERS[legs[0][0]]) | NAMES)
        transfers = [
            Transfer(
                source=self.accounts[name],
                target=self.circle.address("rui", B) if away else self.accounts["ana"],
                amount=amount,
            )
            for name, away, amount in legs
        ]
        before = dict(self.circle[A].view.accounts)
        record = self.circle.begin(A, PEOPLE[who], transfers)
        order = self.circle.orders[record.id]
        if any(who not in HOLDERS[name] for name, _, _ in legs):
            assert record.refusal is not None
            assert record.refusal.code in (Code.NOT_PERMITTED, Code.SAME_ACCOUNT)
            return
        joint = [name for name, _, _ in legs if name in JOINT]
        if not joint:
            assert record.state is not State.AWAITING_APPROVAL, "who holds it alone pays alone"
            return
        assert record.state is State.AWAITING_APPROVAL or record.refusal is not None
        assert before == self.circle[A].view.accounts, "nothing is held while it waits"
        if record.state is State.AWAITING_APPROVAL:
            self.sheets[record.id] = Sheet({one for name in joint for one in HOLDERS[name]}, self.now, {who})
            self.orders[record.id] = order

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), words=WORDS)
    def some_speak_on_a_payment(self, data: st.DataObject, words: list[tuple[str, bool]]) -> None:
        open = [id for id in self.orders if self.sheets[id].over is None]
        id = data.draw(st.sampled_from(open or sorted(self.orders)) | st.sampled_from(sorted(self.orders)))
        for who, approves in words:
            self._speak(id, who, approves)

    def _speak(self, id: str, who: str, approves: bool) -> None:
        sheet, before = self.sheets[id], self._record(id)
        order: Sign | Decline = Decline(subject=Subject.PAYMENT, id=id, caller=PEOPLE[who])
        if approves:
            begin = replace(self.orders[id], claim=None, deadline=Instant(self.now + 5_000))
            order = Sign(subject=Subject.PAYMENT, id=id, caller=PEOPLE[who], begin=begin)
        reply = self.circle[A].do(order)
        if who not in sheet.must_sign:
            assert reply == Denied(code=DenialCode.NOT_FOUND)
            assert self._record(id) == before
            return
        if approves and sheet.yes(who, self.now):
            assert isinstance(reply, Paid)
            assert reply.begun, "with the last signature it begins"
        elif not approves:
            was_signed = sheet.over == "signed"
            sheet.no(self.now)
            assert was_signed == (reply == Denied(code=DenialCode.ALREADY_DECIDED))
        assert not isinstance(reply, Paid) or reply.record == self._record(id)
        self._compare(id)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def somebody_looks_at_the_clock(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.sheets)))
        subject = Subject.PAYMENT if id in self.orders else Subject.MANDATE
        self.circle[A].do(Expire(subject=subject, id=id))
        self.sheets[id].look(self.now)
        if id in self.orders:
            self._compare(id)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), decision=st.sampled_from(Decision))
    def what_has_begun_is_decided(self, data: st.DataObject, decision: Decision) -> None:
        id = data.draw(st.sampled_from(sorted(self.orders)))
        if self._record(id).state is State.PREPARED:
            self.circle[A].do(Decide(id=EndToEndId(id), decision=decision, refusal=None))
            self._compare(id)

    def _record(self, id: str) -> Record:
        return self.circle[A].view.records[EndToEndId(id)]

    def _compare(self, id: str) -> None:
        record, sheet = self._record(id), self.sheets[id]
        match sheet.over:
            case None:
                assert record.state is State.AWAITING_APPROVAL
            case "signed":
                # From here on it goes as if it were asked for now.
                assert record.state is not State.AWAITING_APPROVAL
            case "refused":
                assert record.refusal is not None
                assert record.refusal.code is Code.NOT_PERMITTED
            case _:
                assert record.refusal is not None
                assert record.refusal.code is Code.DEADLINE_PASSED
        if record.state in (State.PREPARED, State.COMMITTED):
            assert sheet.said_yes >= sheet.must_sign, "it moved money without every holder's word"

    # Mandates.

    @rule(who=NAMES, name=st.sampled_from(JOINT))
    def somebody_asks_for_a_mandate(self, who: str, name: str) -> None:
        mandate = Mandate(
            id=f"M{len(self.mandates)}",
            account=self.accounts[name],
            giver=PEOPLE[who],
            initiator=B,
            payer=PEOPLE[who],
            scopes=("pay",),
            per_payment=None,
            total=None,
            used=0,
            created_at=Instant(self.now),
            expires_at=Instant(self.now + 10**12),
            revoked_at=None,
            approved_at=None,
        )
        reply = self.circle[A].do(GiveMandate(claim=None, mandate=mandate))
        if isinstance(reply, Denied):
            assert who not in HOLDERS[name] or reply.code is DenialCode.CLOSED_ACCOUNT
            return
        self.mandates[mandate.id] = mandate
        self.sheets[mandate.id] = Sheet(set(HOLDERS[name]), self.now, {who})

    @precondition(lambda self: self.mandates)
    @rule(data=st.data(), words=WORDS, ends=st.sampled_from([None, None, *sorted(PEOPLE)]))
    def some_speak_on_a_mandate(
        self, data: st.DataObject, words: list[tuple[str, bool]], ends: str | None
    ) -> None:
        id = data.draw(st.sampled_from(sorted(self.mandates)))
        for who, approves in words:
            self._speak_on_mandate(id, who, "approve" if approves else "refuse")
        if ends is not None:
            self._speak_on_mandate(id, ends, "end")

    def _speak_on_mandate(self, id: str, who: str, act: str) -> None:
        sheet, document = self.sheets[id], PEOPLE[who]
        reply = self.circle[A].do(_on_mandate(act, id, document))
        if who not in sheet.must_sign:
            assert reply == Denied(code=DenialCode.NOT_FOUND)
            return
        if act == "approve":
            sheet.yes(who, self.now)
            assert isinstance(reply, MandateMade) == (sheet.over in (None, "signed"))
        elif act == "refuse":
            sheet.no(self.now)
        else:
            assert isinstance(reply, Removed)
            sheet.over = sheet.over or "refused"
            self.ended.add(id)

    @precondition(lambda self: self.mandates)
    @rule(data=st.data(), amount=st.integers(1, 30))
    def the_other_bank_uses_a_mandate(self, data: st.DataObject, amount: int) -> None:
        id = data.draw(st.sampled_from(sorted(self.mandates)))
        mandate = self.mandates[id]
        transfer = Transfer(source=mandate.account, target=self.circle.address("rui", B), amount=amount)
        token = token_of(id, self.circle[A].view.bank.mandate_secret)
        asked = self.circle.begin(B, mandate.payer, [transfer], [token])
        vote = self.circle[A].ask(B, self.circle.prepare(asked.id, A))
        assert isinstance(vote, Vote)
        signed = self.sheets[id].over == "signed" and id not in self.ended
        if vote.refusal is None:
            assert signed, "a bank debited an account on the word of some of its holders"
        assert signed != (vote.refusal is not None and vote.refusal.code is Code.NOT_PERMITTED)
        decision = Decision.ABORT if vote.refusal else Decision.COMMIT
        self.circle[B].do(Decide(id=asked.id, decision=decision, refusal=vote.refusal))
        self.circle[A].ask(B, self.circle.tell(asked.id, decision))


def _on_mandate(act: str, id: str, caller: Document) -> Sign | Decline | RevokeMandate:
    match act:
        case "approve":
            return Sign(subject=Subject.MANDATE, id=id, caller=caller, begin=None)
        case "refuse":
            return Decline(subject=Subject.MANDATE, id=id, caller=caller)
        case _:
            return RevokeMandate(caller=caller, id=id)


TestAnyApproval = AnyApproval.TestCase
TestAnyApproval.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, derandomize=True, print_blob=True
)


def test_of_one_account_only_so_much_waits_and_what_ends_makes_room() -> None:
    circle = Circle([A])
    casa, loja = circle.address("casa", A), circle.address("loja", A)
    circle[A].open(casa, (PEOPLE["ana"], PEOPLE["bia"]), "all")
    circle[A].open(loja, (PEOPLE["ana"], PEOPLE["bia"]), "all")
    rui = circle.address("rui", A)
    circle[A].open(rui, (PEOPLE["rui"],))

    def ask(*sources: Address) -> Record:
        return circle.begin(A, PEOPLE["ana"], [Transfer(source=one, target=rui, amount=1) for one in sources])

    waiting = [ask(casa) for _ in range(WAITING_MAX)]
    assert {record.state for record in waiting} == {State.AWAITING_APPROVAL}
    for full in (ask(casa), ask(loja, casa)):
        assert full.refusal is not None
        assert full.refusal.code is Code.LIMIT_EXCEEDED
    assert ask(loja).state is State.AWAITING_APPROVAL
    reply: Reply = circle[A].do(Decline(subject=Subject.PAYMENT, id=waiting[0].id, caller=PEOPLE["bia"]))
    assert isinstance(reply, Paid)
    assert ask(loja, casa).state is State.AWAITING_APPROVAL
    assert ask(casa).refusal is not None
