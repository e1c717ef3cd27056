"""Chaining: every transaction's writing goes through here, and what is of money or rights is noted for the chain.

What is in the chain stands in one table below, `STRIPS`. What is not, and why:

- `keys`, `attempts`: they guard for days at most, and say nothing of what was paid;
- `awaited`, `marks`, `queues`: ways to find what stands elsewhere;
- `heads`: copies that the peers have signed; `heights`, `bank.height`: what is checked against the peers all the time;
- when a session was used.

Of a payment and an account some columns change again and again, and the others never: the two are two *strips* of the
table, so that the digest of what changed needs nothing else of the row.

A row that the transaction has read and writes again is noted with what it was found as. If that is not what was written
last, somebody else has written in between, and the bank has gone on from there.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

import msgspec
from sqlalchemy import Table

from ciranda import chain
from ciranda.instant import Instant
from ciranda.storage import schema
from ciranda.storage.rows import ACCOUNT_MOVES, RECORD_MOVES, Row
from ciranda.storage.transaction import RowKey, Transaction, columns, key_columns, key_of


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """Some columns of a table, which are written together; those of the key come first."""

    name: str
    table: Table
    columns: tuple[str, ...]
    width: int
    """Of the key, in columns."""
    take: Callable[[Row], Row] | None
    """Out of a whole row; None: it is the whole row."""


def _whole(table: Table) -> tuple[Strip, ...]:
    return (_strip(str(table.name), table, tuple(columns(table))),)


def _in_two(table: Table, moves: tuple[str, ...]) -> tuple[Strip, ...]:
    """What never changes, and what does."""
    fixed = tuple(name for name in columns(table) if name not in moves)
    return (
        _strip(str(table.name), table, fixed),
        _strip(f"{table.name}.moves", table, (*key_columns(table), *moves)),
    )


def _strip(name: str, table: Table, names: tuple[str, ...], width: int | None = None) -> Strip:
    every = columns(table)
    places = tuple(every.index(one) for one in names)
    return Strip(
        name=name,
        table=table,
        columns=names,
        width=len(key_columns(table)) if width is None else width,
        take=None if list(names) == every else itemgetter(*places),
    )


_SEEN = ("at", "peer", "payment", "reason")

STRIPS: dict[Table, tuple[Strip, ...]] = {
    schema.payments: _in_two(schema.payments, RECORD_MOVES),
    schema.accounts: _in_two(schema.accounts, ACCOUNT_MOVES),
    schema.sessions: (
        _strip("sessions", schema.sessions, tuple(n for n in columns(schema.sessions) if n != "used_at")),
    ),
    # The database numbers them, so what they say is their key.
    schema.violations: (_strip("violations", schema.violations, _SEEN, width=len(_SEEN)),),
    **{
        table: _whole(table)
        for table in (
            schema.actions,
            schema.approvals,
            schema.customers,
            schema.disputes,
            schema.entries,
            schema.holdings,
            schema.limits,
            schema.links,
            schema.mandates,
            schema.operators,
            schema.peer_limits,
            schema.proposals,
            schema.second_factors,
            schema.secrets,
            schema.spent,
            schema.uses,
        )
    },
}

_REMOVABLE = {schema.links, schema.second_factors, schema.sessions}
"""Of all other tables no row is ever removed; what `delete` takes out of `payments` are places that were kept."""

_MOVES = {(schema.payments, RECORD_MOVES), (schema.accounts, ACCOUNT_MOVES)}


class Chaining:
    """A Transaction over another one."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._notes: dict[str, dict[RowKey, bytes]] = {}
        self._before: dict[str, dict[RowKey, bytes]] = {}
        self._found: dict[Table, dict[RowKey, Row]] = {}
        """The rows that were read: what is written again tells what it was found as."""
        self.rise = transaction.rise
        self.extend = transaction.extend

    def close(self, now: Instant) -> None:
        """Writes down what was noted: the last thing of the transaction."""
        if self._notes:
            self.extend(now, chain.contents_of(self._notes, self._before))

    def claim(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        present = self._look_at(table, self._transaction.claim(table, rows))
        if table in STRIPS:
            known = {key_of(table, row) for row in present}
            self._note(table, [row for row in rows if key_of(table, row) not in known])
        return present

    def reserve(self, table: Table, stubs: Sequence[Row]) -> list[Row]:
        rows = self._transaction.reserve(table, stubs)
        # A stub that is there for this transaction only was not found.
        self._look_at(table, [row for row in rows if row not in stubs])
        return rows

    def read(self, table: Table, keys: Iterable[RowKey]) -> list[Row]:
        return self._look_at(table, self._transaction.read(table, keys))

    def find(self, table: Table, column: str, value: str) -> list[Row]:
        return self._look_at(table, self._transaction.find(table, column, value))

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        self._transaction.insert(table, rows)
        self._note(table, rows)

    def upsert(self, table: Table, rows: Sequence[Row]) -> None:
        self._transaction.upsert(table, rows)
        self._note(table, rows)

    def change(self, table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> None:
        self._transaction.change(table, names, rows)
        if rows and table in STRIPS and table is not schema.sessions:
            assert (table, names) in _MOVES, f"{names} of {table.name} are no strip of it"
            self._note_in(STRIPS[table][1], rows, rows)

    def delete(self, table: Table, keys: Iterable[RowKey]) -> None:
        keys = list(keys)
        self._transaction.delete(table, keys)
        if keys and table in _REMOVABLE:
            (strip,) = STRIPS[table]
            self._notes.setdefault(strip.name, {}).update(dict.fromkeys(keys, chain.GONE))
            self._note_before(strip, keys)

    def note_violations(self, rows: Sequence[Row]) -> None:
        self._transaction.note_violations(rows)
        if rows:
            self._note_in(STRIPS[schema.violations][0], rows, rows)

    def _look_at(self, table: Table, rows: list[Row]) -> list[Row]:
        if rows and table in STRIPS:
            width = STRIPS[table][0].width
            self._found.setdefault(table, {}).update([(row[:width], row) for row in rows])
        return rows

    def _note(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            for strip in STRIPS.get(table, ()):
                self._note_in(strip, rows, rows if strip.take is None else map(strip.take, rows))

    def _note_in(self, strip: Strip, rows: Sequence[Row], parts: Iterable[Row]) -> None:
        width = strip.width
        keys = [row[:width] for row in rows]
        self._notes.setdefault(strip.name, {}).update(zip(keys, map(chain.digest, parts), strict=True))
        self._note_before(strip, keys)

    def _note_before(self, strip: Strip, keys: Sequence[RowKey]) -> None:
        found = self._found.get(strip.table)
        if found is None:
            return
        before, take = self._before.setdefault(strip.name, {}), strip.take
        for key in keys:
            row = found.get(key)
            if row is not None:
                part = row if take is None else take(row)
                before[key] = chain.digest(part)[: chain.BEFORE_BYTES]
