"""Rows <-> values: each table's columns, in the order of the schema, and nothing else knows them."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Table

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.header import Header
from ciranda.agreement.message import Decision
from ciranda.agreement.participant import State
from ciranda.engine.approval import Approval, Party, Queue, Signed, Subject
from ciranda.engine.customer import Customer
from ciranda.engine.key import Key
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.record import Clause, Record
from ciranda.identity import Ispb
from ciranda.ledger.account import Account, AccountKind, AccountStatus
from ciranda.ledger.entry import Entry
from ciranda.payment import Kind
from ciranda.refusal import Refusal
from ciranda.storage import schema

T = TypeVar("T")
Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_clauses = msgspec.json.Decoder(tuple[Clause, ...])
_header = msgspec.json.Decoder(Header)
_refusal = msgspec.json.Decoder(Refusal)
_ballot = msgspec.json.Decoder(Ballot)
_accepted = msgspec.json.Decoder(tuple[Ballot, Decision])
_parties = msgspec.json.Decoder(tuple[Party, ...])
_approved = msgspec.json.Decoder(tuple[Signed, ...])


class Shape(Generic[T]):
    """How one kind of value is kept in its table."""

    def __init__(
        self, table: Table, to_row: Callable[[T], Row], from_row: Callable[[Sequence[Any]], T]
    ) -> None:
        self.table = table
        self.to_row = to_row
        self.from_row = from_row


def _json(value: object) -> str | None:
    return None if value is None else _encode(value).decode()


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(text.split()) if text else ()


def _record_to_row(record: Record) -> Row:
    return (
        record.id,
        record.kind.value,
        record.state.value,
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
    )


def _record_from_row(row: Sequence[Any]) -> Record:
    return Record(
        id=row[0],
        kind=Kind(row[1]),
        state=State(row[2]),
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
    )


def _account_to_row(account: Account) -> Row:
    return (
        account.id,
        account.kind.value,
        account.status.value,
        account.signatures,
        " ".join(account.holders),
        account.balance,
        account.held,
        account.incoming,
        account.floor,
        account.ceiling,
        account.entries,
        account.opened_at,
    )


def _account_from_row(row: Sequence[Any]) -> Account:
    return Account(
        id=row[0],
        kind=AccountKind(row[1]),
        status=AccountStatus(row[2]),
        signatures=row[3],
        holders=_words(row[4]),  # type: ignore[arg-type]
        balance=row[5],
        held=row[6],
        incoming=row[7],
        floor=row[8],
        ceiling=row[9],
        entries=row[10],
        opened_at=row[11],
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


def _plain(shape: type[T], table: Table) -> Shape[T]:
    """Values whose fields are the table's columns."""
    names = [column.name for column in table.columns]

    def to_row(value: T) -> Row:
        return tuple([getattr(value, name) for name in names])

    def from_row(row: Sequence[Any]) -> T:
        return shape(**dict(zip(names, row, strict=True)))

    return Shape(table, to_row, from_row)


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
KEYS: Shape[Key] = _plain(Key, schema.keys)
LINKS: Shape[Link] = _with_scopes(Link, schema.links)
MANDATES: Shape[Mandate] = _with_scopes(Mandate, schema.mandates)
QUEUES: Shape[Queue] = _plain(Queue, schema.queues)
