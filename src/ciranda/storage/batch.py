"""The one way in for money: a batch of inputs, in one database transaction.

Read everything that the inputs need, locking rows in one global order; decide on each in turn over the same working
view; check that what changed sums to zero; write it all; commit once. The cost of a durable write is shared by all
payments that arrived in the meantime, and the row of a hot account is locked and written once.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ciranda.agreement.participant import State
from ciranda.engine import needs
from ciranda.engine.approval import Approval
from ciranda.engine.bank import Bank
from ciranda.engine.decide import decide
from ciranda.engine.input import Input
from ciranda.engine.key import Key
from ciranda.engine.record import Record
from ciranda.engine.reply import Reply
from ciranda.engine.view import View, Writes
from ciranda.identity import EndToEndId
from ciranda.instant import Instant
from ciranda.ledger.trial_balance import assert_whole
from ciranda.payment import Kind
from ciranda.storage import schema
from ciranda.storage.rows import (
    ACCOUNTS,
    APPROVALS,
    CUSTOMERS,
    ENTRIES,
    KEYS,
    LINKS,
    MANDATES,
    QUEUES,
    RECORDS,
    Shape,
)
from ciranda.storage.transaction import Transaction

T = TypeVar("T")
K = TypeVar("K")

Claims = dict[tuple[str, str], Key]


def run_batch(
    transaction: Transaction, bank: Bank, inputs: Sequence[Input], now: Instant
) -> tuple[list[Reply], bool]:
    """The replies, to be heard only after the commit; and whether anything was written."""
    claims = needs.claims(inputs, now)
    view = _read(transaction, bank, inputs, claims)
    accounts_before = dict(view.accounts)
    known_before = set(view.keys)
    replies: list[Reply] = []
    writes = Writes()
    for input in inputs:
        step = decide(view, input, now)
        view.apply(step.writes)
        writes.merge(step.writes)
        replies.append(step.reply)
    assert_whole(accounts_before, {**writes.opened, **writes.accounts})
    fresh_claims = {key: claim for key, claim in claims.items() if key not in known_before}
    _write(transaction, writes, fresh_claims, now)
    _forget_stubs(transaction, needs.questions(inputs), view)
    return replies, writes != Writes()


def _read(transaction: Transaction, bank: Bank, inputs: Sequence[Input], claims: Claims) -> View:
    view = View(bank)
    claimed = transaction.claim(schema.keys, [KEYS.to_row(claim) for claim in claims.values()])
    view.keys = {(key.scope, key.key): key for key in map(KEYS.from_row, claimed)}
    view.customers = _fetch(transaction, CUSTOMERS, needs.customers(inputs), lambda value: value.document)
    asked = needs.questions(inputs)
    own = needs.records(inputs, view) - asked
    rows = transaction.reserve(schema.payments, [RECORDS.to_row(_stub(id)) for id in asked])
    view.records = {record.id: record for row in rows if not _is_stub(record := RECORDS.from_row(row))}
    view.records |= _fetch(transaction, RECORDS, own, lambda value: value.id)
    view.mandates = _fetch(transaction, MANDATES, needs.mandates(inputs, view), lambda value: value.id)
    view.accounts = _fetch(transaction, ACCOUNTS, needs.accounts(inputs, view), lambda value: value.id)
    link_rows = transaction.read(schema.links, sorted(needs.links(inputs)))
    view.links = {(link.owner, link.account): link for link in map(LINKS.from_row, link_rows)}
    view.approvals = _fetch(transaction, APPROVALS, needs.approvals(inputs, view), lambda value: value.id)
    view.queues = _fetch(transaction, QUEUES, needs.queues(view), lambda value: value.account)
    return view


def _fetch(transaction: Transaction, shape: Shape[T], keys: Iterable[K], key: Callable[[T], K]) -> dict[K, T]:
    rows = transaction.read(shape.table, [(k,) for k in keys])
    return {key(value): value for value in map(shape.from_row, rows)}


def _write(transaction: Transaction, writes: Writes, claims: Claims, now: Instant) -> None:
    unused = [key for key in claims if key not in writes.keys]
    if unused:
        transaction.delete(schema.keys, unused)
    changed_keys = [key for id, key in writes.keys.items() if claims.get(id) != key]
    transaction.upsert(schema.keys, [KEYS.to_row(key) for key in changed_keys])
    transaction.upsert(schema.customers, [CUSTOMERS.to_row(value) for value in writes.customers.values()])
    transaction.upsert(schema.payments, [RECORDS.to_row(value) for value in writes.records.values()])
    transaction.upsert(schema.mandates, [MANDATES.to_row(value) for value in writes.mandates.values()])
    opened = [writes.accounts.pop(id, account) for id, account in writes.opened.items()]
    transaction.insert(schema.accounts, [ACCOUNTS.to_row(account) for account in opened])
    transaction.insert(
        schema.holdings, [(document, account.id) for account in opened for document in account.holders]
    )
    transaction.upsert(schema.accounts, [ACCOUNTS.to_row(value) for value in writes.accounts.values()])
    transaction.upsert(
        schema.links, [LINKS.to_row(link) for link in writes.links.values() if link is not None]
    )
    removed = [owner_and_account for owner_and_account, link in writes.links.items() if link is None]
    if removed:
        transaction.delete(schema.links, removed)
    _write_approvals(transaction, list(writes.approvals.values()))
    transaction.upsert(schema.queues, [QUEUES.to_row(value) for value in writes.queues.values()])
    transaction.insert(schema.entries, [ENTRIES.to_row(entry) for entry in writes.entries])
    transaction.note_violations([(now, seen.peer, seen.payment, seen.reason) for seen in writes.violations])


def _write_approvals(transaction: Transaction, approvals: list[Approval]) -> None:
    if not approvals:
        return
    transaction.upsert(schema.approvals, [APPROVALS.to_row(approval) for approval in approvals])
    awaited = {
        (holder, approval.id)
        for approval in approvals
        if approval.ended_at is None
        for holder in approval.missing
    }
    concerned = {(holder, approval.id) for approval in approvals for holder in approval.holders}
    transaction.claim(schema.awaited, sorted(awaited))
    transaction.delete(schema.awaited, sorted(concerned - awaited))


def _stub(id: EndToEndId) -> Record:
    """Keeps the place of a payment that another worker might be making at the same moment."""
    return Record(
        id=id,
        kind=Kind.PAYMENT,
        state=State.UNKNOWN,
        clauses=(),
        payer=None,
        description=None,
        reference=None,
        created_at=Instant(0),
    )


def _is_stub(record: Record) -> bool:
    return record.state is State.UNKNOWN and record.digest is None


def _forget_stubs(transaction: Transaction, asked: set[EndToEndId], view: View) -> None:
    unmade = [(id,) for id in asked if id not in view.records]
    if unmade:
        transaction.delete(schema.payments, unmade)
