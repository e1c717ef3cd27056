"""What was read, what is to be written, and the step from one to the other."""

from collections.abc import Iterable

import msgspec

from ciranda.engine.approval import Approval, Queue
from ciranda.engine.bank import Bank
from ciranda.engine.customer import Customer
from ciranda.engine.key import Key
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.record import Record
from ciranda.engine.reply import Reply
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
    entries: list[Entry] = []
    violations: list[ViolationSeen] = []

    def merge(self, later: "Writes") -> None:
        self.keys.update(later.keys)
        self.customers.update(later.customers)
        self.records.update(later.records)
        self.mandates.update(later.mandates)
        self.accounts.update(later.accounts)
        self.opened.update(later.opened)
        self.links.update(later.links)
        self.approvals.update(later.approvals)
        self.queues.update(later.queues)
        self.entries.extend(later.entries)
        self.violations.extend(later.violations)


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

    def apply(self, writes: Writes) -> None:
        """Later inputs of the batch see what earlier ones did."""
        self.keys.update(writes.keys)
        self.customers.update(writes.customers)
        self.records.update(writes.records)
        self.mandates.update(writes.mandates)
        self.accounts.update(writes.opened)
        self.accounts.update(writes.accounts)
        for owner_and_account, link in writes.links.items():
            if link is None:
                self.links.pop(owner_and_account, None)
            else:
                self.links[owner_and_account] = link
        self.approvals.update(writes.approvals)
        self.queues.update(writes.queues)

    def missing_holders(self, documents: Iterable[Document]) -> bool:
        return any(document not in self.customers for document in documents)
