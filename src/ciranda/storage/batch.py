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
from ciranda.engine.input import Act, Input
from ciranda.engine.key import Key
from ciranda.engine.limits import Limits
from ciranda.engine.record import Record
from ciranda.engine.reply import Reply
from ciranda.engine.spent import Spent, SpentKey
from ciranda.engine.view import View, Writes
from ciranda.identity import AccountId, Address, EndToEndId
from ciranda.instant import Instant
from ciranda.ledger.trial_balance import assert_whole
from ciranda.payment import Kind
from ciranda.storage import people, schema
from ciranda.storage.rows import (
    ACCOUNT_MOVES,
    ACCOUNTS,
    ACTIONS,
    APPROVALS,
    CUSTOMERS,
    ENTRIES,
    KEYS,
    LIMITS,
    LINKS,
    MANDATES,
    MARK_EVERY,
    OPERATORS,
    PROPOSALS,
    QUEUES,
    RECORD_MOVES,
    RECORDS,
    SPENT,
    USES,
    Shape,
    account_move,
    only_moved,
    record_move,
)
from ciranda.storage.transaction import Transaction

T = TypeVar("T")
K = TypeVar("K")

Claims = dict[tuple[str, str], Key]


def run_batch(
    transaction: Transaction, bank: Bank, inputs: Sequence[Input], now: Instant
) -> tuple[list[Reply], bool]:
    """The replies, to be heard only after the commit; and whether anything was written."""
    view = View(bank)
    work = _read_operators(transaction, view, inputs)
    claims = needs.claims(work, now)
    _read(transaction, view, work, claims, now)
    accounts_before = dict(view.accounts)
    known_before = set(view.keys)
    records_before = dict(view.records)
    replies: list[Reply] = []
    writes = Writes()
    for input in inputs:
        step = decide(view, input, now)
        view.apply(step.writes)
        writes.merge(step.writes)
        replies.append(step.reply)
    assert_whole(accounts_before, {**writes.opened, **writes.accounts})
    fresh_claims = {key: claim for key, claim in claims.items() if key not in known_before}
    _write(transaction, writes, fresh_claims, records_before, now)
    _forget_stubs(transaction, needs.questions(inputs), view)
    return replies, writes != Writes()


def _read_operators(transaction: Transaction, view: View, inputs: Sequence[Input]) -> Sequence[needs.Work]:
    """The inputs, with what operators want done in them."""
    if not any(isinstance(input, Act) for input in inputs):
        return inputs
    view.proposals = _fetch(transaction, PROPOSALS, needs.proposals(inputs), lambda value: value.id)
    names = needs.operators(inputs, view.proposals)
    view.operators = _fetch(transaction, OPERATORS, names, lambda value: value.name)
    return needs.with_deeds(inputs, view.proposals)


def _read(
    transaction: Transaction, view: View, inputs: Sequence[needs.Work], claims: Claims, now: Instant
) -> None:
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
    view.chosen = _read_limits(transaction, needs.limits(inputs, view))
    view.spent = _read_spent(transaction, needs.spent(view, now))
    view.approvals = _fetch(transaction, APPROVALS, needs.approvals(inputs, view), lambda value: value.id)
    view.queues = _fetch(transaction, QUEUES, needs.queues(view), lambda value: value.account)


def _read_limits(transaction: Transaction, accounts: set[AccountId]) -> dict[AccountId, Limits]:
    chosen = _fetch(transaction, LIMITS, accounts, lambda value: AccountId(value.account))
    return {id: Limits(account=Address(id)) for id in accounts} | chosen


def _read_spent(transaction: Transaction, keys: set[SpentKey]) -> dict[SpentKey, Spent]:
    if not keys:
        return {}
    rows = transaction.read(schema.spent, sorted(keys))
    found = {spent.key: spent for spent in map(SPENT.from_row, rows)}
    return {key: Spent(taken_from=key[0], period=key[1], amount=0) for key in keys} | found


def _fetch(transaction: Transaction, shape: Shape[T], keys: Iterable[K], key: Callable[[T], K]) -> dict[K, T]:
    rows = transaction.read(shape.table, [(k,) for k in keys])
    return {key(value): value for value in map(shape.from_row, rows)}


def _write(
    transaction: Transaction, writes: Writes, claims: Claims, before: dict[EndToEndId, Record], now: Instant
) -> None:
    unused = [key for key in claims if key not in writes.keys]
    if unused:
        transaction.delete(schema.keys, unused)
    changed_keys = [key for id, key in writes.keys.items() if claims.get(id) != key]
    transaction.upsert(schema.keys, [KEYS.to_row(key) for key in changed_keys])
    transaction.upsert(schema.customers, [CUSTOMERS.to_row(value) for value in writes.customers.values()])
    _write_records(transaction, writes, before)
    transaction.upsert(schema.mandates, [MANDATES.to_row(value) for value in writes.mandates.values()])
    opened = [writes.accounts.pop(id, account) for id, account in writes.opened.items()]
    transaction.insert(schema.accounts, [ACCOUNTS.to_row(account) for account in opened])
    transaction.insert(
        schema.holdings, [(document, account.id) for account in opened for document in account.holders]
    )
    transaction.change(
        schema.accounts, ACCOUNT_MOVES, [account_move(account) for account in writes.accounts.values()]
    )
    transaction.upsert(
        schema.links, [LINKS.to_row(link) for link in writes.links.values() if link is not None]
    )
    removed = [owner_and_account for owner_and_account, link in writes.links.items() if link is None]
    if removed:
        transaction.delete(schema.links, removed)
    transaction.upsert(schema.limits, [LIMITS.to_row(value) for value in writes.chosen.values()])
    transaction.upsert(schema.spent, [SPENT.to_row(value) for value in writes.spent.values()])
    transaction.insert(schema.uses, [USES.to_row(use) for use in writes.uses])
    _write_approvals(transaction, list(writes.approvals.values()))
    transaction.upsert(schema.queues, [QUEUES.to_row(value) for value in writes.queues.values()])
    transaction.insert(schema.entries, [ENTRIES.to_row(entry) for entry in writes.entries])
    transaction.insert(
        schema.marks,
        [(one.account, one.number, one.payment) for one in writes.entries if one.number % MARK_EVERY == 0],
    )
    _write_operators(transaction, writes, now)
    transaction.note_violations([(now, seen.peer, seen.payment, seen.reason) for seen in writes.violations])


def _write_records(transaction: Transaction, writes: Writes, before: dict[EndToEndId, Record]) -> None:
    """Most of a payment's row is written once; what follows is small."""
    whole, moves = [], []
    for record in writes.records.values():
        known = before.get(record.id)
        if known is not None and only_moved(known, record):
            moves.append(record_move(record))
        else:
            whole.append(RECORDS.to_row(record))
    transaction.upsert(schema.payments, whole)
    transaction.change(schema.payments, RECORD_MOVES, moves)


def _write_operators(transaction: Transaction, writes: Writes, now: Instant) -> None:
    if not writes.actions:
        return
    added = [writes.operators.pop(name, operator) for name, operator in writes.named.items()]
    transaction.insert(schema.operators, [OPERATORS.to_row(operator) for operator in added])
    transaction.upsert(schema.operators, [OPERATORS.to_row(value) for value in writes.operators.values()])
    transaction.upsert(schema.proposals, [PROPOSALS.to_row(value) for value in writes.proposals.values()])
    for document in writes.unguarded:
        people.remove_second_factor(transaction, document)
    transaction.upsert(schema.peer_limits, [(peer, limit, now) for peer, limit in writes.limits.items()])
    transaction.insert(schema.actions, [ACTIONS.to_row(action) for action in writes.actions])


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
