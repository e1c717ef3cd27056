"""What was read, what is to be written, and the step from one to the other."""

from collections.abc import Iterable

import msgspec

from ciranda.engine.action import Action
from ciranda.engine.approval import Approval, Queue
from ciranda.engine.bank import Bank
from ciranda.engine.customer import Customer
from ciranda.engine.key import Key
from ciranda.engine.limits import Limits
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate, Use
from ciranda.engine.operator import Operator
from ciranda.engine.proposal import Proposal
from ciranda.engine.record import Record
from ciranda.engine.reply import Reply
from ciranda.engine.spent import Spent, SpentKey
from ciranda.identity import AccountId, Address, Document, EndToEndId, Ispb
from ciranda.ledger.account import Account
from ciranda.ledger.entry import Entry


class ViolationSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence for the operator."""

    peer: Ispb
    payment: EndToEndId
    reason: str


class Writes(msgspec.Struct, kw_only=True):
    """The rows that a step makes or changes. Money is among them, so they sum to zero (PROTOCOL I1)."""

    keys: dict[tuple[str, str], Key] = {}
    customers: dict[Document, Customer] = {}
    records: dict[EndToEndId, Record] = {}
    mandates: dict[str, Mandate] = {}
    accounts: dict[AccountId, Account] = {}
    opened: dict[AccountId, Account] = {}
    """Accounts that are new: to be inserted, never to replace another."""
    links: dict[tuple[Document, Address], Link | None] = {}
    """None removes the link."""
    approvals: dict[str, Approval] = {}
    queues: dict[AccountId, Queue] = {}
    chosen: dict[AccountId, Limits] = {}
    """What holders chose as their accounts' limits."""
    spent: dict[SpentKey, Spent] = {}
    uses: list[Use] = []
    entries: list[Entry] = []
    violations: list[ViolationSeen] = []
    operators: dict[str, Operator] = {}
    named: dict[str, Operator] = {}
    """Operators that are new: to be inserted, never to replace another."""
    proposals: dict[str, Proposal] = {}
    unguarded: list[Document] = []
    """Customers whose second factors and sessions are taken away."""
    limits: dict[Ispb, int] = {}
    """Credit limits that stand from here on, whatever the settings say."""
    actions: list[Action] = []

    def merge(self, later: "Writes") -> None:
        # Nearly all of them are empty, and looking is cheaper than updating.
        if later.keys:
            self.keys.update(later.keys)
        if later.customers:
            self.customers.update(later.customers)
        if later.records:
            self.records.update(later.records)
        if later.mandates:
            self.mandates.update(later.mandates)
        if later.accounts:
            self.accounts.update(later.accounts)
        if later.opened:
            self.opened.update(later.opened)
        if later.links:
            self.links.update(later.links)
        if later.approvals:
            self.approvals.update(later.approvals)
        if later.queues:
            self.queues.update(later.queues)
        if later.chosen:
            self.chosen.update(later.chosen)
        if later.spent:
            self.spent.update(later.spent)
        if later.uses:
            self.uses.extend(later.uses)
        if later.entries:
            self.entries.extend(later.entries)
        if later.violations:
            self.violations.extend(later.violations)
        if later.operators:
            self.operators.update(later.operators)
        if later.named:
            self.named.update(later.named)
        if later.proposals:
            self.proposals.update(later.proposals)
        if later.unguarded:
            self.unguarded.extend(later.unguarded)
        if later.limits:
            self.limits.update(later.limits)
        if later.actions:
            self.actions.extend(later.actions)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What must be done, in order."""

    writes: Writes
    """To be made durable first, all of it or none."""
    reply: Reply
    """To be heard only after that: a bank must never be heard to say what it could forget."""


class View:
    """Everything that the inputs of one batch need, as it was read, and as the steps so far have changed it."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.keys: dict[tuple[str, str], Key] = {}
        self.customers: dict[Document, Customer] = {}
        self.records: dict[EndToEndId, Record] = {}
        self.mandates: dict[str, Mandate] = {}
        self.accounts: dict[AccountId, Account] = {}
        self.links: dict[tuple[Document, Address], Link] = {}
        self.approvals: dict[str, Approval] = {}
        self.queues: dict[AccountId, Queue] = {}
        self.chosen: dict[AccountId, Limits] = {}
        """Of every account that was asked for, also where its holders chose nothing."""
        self.spent: dict[SpentKey, Spent] = {}
        """For everything that was asked for, also where it is nothing."""
        self.operators: dict[str, Operator] = {}
        self.proposals: dict[str, Proposal] = {}

    def apply(self, writes: Writes) -> None:
        """Later inputs of the batch see what earlier ones did."""
        self.keys.update(writes.keys)
        self.customers.update(writes.customers)
        self.records.update(writes.records)
        self.mandates.update(writes.mandates)
        self.accounts.update(writes.opened)
        self.accounts.update(writes.accounts)
        self.operators.update(writes.named)
        self.operators.update(writes.operators)
        self.proposals.update(writes.proposals)
        for owner_and_account, link in writes.links.items():
            if link is None:
                self.links.pop(owner_and_account, None)
            else:
                self.links[owner_and_account] = link
        self.approvals.update(writes.approvals)
        self.queues.update(writes.queues)
        self.chosen.update(writes.chosen)
        self.spent.update(writes.spent)

    def missing_holders(self, documents: Iterable[Document]) -> bool:
        return any(document not in self.customers for document in documents)
