"""Rows <-> values: each table's columns, in the order of the schema, and nothing else knows them."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args

import msgspec
from sqlalchemy import Table

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.header import Header
from ciranda.agreement.message import Decision
from ciranda.agreement.participant import State
from ciranda.chain import SignedHead
from ciranda.engine.action import Action, Terms
from ciranda.engine.approval import Approval, Party, Queue, Signed, Subject
from ciranda.engine.attempts import Tally
from ciranda.engine.customer import Customer
from ciranda.engine.input import Deed
from ciranda.engine.key import Key
from ciranda.engine.limits import Limit, Limits
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate, Use
from ciranda.engine.operator import Operator, Role
from ciranda.engine.proposal import Proposal, ProposalStatus
from ciranda.engine.record import Clause, Record
from ciranda.engine.second_factor import SecondFactor
from ciranda.engine.spent import Spent
from ciranda.identity import Ispb
from ciranda.ledger.account import Account, AccountKind, AccountStatus
from ciranda.ledger.entry import Entry
from ciranda.payment import Kind
from ciranda.ports import Dispute
from ciranda.refusal import Refusal
from ciranda.storage import schema

T = TypeVar("T")
Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_clauses = msgspec.json.Decoder(tuple[Clause, ...])
_header = msgspec.json.Decoder(Header)
_refusal = msgspec.json.Decoder(Refusal)
_ballot = msgspec.json.Decoder(Ballot)
_counted = msgspec.json.Decoder(tuple[Spent, ...])
_accepted = msgspec.json.Decoder(tuple[Ballot, Decision])
_parties = msgspec.json.Decoder(tuple[Party, ...])
_approved = msgspec.json.Decoder(tuple[Signed, ...])
_terms = msgspec.json.Decoder(Terms)
_deeds: dict[str, msgspec.json.Decoder[Deed]] = {
    deed.__name__: msgspec.json.Decoder(deed) for deed in get_args(Deed)
}


class Shape(Generic[T]):
    """How one kind of value is kept in its table."""

    def __init__(
        self, table: Table, to_row: Callable[[T], Row], from_row: Callable[[Sequence[Any]], T]
    ) -> None:
        self.table = table
        self.to_row = to_row
        self.from_row = from_row


# Looking a name up is several times faster than asking the enumeration.
_kinds = {kind.value: kind for kind in Kind}
_states = {state.value: state for state in State}
_account_kinds = {kind.value: kind for kind in AccountKind}
_account_statuses = {status.value: status for status in AccountStatus}


def _json(value: object) -> str | None:
    return None if value is None else _encode(value).decode()


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(text.split()) if text else ()


def _record_to_row(record: Record) -> Row:
    return (
        record.id,
        record.kind._value_,
        record.state._value_,
        _json(record.clauses),
        record.payer,
        record.description,
        record.reference,
        record.created_at,
        record.decided_at,
        _json(record.refusal),
        record.digest,
        _json(record.header),
        _json(record.promised),
        _json(record.accepted),
        " ".join(record.untold) or None,
        record.due,
        _json(record.counted or None),
    )


RECORD_MOVES = ("state", "decided_at", "refusal", "promised", "accepted", "untold", "due")
"""What of a payment changes from its first row to its last."""


def record_move(record: Record) -> Row:
    """The payment's key, and its `RECORD_MOVES`."""
    return (
        record.id,
        record.state._value_,
        record.decided_at,
        _json(record.refusal),
        _json(record.promised),
        _json(record.accepted),
        " ".join(record.untold) or None,
        record.due,
    )


def only_moved(before: Record, after: Record) -> bool:
    """Whether nothing but `RECORD_MOVES` has changed. What `replace` left alone is the same object."""
    return (
        before.clauses is after.clauses
        and before.header is after.header
        and before.digest is after.digest
        and before.payer is after.payer
        and before.description is after.description
        and before.reference is after.reference
        and before.kind is after.kind
        and before.counted is after.counted
        and before.created_at == after.created_at
    )


def _record_from_row(row: Sequence[Any]) -> Record:
    return Record(
        id=row[0],
        kind=_kinds[row[1]],
        state=_states[row[2]],
        clauses=_clauses.decode(row[3]),
        payer=row[4],
        description=row[5],
        reference=row[6],
        created_at=row[7],
        decided_at=row[8],
        refusal=None if row[9] is None else _refusal.decode(row[9]),
        digest=row[10],
        header=None if row[11] is None else _header.decode(row[11]),
        promised=None if row[12] is None else _ballot.decode(row[12]),
        accepted=None if row[13] is None else _accepted.decode(row[13]),
        untold=tuple(Ispb(word) for word in _words(row[14])),
        due=row[15],
        counted=() if row[16] is None else _counted.decode(row[16]),
    )


def _account_to_row(account: Account) -> Row:
    return (
        account.id,
        account.kind._value_,
        account.status._value_,
        account.signatures,
        " ".join(account.holders),
        account.balance,
        account.held,
        account.incoming,
        account.floor,
        account.ceiling,
        account.entries,
        account.latest,
        account.opened_at,
    )


ACCOUNT_MOVES = ("status", "balance", "held", "incoming", "floor", "entries", "latest")
"""What of an account ever changes."""


def account_move(account: Account) -> Row:
    """The account's key, and its `ACCOUNT_MOVES`."""
    return (
        account.id,
        account.status._value_,
        account.balance,
        account.held,
        account.incoming,
        account.floor,
        account.entries,
        account.latest,
    )


def _account_from_row(row: Sequence[Any]) -> Account:
    return Account(
        id=row[0],
        kind=_account_kinds[row[1]],
        status=_account_statuses[row[2]],
        signatures=row[3],
        holders=_words(row[4]),  # type: ignore[arg-type]
        balance=row[5],
        held=row[6],
        incoming=row[7],
        floor=row[8],
        ceiling=row[9],
        entries=row[10],
        latest=row[11],
        opened_at=row[12],
    )


def _approval_to_row(approval: Approval) -> Row:
    return (
        approval.id,
        approval.subject.value,
        approval.asker,
        _json(approval.parties),
        _json(approval.approved),
        approval.refused_by,
        approval.sealed,
        approval.asked_at,
        approval.expires_at,
        approval.ended_at,
    )


def _approval_from_row(row: Sequence[Any]) -> Approval:
    return Approval(
        id=row[0],
        subject=Subject(row[1]),
        asker=row[2],
        parties=_parties.decode(row[3]),
        approved=_approved.decode(row[4]),
        refused_by=row[5],
        sealed=None if row[6] is None else bytes(row[6]),
        asked_at=row[7],
        expires_at=row[8],
        ended_at=row[9],
    )


def _limits_to_row(limits: Limits) -> Row:
    row: list[Any] = [limits.account]
    for limit in (limits.per_transfer, limits.per_day, limits.per_night):
        row += [limit.chosen, limit.raised_to, limit.raised_at]
    return tuple(row)


def _limits_from_row(row: Sequence[Any]) -> Limits:
    account, *figures = row
    per_transfer, per_day, per_night = (
        Limit(chosen=figures[place], raised_to=figures[place + 1], raised_at=figures[place + 2])
        for place in (0, 3, 6)
    )
    return Limits(account=account, per_transfer=per_transfer, per_day=per_day, per_night=per_night)


def _operator_from_row(row: Sequence[Any]) -> Operator:
    return Operator(
        name=row[0],
        role=Role(row[1]),
        cash_limit=row[2],
        token_hash=bytes(row[3]),
        expires_at=row[4],
        added_by=row[5],
        added_at=row[6],
        ended_at=row[7],
    )


def _proposal_to_row(proposal: Proposal) -> Row:
    return (
        proposal.id,
        type(proposal.deed).__name__,
        _json(proposal.deed),
        proposal.by,
        proposal.proposed_at,
        proposal.expires_at,
        proposal.status.value,
        proposal.decided_by,
        proposal.decided_at,
        proposal.outcome,
    )


def _proposal_from_row(row: Sequence[Any]) -> Proposal:
    return Proposal(
        id=row[0],
        deed=_deeds[row[1]].decode(row[2]),
        by=row[3],
        proposed_at=row[4],
        expires_at=row[5],
        status=ProposalStatus(row[6]),
        decided_by=row[7],
        decided_at=row[8],
        outcome=row[9],
    )


def _action_to_row(action: Action) -> Row:
    return (
        action.id,
        action.at,
        action.operator,
        action.action,
        action.subject,
        _json(action.terms),
        action.outcome,
    )


def _action_from_row(row: Sequence[Any]) -> Action:
    return Action(
        id=row[0],
        at=row[1],
        operator=row[2],
        action=row[3],
        subject=row[4],
        terms=_terms.decode(row[5]),
        outcome=row[6],
    )


def _factor_to_row(factor: SecondFactor) -> Row:
    return (
        factor.document,
        factor.sealed,
        factor.made_at,
        factor.confirmed_at,
        factor.used_step,
        factor.used_for,
        " ".join(factor.recovery),
        factor.payments_from,
        int(factor.at_login),
        factor.unguarded,
        factor.unguarded_since,
        factor.tally.forgotten_at,
        factor.tally.blocked_until,
    )


def _factor_from_row(row: Sequence[Any]) -> SecondFactor:
    return SecondFactor(
        document=row[0],
        sealed=bytes(row[1]),
        made_at=row[2],
        confirmed_at=row[3],
        used_step=row[4],
        used_for=row[5],
        recovery=_words(row[6]),
        payments_from=row[7],
        at_login=bool(row[8]),
        unguarded=row[9],
        unguarded_since=row[10],
        tally=Tally(forgotten_at=row[11], blocked_until=row[12]),
    )


def _head_to_row(head: SignedHead) -> Row:
    return (head.number, head.hash, head.at, head.signature, head.public_key)


def _head_from_row(row: Sequence[Any]) -> SignedHead:
    """Of a row of `heads`."""
    return _signed(row[0], row[1:6])


def _signed(bank: Ispb, row: Sequence[Any]) -> SignedHead:
    return SignedHead(
        bank=bank,
        number=row[0],
        hash=bytes(row[1]),
        at=row[2],
        signature=bytes(row[3]),
        public_key=bytes(row[4]),
    )


def _dispute_to_row(dispute: Dispute) -> Row:
    head = dispute.head
    return (head.bank, dispute.holder, *_head_to_row(head), dispute.shown, dispute.seen_at)


def _dispute_from_row(row: Sequence[Any]) -> Dispute:
    return Dispute(
        holder=row[1],
        head=_signed(row[0], row[2:7]),
        shown=None if row[7] is None else bytes(row[7]),
        seen_at=row[8],
    )


def _plain(shape: type[T], table: Table) -> Shape[T]:
    """Values whose fields are the table's columns."""
    names = [column.name for column in table.columns]

    def from_row(row: Sequence[Any]) -> T:
        return shape(**dict(zip(names, row, strict=True)))

    return Shape(table, attrgetter(*names), from_row)


def _with_scopes(shape: type[T], table: Table) -> Shape[T]:
    """The same, for values with `scopes`."""
    plain = _plain(shape, table)
    place = [column.name for column in table.columns].index("scopes")

    def to_row(value: T) -> Row:
        row = plain.to_row(value)
        return (*row[:place], " ".join(row[place]), *row[place + 1 :])

    def from_row(row: Sequence[Any]) -> T:
        return plain.from_row((*row[:place], _words(row[place]), *row[place + 1 :]))

    return Shape(table, to_row, from_row)


ACCOUNTS: Shape[Account] = Shape(schema.accounts, _account_to_row, _account_from_row)
RECORDS: Shape[Record] = Shape(schema.payments, _record_to_row, _record_from_row)
CUSTOMERS: Shape[Customer] = _plain(Customer, schema.customers)
APPROVALS: Shape[Approval] = Shape(schema.approvals, _approval_to_row, _approval_from_row)
ENTRIES: Shape[Entry] = _plain(Entry, schema.entries)
MARK_EVERY = 64
"""Of an account's entries, every 64th has a row in `marks`."""
KEYS: Shape[Key] = _plain(Key, schema.keys)
LIMITS: Shape[Limits] = Shape(schema.limits, _limits_to_row, _limits_from_row)
LINKS: Shape[Link] = _with_scopes(Link, schema.links)
MANDATES: Shape[Mandate] = _with_scopes(Mandate, schema.mandates)
QUEUES: Shape[Queue] = _plain(Queue, schema.queues)
SPENT: Shape[Spent] = _plain(Spent, schema.spent)
USES: Shape[Use] = _plain(Use, schema.uses)
OPERATORS: Shape[Operator] = Shape(
    schema.operators, _plain(Operator, schema.operators).to_row, _operator_from_row
)
PROPOSALS: Shape[Proposal] = Shape(schema.proposals, _proposal_to_row, _proposal_from_row)
ACTIONS: Shape[Action] = Shape(schema.actions, _action_to_row, _action_from_row)
HEADS: Shape[SignedHead] = Shape(schema.heads, _head_to_row, _head_from_row)
"""To what a copy says, without whose it is before it and the time after it."""
DISPUTES: Shape[Dispute] = Shape(schema.disputes, _dispute_to_row, _dispute_from_row)
SECOND_FACTORS: Shape[SecondFactor] = Shape(schema.second_factors, _factor_to_row, _factor_from_row)
