"""Banks without a database: each is a view that holds everything, and `decide`.

After every step the book is looked through: what a careful auditor would check, in integers, from the records alone.
"""

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import TypeVar

from msgspec.structs import replace

from ciranda.agreement.header import concerns
from ciranda.agreement.message import Answer, Decision, Permission, Prepare, Question, Tell
from ciranda.agreement.participant import State
from ciranda.engine import needs
from ciranda.engine.bank import Bank
from ciranda.engine.customer import Customer
from ciranda.engine.decide import decide
from ciranda.engine.input import Begin, Heard, Input
from ciranda.engine.key import Claim
from ciranda.engine.limits import LimitRules, Limits
from ciranda.engine.mandate import Mandate, Use, token_of
from ciranda.engine.paying import parts_of
from ciranda.engine.record import Record, bookings_of, mandates_used
from ciranda.engine.reply import Answered, Paid, Reply
from ciranda.engine.spent import Spent, SpentKey
from ciranda.engine.view import View, ViolationSeen
from ciranda.identity import (
    VAULT,
    AccountId,
    Address,
    Document,
    EndToEndId,
    Ispb,
    bank_of,
    make_address,
    make_end_to_end_id,
    parse_document,
)
from ciranda.instant import Instant, later
from ciranda.ledger.account import AccountKind, clearing_account, customers_account, vault
from ciranda.ledger.booking import Booking
from ciranda.ledger.entry import Entry
from ciranda.ledger.trial_balance import assert_whole
from ciranda.payment import Kind, Transfer
from ciranda.roster import Member, Roster

K = TypeVar("K")
V = TypeVar("V")

A, B, C, D = (Ispb(f"1000000{digit}") for digit in "1234")
NOW = Instant(1_795_400_000_000)
PEOPLE = {
    "ana": parse_document("529.982.247-25"),
    "bia": parse_document("168.995.350-09"),
    "rui": parse_document("111.444.777-35"),
}


def roster(banks: list[Ispb], witnesses: int, credit_limit: int) -> Roster:
    return Roster(
        name="Roda",
        currency="BRL",
        version=1,
        witnesses=witnesses,
        deadline_ms=5_000,
        members={
            ispb: Member(
                ispb=ispb,
                name=ispb,
                slug=ispb,
                public_url="",
                peer_url="",
                public_key=bytes(32),
                credit_limit=credit_limit,
            )
            for ispb in banks
        },
    )


class Unspent(dict[SpentKey, Spent]):
    """Nothing was spent where there is no row."""

    def __missing__(self, key: SpentKey) -> Spent:
        return Spent(taken_from=key[0], period=key[1], amount=0)


class BankInMemory:
    def __init__(self, ispb: Ispb, its_roster: Roster) -> None:
        self.ispb = ispb
        self.view = View(Bank(ispb=ispb, roster=its_roster, mandate_secret=ispb.encode() * 4))
        own = [
            vault(NOW),
            *(clearing_account(m.ispb, m.credit_limit, NOW) for m in its_roster.peers_of(ispb)),
        ]
        self.view.accounts = {account.id: account for account in own}
        self.view.spent = Unspent()
        self.now = NOW
        self.entries: list[Entry] = []
        self.uses: list[Use] = []
        self.violations: list[ViolationSeen] = []
        self.said: dict[EndToEndId, set[str]] = {}
        """What was said of each payment once it was decided here: it may never be anything else."""

    def open(self, address: Address, holders: tuple[Document, ...], signatures: str | None = None) -> None:
        kind = AccountKind.JOINT if len(holders) > 1 else AccountKind.INDIVIDUAL
        account = customers_account(address, kind, holders, signatures, NOW)  # type: ignore[arg-type]
        self.view.accounts[address] = account
        self.view.chosen[address] = Limits(account=address)
        for holder in holders:
            self.view.customers[holder] = Customer(
                document=holder, name="Ana", individual=None, created_at=NOW
            )

    def keep_limits(self, rules: LimitRules) -> None:
        self.view.bank = replace(self.view.bank, limits=rules)

    def do(self, input: Input) -> Reply:
        before = dict(self.view.records)
        step = decide(self.seen(input), input, self.now)
        assert_whole(self.view.accounts, {**step.writes.opened, **step.writes.accounts})
        self.view.apply(step.writes)
        self.entries += step.writes.entries
        self.uses += step.writes.uses
        self.violations += step.writes.violations
        self.look_through(before)
        return step.reply

    def seen(self, input: Input) -> View:
        """What `decide` is shown: everything."""
        return self.view

    def ask(self, sender: Ispb, question: Question) -> Answer:
        reply = self.do(Heard(sender=sender, question=question))  # type: ignore[arg-type]
        assert isinstance(reply, Answered)
        return reply.answer

    def look_through(self, before: dict[EndToEndId, Record]) -> None:
        """I1 and I8: every figure of the book follows from the records, by counting."""
        balance: dict[AccountId, int] = {}
        held: dict[AccountId, int] = {}
        incoming: dict[AccountId, int] = {}
        used: dict[str, int] = {}
        spent: dict[SpentKey, int] = {}
        for record in self.view.records.values():
            bookings: list[Booking] = bookings_of(record.clauses, self.ispb)
            if record.state in (State.PREPARED, State.COMMITTED):
                for id, amount in mandates_used(record.clauses).items():
                    used[id] = used.get(id, 0) + amount
                for one in record.counted:
                    spent[one.key] = spent.get(one.key, 0) + one.amount
            for booking in bookings:
                if record.state is State.COMMITTED:
                    balance[booking.debit] = balance.get(booking.debit, 0) - booking.amount
                    balance[booking.credit] = balance.get(booking.credit, 0) + booking.amount
                if record.state is State.PREPARED:
                    held[booking.debit] = held.get(booking.debit, 0) + booking.amount
                    incoming[booking.credit] = incoming.get(booking.credit, 0) + booking.amount
        for id, account in self.view.accounts.items():
            assert account.balance == balance.get(id, 0), id
            assert account.held == held.get(id, 0), id
            assert account.incoming == incoming.get(id, 0), id
            assert account.balance - account.held >= account.floor, id
            assert account.balance <= account.ceiling, id
            lines = [entry for entry in self.entries if entry.account == id]
            assert [entry.number for entry in lines] == list(range(1, account.entries + 1)), id
            assert (lines[-1].balance if lines else 0) == account.balance, id
        assert sum(account.balance for account in self.view.accounts.values()) == 0
        for mandate in self.view.mandates.values():
            assert mandate.used == used.get(mandate.id, 0), mandate.id
            assert mandate.total is None or mandate.used <= mandate.total
            undone = {id for id, record in self.view.records.items() if record.state is State.ABORTED}
            uses = [use for use in self.uses if use.mandate == mandate.id and use.payment not in undone]
            assert sum(use.amount for use in uses) == mandate.used, mandate.id
        for key in self.view.spent.keys() | spent.keys():
            assert self.view.spent[key].amount == spent.get(key, 0), key
        self._look_at_what_waits()
        for id, old in before.items():
            new = self.view.records[id]
            if old.state.decided:
                assert (new.state, new.refusal, new.decided_at) == (old.state, old.refusal, old.decided_at)
            if old.state is State.PREPARED:
                assert new.state is not State.UNKNOWN, "nothing is forgotten"

    def _look_at_what_waits(self) -> None:
        """What waits has an open approval with somebody's signature missing; and its accounts are counted."""
        open = [approval for approval in self.view.approvals.values() if approval.ended_at is None]
        for approval in self.view.approvals.values():
            assert (approval.ended_at is None) <= bool(approval.missing), approval
            assert (approval.ended_at is None) or approval.sealed is None
            assert (approval.refused_by is None) or approval.missing
        waiting = {id for id, record in self.view.records.items() if record.state is State.AWAITING_APPROVAL}
        waiting_mandates = {
            id
            for id, mandate in self.view.mandates.items()
            if mandate.approved_at is None and mandate.revoked_at is None
        }
        assert {approval.id for approval in open} == waiting | waiting_mandates
        counted = Counter(party.account for approval in open for party in approval.parties)
        assert {
            queue.account: queue.waiting for queue in self.view.queues.values() if queue.waiting
        } == counted


class FrugalBank(BankInMemory):
    """Shows `decide` no more than the storage would read."""

    def seen(self, input: Input) -> View:
        whole, seen = self.view, View(self.view.bank)
        seen.keys = _only(whole.keys, needs.claims([input], self.now))
        seen.customers = _only(whole.customers, needs.customers([input]))
        seen.records = _only(whole.records, needs.questions([input]) | needs.records([input], seen))
        seen.mandates = _only(whole.mandates, needs.mandates([input], seen))
        seen.accounts = _only(whole.accounts, needs.accounts([input], seen))
        seen.approvals = _only(whole.approvals, needs.approvals([input], seen))
        seen.queues = _only(whole.queues, needs.queues(seen))
        seen.chosen = _only(whole.chosen, needs.limits([input], seen))
        seen.spent = {key: whole.spent[key] for key in needs.spent(seen, self.now)}
        return seen


def _only(rows: dict[K, V], keys: Iterable[K]) -> dict[K, V]:
    return {key: rows[key] for key in keys if key in rows}


class Circle:
    """Some banks, and the payments between them, each message sent by hand."""

    def __init__(
        self,
        banks: list[Ispb],
        *,
        witnesses: int = 1,
        credit_limit: int = 10**12,
        kind: type[BankInMemory] = BankInMemory,
    ) -> None:
        its_roster = roster(banks, witnesses, credit_limit)
        self.banks = {ispb: kind(ispb, its_roster) for ispb in banks}
        self.orders: dict[EndToEndId, Begin] = {}
        self._count = 0

    def __getitem__(self, ispb: Ispb) -> BankInMemory:
        return self.banks[ispb]

    def address(self, person: str, bank: Ispb) -> Address:
        return make_address(bank, "0001", f"{int(sha256(person.encode()).hexdigest()[:6], 16) % 10**6:06d}")

    def begin(
        self,
        at: Ispb,
        caller: Document | None,
        transfers: list[Transfer],
        tokens: list[str | None] | None = None,
        *,
        kind: Kind = Kind.PAYMENT,
        key: str | None = None,
        unreachable: frozenset[Ispb] = frozenset(),
    ) -> Record:
        self._count += 1
        order = Begin(
            id=make_end_to_end_id(at, NOW, f"{self._count:011d}"),
            kind=kind,
            claim=Claim(scope=f"{caller}/{kind}", key=key or f"key{self._count}", body=str(transfers)),
            caller=caller,
            transfers=tuple(transfers),
            tokens=tuple(tokens or [None] * len(transfers)),
            salts=tuple(f"{index:032x}" for index in range(len(transfers))),
            description=None,
            reference=None,
            deadline=later(self[at].now, 5_000),
            unreachable=unreachable,
        )
        self.orders[order.id] = order
        reply = self[at].do(order)
        assert isinstance(reply, Paid), reply
        return reply.record

    def deposit(self, account: Address, amount: int) -> Record:
        transfer = Transfer(source=VAULT, target=account, amount=amount)
        return self.begin(bank_of(account), None, [transfer], kind=Kind.DEPOSIT)

    def give(self, mandate: Mandate) -> str:
        bank = self[bank_of(mandate.account)]
        bank.view.mandates[mandate.id] = mandate
        return token_of(mandate.id, bank.view.bank.mandate_secret)

    def prepare(self, id: EndToEndId, bank: Ispb, time_left_ms: int = 5_000) -> Prepare:
        """What the coordinator asks `bank`."""
        order = self.orders[id]
        record = self[bank_of_payment(id)].view.records[id]
        assert record.header is not None
        assert order.caller is not None
        parts = tuple(part for part in parts_of(order) if concerns(part, bank))
        return Prepare(
            header=record.header,
            parts=parts,
            payer=order.caller,
            permissions=tuple(
                Permission(index=part.index, mandate=token)
                for part in parts
                if bank_of(part.transfer.source) == bank and (token := order.tokens[part.index]) is not None
            ),
            description=None,
            reference=None,
            time_left_ms=time_left_ms,
        )

    def tell(self, id: EndToEndId, decision: Decision) -> Tell:
        record = self[bank_of_payment(id)].view.records[id]
        assert record.header is not None
        assert record.digest is not None
        return Tell(
            id=id, digest=record.digest, decision=decision, refusal=record.refusal, header=record.header
        )


def bank_of_payment(id: EndToEndId) -> Ispb:
    return Ispb(id[1:9])
