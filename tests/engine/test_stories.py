"""Stories that anyone can read: what is asked of the banks, line by line, and what they answer.

Each file in `stories/` is one story. A line is a command; the line under it, after `=`, is the answer. People are ana,
bia and rui, accounts are written `ana@A`; P1, P2 … are payments and m1, m2 … mandates, named where they are made.
"""

import re
from pathlib import Path

import pytest

from ciranda.agreement.message import Answer, Ask, Busy, Decided, Decision, Done, Violated, Vote
from ciranda.engine.input import ChangeAccount, Decide
from ciranda.engine.mandate import Mandate
from ciranda.engine.record import Record
from ciranda.engine.reply import AccountMade, Denied, Known
from ciranda.identity import Address, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.payment import Transfer
from tests.engine.circle import NOW, PEOPLE, A, B, C, Circle, D

BANKS = {"A": A, "B": B, "C": C, "D": D}
LETTERS = {ispb: letter for letter, ispb in BANKS.items()}
STORIES = sorted((Path(__file__).parent / "stories").glob("*.txt"))


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_written(story: Path) -> None:
    told = Teller()
    lines = [line.rstrip() for line in story.read_text().splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not line.startswith(("#", "=")):
            answer = told.tell(line)
            expected = lines[number] if number < len(lines) else ""
            assert expected == f"= {answer}", f"{story.name}:{number}: {line}"


class Teller:
    def __init__(self) -> None:
        self.circle = Circle(list(BANKS.values()), credit_limit=1_000)
        self.payments: dict[str, EndToEndId] = {}
        self.tokens: dict[str, str] = {}
        self.ids: dict[str, tuple[Ispb, str]] = {}

    def tell(self, line: str) -> str:
        for pattern, method in COMMANDS:
            match = re.fullmatch(pattern, line)
            if match:
                answer: str = getattr(self, method)(**match.groupdict())
                return answer
        raise AssertionError(f"nobody understands: {line}")

    def account(self, name: str) -> Address:
        person, bank = name.split("@")
        return self.circle.address(person, BANKS[bank])

    def opens(self, account: str, people: str | None, signatures: str | None) -> str:
        person, bank = account.split("@")
        holders = tuple(PEOPLE[one] for one in (people or person).split("+"))
        self.circle[BANKS[bank]].open(self.account(account), holders, signatures)
        return "open"

    def deposits(self, amount: str, account: str) -> str:
        return self.outcome(self.circle.deposit(self.account(account), int(amount)))

    def gives(self, name: str, account: str, bank: str, total: str | None, each: str | None) -> str:
        person, holder = account.split("@")
        document = PEOPLE[person]
        mandate = Mandate(
            id=name,
            account=self.account(account),
            giver=document,
            initiator=BANKS[bank],
            payer=document,
            scopes=("pay",),
            per_payment=None if each is None else int(each),
            total=None if total is None else int(total),
            used=0,
            created_at=NOW,
            expires_at=Instant(NOW + 10**9),
            revoked_at=None,
        )
        self.tokens[name] = self.circle.give(mandate)
        self.ids[name] = (BANKS[holder], name)
        return "given"

    def pays(
        self, name: str, person: str, bank: str, transfers: str, key: str | None, down: str | None
    ) -> str:
        moves, tokens = [], []
        for transfer in transfers.split(", "):
            match = re.fullmatch(r"(\d+) (\S+) -> (\S+)( with (\w+))?", transfer)
            assert match, transfer
            amount, source, target, _, mandate = match.groups()
            moves.append(
                Transfer(source=self.account(source), target=self.account(target), amount=int(amount))
            )
            tokens.append(None if mandate is None else self.tokens[mandate])
        unreachable = frozenset([BANKS[down]] if down else [])
        record = self.circle.begin(
            BANKS[bank], PEOPLE[person], moves, tokens, key=key, unreachable=unreachable
        )
        self.payments[name] = record.id
        earlier = [other for other, id in self.payments.items() if id == record.id and other != name]
        return f"the same as {earlier[0]}: {self.outcome(record)}" if earlier else self.outcome(record)

    def prepares(self, name: str, bank: str, late: str | None) -> str:
        id = self.payments[name]
        question = self.circle.prepare(id, BANKS[bank], 0 if late else 1_000)
        return self.said(self.circle[BANKS[bank]].ask(Ispb(id[1:9]), question))

    def decides(self, bank: str, decision: str, name: str) -> str:
        decide = Decide(id=self.payments[name], decision=Decision(decision), refusal=None)
        reply = self.circle[BANKS[bank]].do(decide)
        assert isinstance(reply, Known)
        assert reply.record is not None
        return self.outcome(reply.record)

    def tells(self, sender: str, bank: str, name: str, decision: str) -> str:
        question = self.circle.tell(self.payments[name], Decision(decision))
        return self.said(self.circle[BANKS[bank]].ask(BANKS[sender], question))

    def asks(self, sender: str, bank: str, name: str) -> str:
        id = self.payments[name]
        header = self.circle[Ispb(id[1:9])].view.records[id].header
        assert header is not None
        return self.said(self.circle[BANKS[bank]].ask(BANKS[sender], Ask(header=header, ballot=None)))

    def changes(self, bank: str, change: str, account: str) -> str:
        order = ChangeAccount(account=self.account(account), change=change)  # type: ignore[arg-type]
        reply = self.circle[BANKS[bank]].do(order)
        if isinstance(reply, Denied):
            return f"no: {reply.code}"
        assert isinstance(reply, AccountMade)
        return str(reply.account.status)

    def shows(self, account: str) -> str:
        bank = self.circle[BANKS[account.split("@")[1]]]
        found = bank.view.accounts[self.account(account)]
        return f"{found.balance}, {found.held} held" if found.held else str(found.balance)

    def owes(self, bank: str, peer: str) -> str:
        return str(self.circle[BANKS[bank]].view.accounts[f"clearing.{BANKS[peer]}"].balance)  # type: ignore[index]

    def used(self, name: str) -> str:
        bank, id = self.ids[name]
        return str(self.circle[bank].view.mandates[id].used)

    def outcome(self, record: Record) -> str:
        if record.refusal is not None:
            return f"refused: {record.refusal.code}, by {LETTERS[record.refusal.bank]}"
        return str(record.status)

    def said(self, answer: Answer) -> str:
        match answer:
            case Vote(refusal=None):
                return "yes"
            case Vote(refusal=refusal):
                assert refusal is not None
                return f"no: {refusal.code}"
            case Done():
                return "done"
            case Decided(decision=decision):
                return f"decided: {decision}"
            case Busy():
                return "busy"
            case Violated(reason=reason):
                return f"violation: {reason}"
            case _:
                raise AssertionError(answer)


_ACCOUNT, _BANK, _PAYMENT = r"\w+@[A-D]", r"[A-D]", r"P\d+"
COMMANDS = [
    (rf"open (?P<account>{_ACCOUNT})( of (?P<people>[\w+]+), (?P<signatures>any|all) may sign)?", "opens"),
    (rf"deposit (?P<amount>\d+) to (?P<account>{_ACCOUNT})", "deposits"),
    (
        rf"(?P<name>m\d+): (?P<account>{_ACCOUNT}) allows (?P<bank>{_BANK})"
        r"( up to (?P<total>\d+))?( and (?P<each>\d+) each)?",
        "gives",
    ),
    (
        rf"(?P<name>{_PAYMENT}): (?P<person>\w+) at (?P<bank>{_BANK}) pays (?P<transfers>.+?)"
        rf"(, key (?P<key>\w+))?(, while (?P<down>{_BANK}) is down)?",
        "pays",
    ),
    (rf"prepare (?P<name>{_PAYMENT}) at (?P<bank>{_BANK})(?P<late>, too late)?", "prepares"),
    (rf"(?P<bank>{_BANK}) decides (?P<decision>commit|abort) on (?P<name>{_PAYMENT})", "decides"),
    (
        rf"(?P<sender>{_BANK}) tells (?P<bank>{_BANK}) that (?P<name>{_PAYMENT}) is (?P<decision>commit|abort)",
        "tells",
    ),
    (rf"(?P<sender>{_BANK}) asks (?P<bank>{_BANK}) about (?P<name>{_PAYMENT})", "asks"),
    (rf"(?P<bank>{_BANK}) (?P<change>block|unblock|close)s (?P<account>{_ACCOUNT})", "changes"),
    (rf"(?P<account>{_ACCOUNT}) has", "shows"),
    (rf"(?P<bank>{_BANK}) owes (?P<peer>{_BANK})", "owes"),
    (r"(?P<name>m\d+) has used", "used"),
]
