"""Transcripts: stories of some banks, one line for each thing that happens, told by the engine itself.

    banks A B, limit 1000
    A: deposit 100 to ana
    A: ana allows B as M1, up to 50 in all
    B: ana orders P1: ana@A -> bia@B 30 with M1
      = prepared
    B asks A: prepare P1
      = yes
    A: ana has 100, held 30

What is answered stands under the line, after `=`. Only "done" may be left out. Lines that say how things are (`has`,
`owes`, `used`, `spent`) are checked. Everybody has an account at every bank. The hours are those of São Paulo.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from msgspec.structs import replace

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import (
    Accepted,
    Answer,
    Ask,
    Decided,
    Decision,
    Done,
    Outbid,
    Promised,
    Propose,
    Question,
    Tell,
    Violated,
    Vote,
)
from ciranda.agreement.participant import State
from ciranda.engine.approval import WAIT_MS, Subject
from ciranda.engine.input import (
    Accept,
    Begin,
    ChangeAccount,
    Decide,
    Decline,
    Expire,
    GiveMandate,
    Input,
    PauseMandate,
    RevokeMandate,
    SetLimits,
    Sign,
    TakeBallot,
    Told,
)
from ciranda.engine.key import Claim
from ciranda.engine.limits import Figures, LimitRules, Span
from ciranda.engine.mandate import Mandate, token_of
from ciranda.engine.record import Record
from ciranda.engine.reply import BallotTaken, Denied, Known, LimitsSet, MandateMade, Paid, Reply
from ciranda.identity import VAULT, AccountId, Address, EndToEndId, Ispb, clearing, make_end_to_end_id
from ciranda.instant import Instant, later, parse_rfc3339
from ciranda.payment import Kind, Transfer
from ciranda.period import Period
from tests.engine.circle import NOW, PEOPLE, Circle, FrugalBank

_LETTERS = "ABCDE"
_LEG = re.compile(r"(\w+)@([A-Z]) -> (\w+)@([A-Z]) (\d+)(?: with (\w+))?")


def bank(letter: str) -> Ispb:
    return Ispb(f"1000000{_LETTERS.index(letter) + 1}" if letter in _LETTERS else letter * 8)


class Transcript:
    def __init__(self, file: Path) -> None:
        self._lines = [line.rstrip() for line in file.read_text().splitlines()]
        self._circle = Circle([])
        self._mandates: dict[str, tuple[Mandate, str]] = {}
        self._orders: dict[str, Begin] = {}

    def play(self) -> None:
        number = 0
        while number < len(self._lines):
            line, number = self._lines[number], number + 1
            if not line or line.startswith("#"):
                continue
            said = self._happen(line)
            expected = "done"
            if number < len(self._lines) and self._lines[number].lstrip().startswith("= "):
                expected, number = self._lines[number].strip().removeprefix("= "), number + 1
            assert said == expected, f"line {number}: {line}\n  said: {said}"

    def _happen(self, line: str) -> str:
        for pattern, act in _ACTS.items():
            if match := re.fullmatch(pattern, line):
                return act(self, *match.groups())
        raise AssertionError(f"nobody knows what this means: {line}")

    # The stage.

    def _banks(self, letters: str, witnesses: str | None, limit: str | None) -> str:
        banks = [bank(letter) for letter in letters.split()]
        self._circle = Circle(
            banks,
            witnesses=int(witnesses or 1),
            credit_limit=int(limit or 10**12),
            kind=FrugalBank,
        )
        for one in banks:
            for person, document in PEOPLE.items():
                self._circle[one].open(self._circle.address(person, one), (document,))
        return "done"

    def _open(self, at: str, name: str, one: str, other: str, signatures: str) -> str:
        holders = (PEOPLE[one], PEOPLE[other])
        self._circle[bank(at)].open(self._account(name, at), holders, signatures)
        return "done"

    def _account(self, name: str, at: str) -> Address:
        return self._circle.address(name, bank(at))

    def _id(self, name: str) -> EndToEndId:
        return self._orders[name].id

    def _name(self, id: EndToEndId) -> str:
        return next(name for name, order in self._orders.items() if order.id == id)

    # At the counter.

    def _cash(self, at: str, act: str, amount: str, name: str) -> str:
        account: tuple[AccountId, AccountId] = (VAULT, self._account(name, at))
        source, target = account if act == "deposit" else account[::-1]
        kind = Kind.DEPOSIT if act == "deposit" else Kind.WITHDRAWAL
        transfer = Transfer(source=source, target=target, amount=int(amount))
        record = self._circle.begin(bank(at), None, [transfer], kind=kind)
        return "done" if record.state is State.COMMITTED else self._state(record)

    def _change(self, at: str, change: str, name: str) -> str:
        how = cast(Literal["block", "unblock", "close"], change)
        return self._spell(
            self._circle[bank(at)].do(ChangeAccount(account=self._account(name, at), change=how))
        )

    def _allow(
        self,
        at: str,
        who: str,
        initiator: str,
        id: str,
        each: str | None,
        daily: str | None,
        total: str | None,
        starts_at: str | None,
    ) -> str:
        giver, account = PEOPLE[who], self._account(who, at)
        mandate = Mandate(
            id=id,
            account=account,
            giver=giver,
            initiator=bank(initiator),
            payer=giver,
            scopes=("pay",),
            per_payment=None if each is None else int(each),
            total=None if total is None else int(total),
            used=0,
            created_at=NOW,
            expires_at=Instant(NOW + 10**9),
            revoked_at=None,
            approved_at=NOW,
            per_day=None if daily is None else int(daily),
            starts_at=None if starts_at is None else _instant(starts_at),
        )
        self._mandates[id] = (mandate, self._circle.give(mandate))
        return "done"

    def _revoke(self, at: str, name: str) -> str:
        return self._end(at, None, name)

    def _end(self, at: str, who: str | None, name: str) -> str:
        caller = self._mandates[name][0].giver if who is None else PEOPLE[who]
        return self._spell(self._circle[bank(at)].do(RevokeMandate(caller=caller, id=name)))

    def _give(self, at: str, who: str, initiator: str, name: str, id: str, each: str | None) -> str:
        """At the counter, as a customer does it; `_allow` puts a mandate in its place."""
        mandate = Mandate(
            id=id,
            account=self._account(name, at),
            giver=PEOPLE[who],
            initiator=bank(initiator),
            payer=PEOPLE[who],
            scopes=("pay",),
            per_payment=None if each is None else int(each),
            total=None,
            used=0,
            created_at=NOW,
            expires_at=Instant(NOW + 10**9),
            revoked_at=None,
            approved_at=None,
        )
        self._mandates[id] = (mandate, token_of(id, self._circle[bank(at)].view.bank.mandate_secret))
        claim = Claim(scope=f"{who}/mandates", key=id, body=id)
        return self._spell(self._circle[bank(at)].do(GiveMandate(claim=claim, mandate=mandate)))

    # Signatures.

    def _sign(
        self, at: str, who: str, act: str, name: str, down: str | None = None, later: str | None = None
    ) -> str:
        subject, id, begin = Subject.MANDATE, name, None
        if name in self._orders:
            order = self._orders[name]
            away = frozenset() if down is None else frozenset([bank(down)])
            begin = replace(order, claim=None, unreachable=away)
            subject, id = Subject.PAYMENT, order.id
        signed = (
            Sign(subject=subject, id=id, caller=PEOPLE[who], begin=begin)
            if act == "approves"
            else Decline(subject=subject, id=id, caller=PEOPLE[who])
        )
        return self._spell(self._do_later(at, signed, WAIT_MS if later else 0))

    def _expire(self, at: str, after: str, name: str) -> str:
        subject = Subject.PAYMENT if name in self._orders else Subject.MANDATE
        id = self._orders[name].id if name in self._orders else name
        early = 1 if after == "a moment less than a day" else 0
        return self._spell(self._do_later(at, Expire(subject=subject, id=id), WAIT_MS - early))

    def _do_later(self, at: str, input: Input, after_ms: int) -> Reply:
        """The clock goes on for this once."""
        its_bank = self._circle[bank(at)]
        now, its_bank.now = its_bank.now, Instant(its_bank.now + after_ms)
        reply = its_bank.do(input)
        its_bank.now = now
        return reply

    # Orders.

    def _pause(self, at: str, who: str, act: str, name: str) -> str:
        order = PauseMandate(caller=PEOPLE[who], id=name, paused=act == "pauses")
        reply = self._circle[bank(at)].do(order)
        return "done" if isinstance(reply, MandateMade) else self._spell(reply)

    def _limits(self, at: str, transfer: str, day: str, night: str) -> str:
        figures = Figures(per_transfer=int(transfer), per_day=int(day), per_night=int(night))
        self._circle[bank(at)].keep_limits(LimitRules(persons=figures, companies=Figures()))
        return "done"

    def _choose(self, at: str, who: str, span: str, amount: str, whose: str | None) -> str:
        account = self._account(whose or who, at)
        order = SetLimits(caller=PEOPLE[who], account=account, amounts={Span(f"per_{span}"): int(amount)})
        return self._spell(self._circle[bank(at)].do(order))

    def _clock(self, at: str | None, time: str) -> str:
        for one in self._circle.banks.values() if at is None else [self._circle[bank(at)]]:
            one.now = _instant(time)
        return "done"

    def _order(self, at: str, who: str, name: str, key: str | None, down: str | None, legs: str) -> str:
        found = [_LEG.fullmatch(leg) for leg in legs.split(", ")]
        transfers, tokens = [], []
        for leg in found:
            assert leg is not None, f"no transfers: {legs}"
            source, from_bank, target, to_bank, amount, mandate = leg.groups()
            transfers.append(
                Transfer(
                    source=self._account(source, from_bank),
                    target=self._account(target, to_bank),
                    amount=int(amount),
                )
            )
            tokens.append(self._mandates[mandate][1] if mandate else None)
        order = Begin(
            id=make_end_to_end_id(bank(at), NOW, name.rjust(11, "0")),
            kind=Kind.PAYMENT,
            claim=Claim(scope=f"{who}/payments", key=key or name, body=str(transfers)),
            caller=PEOPLE[who],
            transfers=tuple(transfers),
            tokens=tuple(tokens),
            salts=tuple(f"{index:032x}" for index in range(len(transfers))),
            description=None,
            reference=None,
            deadline=later(NOW, 5_000),
            unreachable=frozenset() if down is None else frozenset([bank(down)]),
        )
        self._orders[name] = self._circle.orders[order.id] = order
        reply = self._circle[bank(at)].do(order)
        if isinstance(reply, Paid) and reply.record.id != order.id:
            return f"as {self._name(reply.record.id)}: {self._state(reply.record)}"
        return self._spell(reply)

    # Between banks.

    def _prepare(self, sender: str, receiver: str, name: str, late: str | None) -> str:
        time_left = 0 if late else 5_000
        return self._ask(sender, receiver, self._circle.prepare(self._id(name), bank(receiver), time_left))

    def _forged(self, sender: str, receiver: str, name: str) -> str:
        """A bank that lies about an amount."""
        prepare = self._circle.prepare(self._id(name), bank(receiver))
        part = prepare.parts[0]
        dearer = replace(part, transfer=replace(part.transfer, amount=part.transfer.amount + 1))
        return self._ask(sender, receiver, replace(prepare, parts=(dearer, *prepare.parts[1:])))

    def _tell(self, sender: str, receiver: str, decision: str, name: str) -> str:
        return self._ask(sender, receiver, self._told(name, Decision(decision)))

    def _told(self, name: str, decision: Decision) -> Tell:
        tell = self._circle.tell(self._id(name), decision)
        return tell if decision is Decision.ABORT else replace(tell, refusal=None)

    def _ask_sole(self, sender: str, receiver: str, name: str) -> str:
        header = self._circle.tell(self._id(name), Decision.ABORT).header
        return self._ask(sender, receiver, Ask(header=header, ballot=None))

    def _ask_promise(self, sender: str, receiver: str, name: str, round: str) -> str:
        header = self._circle.tell(self._id(name), Decision.ABORT).header
        return self._ask(sender, receiver, Ask(header=header, ballot=Ballot(int(round), bank(sender), 0)))

    def _propose(self, sender: str, receiver: str, decision: str, name: str, round: str) -> str:
        header = self._circle.tell(self._id(name), Decision.ABORT).header
        ballot = Ballot(int(round), bank(sender), 0)
        return self._ask(sender, receiver, Propose(header=header, ballot=ballot, decision=Decision(decision)))

    def _ask(self, sender: str, receiver: str, question: Question) -> str:
        return _spell_answer(self._circle[bank(receiver)].ask(bank(sender), question))

    # Alone.

    def _decide(self, at: str, name: str, decision: str) -> str:
        order = Decide(id=self._id(name), decision=Decision(decision), refusal=None)
        return self._spell(self._circle[bank(at)].do(order))

    def _acknowledge(self, at: str, other: str, name: str) -> str:
        self._circle[bank(at)].do(Told(id=self._id(name), bank=bank(other)))
        return "done"

    def _take_ballot(self, at: str, name: str) -> str:
        return self._spell(self._circle[bank(at)].do(TakeBallot(id=self._id(name), nonce=0, seen=None)))

    def _accept(self, at: str, decision: str, name: str, round: str, others: str) -> str:
        ballot = Ballot(int(round), bank(at), 0)
        order = Accept(
            id=self._id(name), ballot=ballot, decision=Decision(decision), others=len(others.split(" and "))
        )
        return self._spell(self._circle[bank(at)].do(order))

    # How things are.

    def _has(self, at: str, name: str, balance: str, held: str | None, incoming: str | None) -> str:
        account = self._circle[bank(at)].view.accounts[self._account(name, at)]
        assert (account.balance, account.held, account.incoming) == (
            int(balance),
            int(held or 0),
            int(incoming or 0),
        ), f"{name}@{at}"
        return "done"

    def _owes(self, at: str, other: str, amount: str) -> str:
        """A clearing account's debit balance is what the peer owes."""
        assert -self._circle[bank(at)].view.accounts[clearing(bank(other))].balance == int(amount)
        return "done"

    def _used(self, at: str, name: str, amount: str) -> str:
        assert self._circle[bank(at)].view.mandates[name].used == int(amount)
        return "done"

    def _spent(self, at: str, name: str, amount: str, period: str) -> str:
        taken_from = name if name in self._mandates else self._account(name, at)
        assert self._circle[bank(at)].view.spent[taken_from, Period(period)].amount == int(amount)
        return "done"

    def _saw(self, at: str, count: str) -> str:
        assert len(self._circle[bank(at)].violations) == int(count)
        return "done"

    # In words.

    def _spell(self, reply: Reply) -> str:
        match reply:
            case Paid(record=record):
                return self._state(record)
            case Known(record=record):
                return "unknown" if record is None else self._state(record)
            case MandateMade(mandate=mandate) if mandate.revoked_at is not None:
                return "ended"
            case MandateMade(mandate=mandate):
                return "given" if mandate.approved_at else "awaiting approval"
            case Denied(code=code):
                return f"denied, {code}"
            case LimitsSet(limits=limits):
                awaited = [limits.of(span).raised_at for span in Span]
                return "raised later" if any(awaited) else "done"
            case BallotTaken(ballot=ballot, record=record):
                return f"ballot {_spell_ballot(ballot)}{_spell_accepted(record.accepted)}"
            case _:
                return "done"

    def _state(self, record: Record) -> str:
        if record.refusal is not None:
            return f"refused by {_letter(record.refusal.bank)}, {record.refusal.code}"
        return {State.COMMITTED: "settled"}.get(record.state, record.state.value.replace("_", " "))


def _instant(text: str) -> Instant:
    return parse_rfc3339(f"{text}-03:00")


def _letter(ispb: Ispb) -> str:
    return _LETTERS[int(ispb[-1]) - 1]


def _spell_ballot(ballot: Ballot) -> str:
    return f"{ballot.round} of {_letter(ballot.bank)}"


def _spell_accepted(accepted: tuple[Ballot, Decision] | None) -> str:
    return "" if accepted is None else f", {accepted[1]} accepted under {_spell_ballot(accepted[0])}"


def _spell_answer(answer: Answer) -> str:
    match answer:
        case Vote(refusal=None):
            return "yes"
        case Vote(refusal=refusal):
            assert refusal is not None
            return f"no, {refusal.code}"
        case Accepted():
            return "accepted"
        case Outbid(ballot=ballot):
            return f"outbid by {_spell_ballot(ballot)}"
        case Promised(accepted=accepted):
            return f"promised{_spell_accepted(accepted)}"
        case Decided(decision=decision):
            return f"decided, {decision}"
        case Done():
            return "done"
        case Violated(reason=reason):
            return f"violation: {reason}"
        case _:
            return type(answer).__name__.lower()


_ACTS: dict[str, Callable[..., str]] = {
    r"banks ([A-E](?: [A-E])*)(?:, (\d) witness(?:es)?)?(?:, limit (\d+))?": Transcript._banks,
    r"([A-E]): open (\w+) of (\w+) and (\w+), (any|all) must sign": Transcript._open,
    r"([A-E]): (deposit|withdraw) (\d+) (?:to|from) (\w+)": Transcript._cash,
    r"([A-E]): (block|unblock|close) (\w+)": Transcript._change,
    r"([A-E]): (\w+) allows ([A-E]) as (\w+)(?:, up to (\d+) each)?(?:, up to (\d+) a day)?(?:, up to (\d+) in all)?"
    r"(?:, from (\S+ \S+) on)?": Transcript._allow,
    r"([A-E]): (\w+) is revoked": Transcript._revoke,
    r"([A-E]): (\w+) (pauses|resumes) (\w+)": Transcript._pause,
    r"([A-E]): keeps limits, (\d+) a transfer, (\d+) a day, (\d+) a night": Transcript._limits,
    r"([A-E]): (\w+) wants at most (\d+) a (transfer|day|night)(?: from (\w+)'s account)?": (
        lambda told, at, who, amount, span, whose: told._choose(at, who, span, amount, whose)
    ),
    r"(?:([A-E]): )?the clock shows (\S+ \S+)": Transcript._clock,
    r"([A-E]): (\w+) ends (\w+)": Transcript._end,
    r"([A-E]): (\w+) gives ([A-E]) a mandate for (\w+) as (\w+)(?:, up to (\d+) each)?": Transcript._give,
    r"([A-E]): (\w+) (approves|refuses) (\w+)(?: while ([A-E]) is down)?(, a day later)?": Transcript._sign,
    r"([A-E]): after (a day|a moment less than a day) (\w+) expires": Transcript._expire,
    r"([A-E]): (\w+) orders (\w+)(?: under key (\w+))?(?: while ([A-E]) is down)?: (.+)": Transcript._order,
    r"([A-E]) asks ([A-E]): prepare (\w+)(, too late)?": Transcript._prepare,
    r"([A-E]) asks ([A-E]): prepare (\w+), with another amount": Transcript._forged,
    r"([A-E]) tells ([A-E]): (commit|abort) (\w+)": Transcript._tell,
    r"([A-E]) asks ([A-E]): what of (\w+)": Transcript._ask_sole,
    r"([A-E]) asks ([A-E]): promise (\w+) ballot (\d+)": Transcript._ask_promise,
    r"([A-E]) asks ([A-E]): accept (commit|abort) of (\w+) ballot (\d+)": Transcript._propose,
    r"([A-E]): (\w+) is to (commit|abort)": Transcript._decide,
    r"([A-E]): ([A-E]) is done with (\w+)": Transcript._acknowledge,
    r"([A-E]): takes a ballot for (\w+)": Transcript._take_ballot,
    r"([A-E]): accepts (commit|abort) of (\w+) ballot (\d), as did ([A-E](?: and [A-E])*)": Transcript._accept,
    r"([A-E]): (\w+) has (\d+)(?:, held (\d+))?(?:, incoming (\d+))?": Transcript._has,
    r"([A-E]): ([A-E]) owes (-?\d+)": Transcript._owes,
    r"([A-E]): (\w+) used (\d+)": Transcript._used,
    r"([A-E]): (\w+) spent (\d+) in (\S+(?: night)?)": Transcript._spent,
    r"([A-E]): saw (\d+) violations?": Transcript._saw,
}
