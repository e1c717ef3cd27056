"""PostgreSQL: for a bank whose workers share one database.

Rows travel as arrays, in binary, one statement a table. Locks are taken in the order of the keys, the same for every
worker, and a row that is to be made is inserted first and locked then: two workers that meet wait for each other, and
one of them sees what the other did.
"""

import asyncio
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import LargeBinary, Table, Text

from ciranda.instant import Instant
from ciranda.ports import Unavailable
from ciranda.storage.rows import Row
from ciranda.storage.transaction import Conflict, RowKey, columns, key_columns, key_of

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 15_000

T = TypeVar("T")

_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.QueryCanceled,
    # A standby, or a server that its operator has set to read only.
    errors.ReadOnlySqlTransaction,
)


class PostgresqlDatabase:
    """The port Database: a connection and a thread for each lane."""

    shared = True

    def __init__(self, url: str, lanes: int = 2) -> None:
        self.lanes = lanes
        self._url = url
        self._local = threading.local()
        self._open: list[psycopg.Connection[Row]] = []
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="writer")

    async def run(self, work: "Callable[[PostgresqlTransaction], T]") -> T:
        def whole() -> T:
            with self._transaction() as transaction:
                return work(transaction)

        return await asyncio.get_running_loop().run_in_executor(self._threads, whole)

    @contextmanager
    def _transaction(self) -> "Iterator[PostgresqlTransaction]":
        connection = self._connection()
        try:
            # What asks for nothing goes along with what does: four waits for the server a batch, not one a statement.
            with connection.pipeline(), connection.transaction():
                yield PostgresqlTransaction(connection)
        except (errors.SerializationFailure, errors.DeadlockDetected) as error:
            raise Conflict(str(error)) from error
        except _AWAY as error:
            connection.close()
            raise Unavailable(str(error)) from error

    def _connection(self) -> psycopg.Connection[Row]:
        connection: psycopg.Connection[Row] | None = getattr(self._local, "connection", None)
        if connection is not None and not connection.closed:
            return connection
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                prepare_threshold=0,
                connect_timeout=CONNECT_TIMEOUT_S,
                options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c synchronous_commit=on",
                application_name="ciranda",
            )
        except psycopg.OperationalError as error:
            raise Unavailable(str(error)) from error
        connection.adapters.register_dumper(_Texts, _TextsDumper)
        connection.adapters.register_dumper(_Numbers, _NumbersDumper)
        self._local.connection = connection
        self._open.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._open:
            connection.close()


class PostgresqlTransaction:
    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._cursor = connection.cursor(binary=True)

    def claim(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        if not rows:
            return []
        ordered = sorted(rows, key=lambda row: key_of(table, row))
        made = set(self._cursor.execute(_claim(table), _arrays(table, columns(table), ordered)).fetchall())
        return self.read(table, [key for row in rows if (key := key_of(table, row)) not in made])

    def reserve(self, table: Table, stubs: Sequence[Row]) -> list[Row]:
        if not stubs:
            return []
        ordered = sorted(stubs, key=lambda row: key_of(table, row))
        self._cursor.execute(_claim(table), _arrays(table, columns(table), ordered))
        return self.read(table, [key_of(table, stub) for stub in stubs])

    def read(self, table: Table, keys: Iterable[RowKey]) -> list[Row]:
        keys = list(keys)
        if not keys:
            return []
        return self._cursor.execute(_select(table), _arrays(table, key_columns(table), keys)).fetchall()

    def find(self, table: Table, column: str, value: str) -> list[Row]:
        statement = f"SELECT {', '.join(columns(table))} FROM {table.name} WHERE {column} = %b"
        return self._cursor.execute(statement, (value,)).fetchall()

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._cursor.execute(_insert(table), _arrays(table, columns(table), rows))

    def upsert(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._cursor.execute(_upsert(table), _arrays(table, columns(table), rows))

    def change(self, table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> None:
        if rows:
            self._cursor.execute(_change(table, names), _arrays(table, (*key_columns(table), *names), rows))

    def delete(self, table: Table, keys: Iterable[RowKey]) -> None:
        keys = list(keys)
        if keys:
            self._cursor.execute(_delete(table), _arrays(table, key_columns(table), keys))

    def note_violations(self, rows: Sequence[Row]) -> None:
        if rows:
            self._cursor.executemany(
                "INSERT INTO violations (at, peer, payment, reason) VALUES (%s, %s, %s, %s)", rows
            )

    def rise(self) -> int:
        row = self._cursor.execute("SELECT nextval('height')").fetchone()
        assert row is not None, "a sequence always has a next value"
        return int(row[0])

    def extend(self, at: Instant, contents: bytes) -> None:
        # Whoever writes the next folio waits for this commit, and sees it then. Both statements and the commit go to
        # the server together, so that nobody waits for this process besides.
        self._cursor.execute(_TAKE_TURN)
        self._cursor.execute(_EXTEND, {"at": at, "contents": contents})


_CHAIN_LOCK = 0x666F6C696F73
_TAKE_TURN = f"SELECT pg_advisory_xact_lock({_CHAIN_LOCK})"
_EXTEND = """
    WITH last AS (SELECT number, hash FROM folios ORDER BY number DESC LIMIT 1)
    INSERT INTO folios (number, at, hash, contents) VALUES (
        (SELECT number + 1 FROM last),
        %(at)b::bigint,
        (SELECT sha256(hash || int8send(number + 1) || int8send(%(at)b::bigint) || %(contents)b) FROM last),
        %(contents)b
    )
"""


class _Texts(list[str | None]):
    """A column."""


class _Numbers(list[int | None]):
    """A column."""


_COLUMN_HEAD = struct.Struct("!iiIii").pack
_LENGTH = struct.Struct("!i").pack
_NUMBER = struct.Struct("!iq").pack
_NULL = _LENGTH(-1)


class _TextsDumper(Dumper):
    """An array in binary, several times faster than psycopg's, which looks for each value's type anew."""

    format = Format.BINARY
    oid = 1009  # text[]

    def dump(self, values: "_Texts") -> bytes:
        parts = [_COLUMN_HEAD(1, 1, 25, len(values), 1)]
        for value in values:
            if value is None:
                parts.append(_NULL)
            else:
                text = value.encode()
                parts.append(_LENGTH(len(text)))
                parts.append(text)
        return b"".join(parts)


class _NumbersDumper(Dumper):
    format = Format.BINARY
    oid = 1016  # bigint[]

    def dump(self, values: "_Numbers") -> bytes:
        numbers = [_NULL if value is None else _NUMBER(8, value) for value in values]
        return _COLUMN_HEAD(1, 1, 20, len(values), 1) + b"".join(numbers)


def _arrays(table: Table, names: Iterable[str], rows: Sequence[Row]) -> list[list[Any]]:
    """One array a column."""
    kinds = _kinds(table, tuple(names))
    return [kind(column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)]


@cache
def _kinds(table: Table, names: tuple[str, ...]) -> list[type[list[Any]]]:
    types = [table.columns[name].type for name in names]
    return [
        _Texts if isinstance(kind, Text) else list if isinstance(kind, LargeBinary) else _Numbers
        for kind in types
    ]


def _unnest(table: Table, names: list[str]) -> str:
    casts = []
    for name in names:
        kind = table.columns[name].type
        casts.append(
            "%b::text[]"
            if isinstance(kind, Text)
            else "%b::bytea[]"
            if isinstance(kind, LargeBinary)
            else "%b::bigint[]"
        )
    return f"unnest({', '.join(casts)}) AS given({', '.join(names)})"


def _join(table: Table) -> str:
    return " AND ".join(f"{table.name}.{name} = given.{name}" for name in key_columns(table))


@cache
def _select(table: Table) -> str:
    keys = key_columns(table)
    names = ", ".join(f"{table.name}.{name}" for name in columns(table))
    order = ", ".join(f"{table.name}.{name}" for name in keys)
    return (
        f"SELECT {names} FROM {table.name} JOIN {_unnest(table, keys)} ON {_join(table)}"
        f" ORDER BY {order} FOR UPDATE OF {table.name}"
    )


@cache
def _insert(table: Table) -> str:
    names = columns(table)
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM {_unnest(table, names)}"


@cache
def _claim(table: Table) -> str:
    return f"{_insert(table)} ON CONFLICT DO NOTHING RETURNING {', '.join(key_columns(table))}"


@cache
def _upsert(table: Table) -> str:
    keys = key_columns(table)
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns(table) if name not in keys)
    return f"{_insert(table)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"


@cache
def _change(table: Table, names: tuple[str, ...]) -> str:
    changes = ", ".join(f"{name} = given.{name}" for name in names)
    given = _unnest(table, [*key_columns(table), *names])
    return f"UPDATE {table.name} SET {changes} FROM {given} WHERE {_join(table)}"


@cache
def _delete(table: Table) -> str:
    return f"DELETE FROM {table.name} USING {_unnest(table, key_columns(table))} WHERE {_join(table)}"
