"""SQLite: one file, one writer, nothing to install.

WAL with `synchronous=FULL`: a commit is on the disk when it returns. There is one writer, so a row that was read stays
as it is; nothing is locked row by row.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Table

from ciranda.ports import Unavailable
from ciranda.storage.rows import Row
from ciranda.storage.transaction import RowKey, columns, key_columns, key_of

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    # A larger log is copied back less often: 18 against 23 microseconds a payment in batches of 1,000.
    "PRAGMA wal_autocheckpoint=10000",
    "PRAGMA cache_size=-65536",
    "PRAGMA busy_timeout=5000",
    "PRAGMA foreign_keys=ON",
)


class DatabaseTaken(Exception):
    """Another process serves this file."""


class SqliteDatabase:
    lanes = 1
    shared = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self) -> "Iterator[SqliteTransaction]":
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise Unavailable(str(error)) from error
        try:
            yield SqliteTransaction(self._connection)
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._rollback()
            raise Unavailable(str(error)) from error
        except BaseException:
            self._rollback()
            raise

    def _rollback(self) -> None:
        # A full disk may have rolled back already.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


class SqliteFile(SqliteDatabase):
    """A database in a file that nobody else serves."""

    def __init__(self, path: str) -> None:
        """Raises DatabaseTaken."""
        self._lock = _take(path)
        super().__init__(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        )
        for pragma in PRAGMAS:
            self._connection.execute(pragma)

    def close(self) -> None:
        super().close()
        os.close(self._lock)


def _take(path: str) -> int:
    """One process serves a file: a second one would not know what the first has in memory."""
    lock = os.open(path + ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DatabaseTaken(f"another process serves {path}") from error
    return lock


class SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def claim(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        existing = self.read(table, [key_of(table, row) for row in rows])
        taken = {key_of(table, row) for row in existing}
        self.insert(table, [row for row in rows if key_of(table, row) not in taken])
        return existing

    def reserve(self, table: Table, stubs: Sequence[Row]) -> list[Row]:
        return self.read(table, [key_of(table, stub) for stub in stubs])

    def read(self, table: Table, keys: Iterable[RowKey]) -> list[Row]:
        statement = _select(table)
        found = (self._connection.execute(statement, key).fetchone() for key in keys)
        return [row for row in found if row is not None]

    def find(self, table: Table, column: str, value: str) -> list[Row]:
        statement = f"SELECT {', '.join(columns(table))} FROM {table.name} WHERE {column} = ?"
        return self._connection.execute(statement, (value,)).fetchall()

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.executemany(_insert(table), rows)

    def upsert(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.executemany(_upsert(table), rows)

    def delete(self, table: Table, keys: Iterable[RowKey]) -> None:
        self._connection.executemany(f"DELETE FROM {table.name} WHERE {_where(table)}", list(keys))

    def note_violations(self, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.executemany(
                "INSERT INTO violations (at, peer, payment, reason) VALUES (?, ?, ?, ?)", rows
            )

    def rise(self) -> int:
        row = self._connection.execute("UPDATE bank SET height = height + 1 RETURNING height").fetchone()
        return int(row[0])


def _where(table: Table) -> str:
    return " AND ".join(f"{name} = ?" for name in key_columns(table))


@cache
def _select(table: Table) -> str:
    return f"SELECT {', '.join(columns(table))} FROM {table.name} WHERE {_where(table)}"


@cache
def _insert(table: Table) -> str:
    names = columns(table)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


@cache
def _upsert(table: Table) -> str:
    keys = key_columns(table)
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns(table) if name not in keys)
    return f"{_insert(table)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
