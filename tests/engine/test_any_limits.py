"""Any history of payments, debits by mandate, aborts, chosen limits and clocks that go and jump: no account and no mandate
ever spends more than it may in a transfer, a day or a night, nothing is refused that fits, and each abort gives back
exactly what it took.

The naive model keeps a list of everything that was taken, and adds up all of it each time.
"""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ciranda.agreement.message import Decision, Vote
from ciranda.agreement.participant import State
from ciranda.engine.input import Decide, PauseMandate, SetLimits, Told
from ciranda.engine.limits import Figures, LimitRules, Span
from ciranda.engine.mandate import Mandate
from ciranda.engine.reply import LimitsSet, MandateMade
from ciranda.identity import Address, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.payment import Transfer
from ciranda.refusal import Code, Refusal
from tests.engine.circle import NOW, PEOPLE, A, B, Circle, FrugalBank

SAO_PAULO = timezone(timedelta(hours=-3))
HOUR_MS = 60 * 60 * 1000
DEFAULTS = Figures(per_transfer=40, per_day=100, per_night=60)
PER_PAYMENT, PER_DAY, TOTAL = 35, 50, 120
OWNERS = ("ana", "bia")
AMOUNTS = st.integers(1, 45)
SPANS = st.sampled_from(sorted(Span))


class Taken(msgspec.Struct):
    """The naive model's note of one payment: what left `account`, when, and under which mandate."""

    payment: EndToEndId
    account: Address
    amounts: list[int]
    at: datetime
    mandate: str | None
    undone: bool = False

    @property
    def amount(self) -> int:
        return sum(self.amounts)

    @property
    def night(self) -> str | None:
        if 6 <= self.at.hour < 20:
            return None
        return f"{self.at - timedelta(hours=12):%Y-%m-%d}"


class Choice:
    """The naive model of one limit: what it is from when on."""

    def __init__(self, figure: int) -> None:
        self.steps = [(Instant(0), figure)]

    def now(self, now: Instant) -> int:
        return [figure for since, figure in self.steps if since <= now][-1]

    def choose(self, figure: int, now: Instant) -> None:
        present = self.now(now)
        awaited = [step for step in self.steps if step[0] > now]
        self.steps = [(Instant(0), min(figure, present))]
        if figure > present:
            since = Instant(now + 24 * HOUR_MS)
            if awaited and figure <= awaited[0][1]:
                since = min(since, awaited[0][0])
            self.steps.append((since, figure))


class AnyLimits(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.circle = Circle([A, B], kind=FrugalBank)
        self.bank = self.circle[A]
        self.taken: list[Taken] = []
        self.open: list[EndToEndId] = []
        self.tokens: dict[str, str] = {}
        self.paused: set[str] = set()
        self.choices: dict[tuple[Address, Span], Choice] = {}

    @initialize()
    def open_accounts(self) -> None:
        for person, document in PEOPLE.items():
            for ispb in (A, B):
                self.circle[ispb].open(self.circle.address(person, ispb), (document,))
        self.bank.keep_limits(LimitRules(persons=DEFAULTS, companies=Figures()))
        for person in OWNERS:
            address = self.account(person)
            self.circle.deposit(address, 10**6)
            self.choices |= {(address, span): Choice(DEFAULTS.of(span) or 0) for span in Span}
            mandate = Mandate(
                id=person,
                account=address,
                giver=PEOPLE[person],
                initiator=B,
                payer=PEOPLE[person],
                scopes=("pay",),
                per_payment=PER_PAYMENT,
                total=TOTAL,
                used=0,
                created_at=NOW,
                expires_at=Instant(NOW * 2),
                revoked_at=None,
                approved_at=NOW,
                per_day=PER_DAY,
            )
            self.tokens[person] = self.circle.give(mandate)

    def account(self, person: str, bank: Ispb = A) -> Address:
        return self.circle.address(person, bank)

    @rule(hours=st.floats(0.1, 30))
    def time_passes(self, hours: float) -> None:
        self.bank.now = Instant(self.bank.now + int(hours * HOUR_MS))

    @rule(hours=st.sampled_from([-72, -30, -24, -12, -1, 12, 48]))
    def the_clock_jumps(self, hours: int) -> None:
        self.bank.now = Instant(self.bank.now + hours * HOUR_MS)

    @rule(person=st.sampled_from(OWNERS), span=SPANS, figure=st.integers(0, 150))
    def a_holder_chooses(self, person: str, span: Span, figure: int) -> None:
        account = self.account(person)
        reply = self.bank.do(SetLimits(caller=PEOPLE[person], account=account, amounts={span: figure}))
        assert isinstance(reply, LimitsSet)
        self.choices[account, span].choose(figure, self.bank.now)
        for one in Span:
            present = reply.limits.of(one).at(self.bank.now, DEFAULTS.of(one))
            assert present == self.choices[account, one].now(self.bank.now)

    @rule(person=st.sampled_from(OWNERS), paused=st.booleans())
    def a_mandate_rests_or_goes_on(self, person: str, paused: bool) -> None:
        reply = self.bank.do(PauseMandate(caller=PEOPLE[person], id=person, paused=paused))
        assert isinstance(reply, MandateMade)
        self.paused = self.paused | {person} if paused else self.paused - {person}

    @rule(
        person=st.sampled_from(OWNERS), amounts=st.lists(AMOUNTS, min_size=1, max_size=3), far=st.booleans()
    )
    def a_holder_pays(self, person: str, amounts: list[int], far: bool) -> None:
        target = self.account("rui", B if far else A)
        transfers = [
            Transfer(source=self.account(person), target=target, amount=amount) for amount in amounts
        ]
        record = self.circle.begin(A, PEOPLE[person], transfers)
        self.judged(self.note(record.id, person, amounts, None), record.refusal)
        if record.state is State.PREPARED:
            self.open.append(record.id)

    @rule(person=st.sampled_from(OWNERS), amounts=st.lists(AMOUNTS, min_size=1, max_size=2))
    def another_bank_debits(self, person: str, amounts: list[int]) -> None:
        target = self.account("rui", B)
        transfers = [
            Transfer(source=self.account(person), target=target, amount=amount) for amount in amounts
        ]
        token = self.tokens[person]
        record = self.circle.begin(B, PEOPLE[person], transfers, [token] * len(transfers))
        vote = self.bank.ask(B, self.circle.prepare(record.id, A))
        assert isinstance(vote, Vote)
        self.judged(self.note(record.id, person, amounts, person), vote.refusal)
        if vote.refusal is None:
            self.open.append(record.id)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), commit=st.booleans())
    def it_is_decided(self, data: st.DataObject, commit: bool) -> None:
        id = data.draw(st.sampled_from(self.open))
        self.open.remove(id)
        decision = Decision.COMMIT if commit else Decision.ABORT
        coordinator = self.circle[Ispb(id[1:9])]
        coordinator.do(Decide(id=id, decision=decision, refusal=None))
        other = B if coordinator.ispb == A else A
        self.circle[other].ask(coordinator.ispb, self.circle.tell(id, decision))
        coordinator.do(Told(id=id, bank=other))
        if not commit:
            for taken in self.taken:
                taken.undone |= taken.payment == id

    def note(self, id: EndToEndId, person: str, amounts: list[int], mandate: str | None) -> Taken:
        at = datetime.fromtimestamp(self.bank.now / 1000, UTC).astimezone(SAO_PAULO)
        return Taken(payment=id, account=self.account(person), amounts=amounts, at=at, mandate=mandate)

    def judged(self, asked: Taken, refusal: Refusal | None) -> None:
        """The bank's word is the naive model's; what it allowed is noted."""
        expected = None
        if self.over_limits(asked):
            expected = Code.LIMIT_EXCEEDED
        if asked.mandate is not None and self.over_mandate(asked):
            expected = Code.MANDATE_EXCEEDED
        if asked.mandate in self.paused:
            expected = Code.NOT_PERMITTED
        assert (None if refusal is None else refusal.code) == expected, asked
        if refusal is None:
            self.taken.append(asked)

    def over_limits(self, asked: Taken) -> bool:
        counted = [one for one in self.taken if one.account == asked.account and not one.undone]
        today = sum(one.amount for one in counted if one.at.date() == asked.at.date())
        tonight = sum(one.amount for one in counted if one.night == asked.night)
        most = {span: self.choices[asked.account, span].now(self.bank.now) for span in Span}
        return (
            any(amount > most[Span.TRANSFER] for amount in asked.amounts)
            or today + asked.amount > most[Span.DAY]
            or (asked.night is not None and tonight + asked.amount > most[Span.NIGHT])
        )

    def over_mandate(self, asked: Taken) -> bool:
        used = [one for one in self.taken if one.mandate == asked.mandate and not one.undone]
        today = sum(one.amount for one in used if one.at.date() == asked.at.date())
        return (
            asked.amount > PER_PAYMENT
            or today + asked.amount > PER_DAY
            or sum(one.amount for one in used) + asked.amount > TOTAL
        )

    def teardown(self) -> None:
        for person in self.tokens:
            used = sum(one.amount for one in self.taken if one.mandate == person and not one.undone)
            assert self.bank.view.mandates[person].used == used
            paid = sum(
                one.amount for one in self.taken if one.account == self.account(person) and not one.undone
            )
            account = self.bank.view.accounts[self.account(person)]
            assert 10**6 - account.balance + account.held == paid


TestAnyLimits = AnyLimits.TestCase
TestAnyLimits.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True, print_blob=True
)
