"""Any history of payments between three banks, with messages lost, repeated and out of order, keeps every promise.

`BankInMemory.do` looks the whole book through after each step (I1, I8); here the histories are made, and the banks
compared with each other once everything is decided (I2, I3, I4), and with a naive model: a dict of integers.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from ciranda.agreement.message import Ask, Decided, Decision, Done, Violated, Vote
from ciranda.agreement.participant import State
from ciranda.engine.input import ChangeAccount, Decide, Told
from ciranda.engine.mandate import Mandate
from ciranda.engine.reply import DenialCode, Denied, Known, Paid
from ciranda.identity import Address, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.payment import Transfer
from tests.engine.circle import NOW, PEOPLE, A, B, C, Circle

BANKS = [A, B, C]
AMOUNTS = st.integers(0, 60)
Place = tuple[str, Ispb]
PLACES = st.tuples(st.sampled_from(sorted(PEOPLE)), st.sampled_from(BANKS))


class AnyHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.circle = Circle(BANKS, credit_limit=80)
        self.brought = 0
        self.tokens: dict[tuple[str, Ispb, Ispb], str] = {}
        self.votes: dict[tuple[EndToEndId, Ispb], bool] = {}
        self.open: list[EndToEndId] = []
        self.money: dict[Address, int] = {}
        """The naive model: what each account must have once all is decided."""

    @initialize()
    def open_accounts(self) -> None:
        for person, document in PEOPLE.items():
            for bank in BANKS:
                address = self.circle.address(person, bank)
                self.circle[bank].open(address, (document,))
                self.money[address] = 0
                for other in BANKS:
                    mandate = Mandate(
                        id=f"{person}{bank}{other}",
                        account=address,
                        giver=document,
                        initiator=other,
                        payer=document,
                        scopes=("pay",),
                        per_payment=50,
                        total=120,
                        used=0,
                        created_at=NOW,
                        expires_at=Instant(NOW + 10**9),
                        revoked_at=None,
                        approved_at=NOW,
                    )
                    self.tokens[person, bank, other] = self.circle.give(mandate)

    @rule(place=PLACES, amount=AMOUNTS)
    def somebody_brings_cash(self, place: Place, amount: int) -> None:
        account = self.circle.address(*place)
        record = self.circle.deposit(account, amount)
        if record.state is State.COMMITTED:
            self.brought += amount
            self.money[account] += amount

    @rule(
        at=st.sampled_from(BANKS),
        payer=st.sampled_from(sorted(PEOPLE)),
        legs=st.lists(st.tuples(st.sampled_from(BANKS), PLACES, AMOUNTS), min_size=1, max_size=3),
        key=st.none() | st.sampled_from(["one", "two"]),
        with_mandates=st.booleans(),
    )
    def somebody_pays(
        self,
        at: Ispb,
        payer: str,
        legs: list[tuple[Ispb, Place, int]],
        key: str | None,
        with_mandates: bool,
    ) -> None:
        transfers = [
            Transfer(
                source=self.circle.address(payer, bank), target=self.circle.address(*target), amount=amount
            )
            for bank, target, amount in legs
        ]
        tokens = [
            self.tokens[payer, bank, at] if with_mandates or bank == at else None for bank, _, _ in legs
        ]
        bank = self.circle[at]
        claim = (f"{PEOPLE[payer]}/payment", key or "")
        used = bank.view.keys.get(claim)
        if used is not None:
            before = dict(bank.view.accounts)
            first = self.circle.orders[EndToEndId(used.made or "")]
            reply = bank.do(replace(first, id=EndToEndId(f"{first.id[:-4]}used")))
            assert reply == Paid(record=bank.view.records[first.id])
            assert first.claim is not None, "what a client orders has a key"
            other = bank.do(replace(first, claim=replace(first.claim, body="another")))
            assert other == Denied(code=DenialCode.IDEMPOTENCY_MISMATCH)
            assert before == bank.view.accounts, "the same key again moves nothing"
            return
        record = self.circle.begin(at, PEOPLE[payer], transfers, tokens, key=key)
        if record.state is State.COMMITTED:
            self._settled(record.id)
        if record.state is State.PREPARED:
            self.open.append(record.id)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), late=st.booleans())
    def a_participant_is_asked(self, data: st.DataObject, late: bool) -> None:
        id = data.draw(st.sampled_from(self.open))
        record = self.circle[Ispb(id[1:9])].view.records[id]
        assert record.header is not None
        others = [bank for bank in record.header.participants if bank != id[1:9]]
        bank = data.draw(st.sampled_from(others))
        known = self.circle[bank].view.records.get(id)
        answer = self.circle[bank].ask(Ispb(id[1:9]), self.circle.prepare(id, bank, 0 if late else 1_000))
        assert isinstance(answer, Vote)
        yes = answer.refusal is None
        # A bank that said yes never says no until it is told to abort; one that said no never says yes.
        if (id, bank) in self.votes and (known is None or not known.state.decided):
            assert yes == self.votes[id, bank]
        self.votes.setdefault((id, bank), yes)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), give_up=st.booleans())
    def the_coordinator_decides(self, data: st.DataObject, give_up: bool) -> None:
        id = data.draw(st.sampled_from(self.open))
        coordinator = self.circle[Ispb(id[1:9])]
        header = coordinator.view.records[id].header
        assert header is not None
        others = [bank for bank in header.participants if bank != coordinator.ispb]
        all_yes = all(self.votes.get((id, bank)) is True for bank in others)
        decision = Decision.COMMIT if all_yes and not give_up else Decision.ABORT
        before = coordinator.view.records[id].state
        reply = coordinator.do(Decide(id=id, decision=decision, refusal=None))
        assert isinstance(reply, Known)
        assert reply.record is not None
        if before is State.PREPARED and reply.record.state is State.COMMITTED:
            self._settled(id)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_participant_asks_the_sole_witness(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self.open))
        coordinator = self.circle[Ispb(id[1:9])]
        header = coordinator.view.records[id].header
        assert header is not None
        asker = data.draw(st.sampled_from([bank for bank in header.participants if bank != coordinator.ispb]))
        answer = coordinator.ask(asker, Ask(header=header, ballot=None))
        assert isinstance(answer, Decided), "a sole witness that is asked decides"

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_decision_is_told(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self.open))
        coordinator = self.circle[Ispb(id[1:9])]
        record = coordinator.view.records[id]
        if not record.state.decided or record.header is None:
            return
        bank = data.draw(
            st.sampled_from([one for one in record.header.participants if one != coordinator.ispb])
        )
        self._tell(id, bank)

    @rule(place=PLACES, block=st.booleans())
    def the_operator_blocks_or_unblocks(self, place: Place, block: bool) -> None:
        change = "block" if block else "unblock"
        self.circle[place[1]].do(ChangeAccount(account=self.circle.address(*place), change=change))  # type: ignore[arg-type]

    def _tell(self, id: EndToEndId, bank: Ispb) -> None:
        coordinator = self.circle[Ispb(id[1:9])]
        committed = coordinator.view.records[id].state is State.COMMITTED
        decision = Decision.COMMIT if committed else Decision.ABORT
        answer = self.circle[bank].ask(coordinator.ispb, self.circle.tell(id, decision))
        assert isinstance(answer, Done)
        coordinator.do(Told(id=id, bank=bank))
        # A decision that contradicts it changes nothing: `look_through` sees to that.
        other = Decision.ABORT if committed else Decision.COMMIT
        assert isinstance(self.circle[bank].ask(coordinator.ispb, self.circle.tell(id, other)), Violated)

    def _settled(self, id: EndToEndId) -> None:
        for transfer in self.circle.orders[id].transfers:
            self.money[Address(transfer.source)] -= transfer.amount
            self.money[Address(transfer.target)] += transfer.amount

    def teardown(self) -> None:
        for id in self.open:
            coordinator = self.circle[Ispb(id[1:9])]
            coordinator.do(Decide(id=id, decision=Decision.ABORT, refusal=None))
            header = coordinator.view.records[id].header
            assert header is not None
            for bank in header.participants:
                if bank != coordinator.ispb:
                    self._tell(id, bank)
                    assert self.circle[bank].view.records[id].state is coordinator.view.records[id].state
                    if coordinator.view.records[id].state is State.COMMITTED:
                        assert self.votes[id, bank], (
                            "nothing is committed that a participant did not vote yes for"
                        )
            assert coordinator.view.records[id].due is None
        self._compare()

    def _compare(self) -> None:
        total = 0
        for bank in self.circle.banks.values():
            for account in bank.view.accounts.values():
                assert account.held == account.incoming == 0
                if account.holders:
                    assert account.balance == self.money[Address(account.id)]
                    total += account.balance
            for other in self.circle.banks.values():
                if other is not bank:
                    mine = bank.view.accounts[f"clearing.{other.ispb}"]  # type: ignore[index]
                    theirs = other.view.accounts[f"clearing.{bank.ispb}"]  # type: ignore[index]
                    assert mine.balance + theirs.balance == 0
        assert total == self.brought


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, print_blob=True
)
