"""SQLite: one file, one writer, nothing to install.

WAL with `synchronous=FULL`: a commit is on the disk when it returns. There is one writer, so a row that was read stays
as it is; nothing is locked row by row.

Statements run on the event loop, a few microseconds each; only commits, which wait for the disk, run in a thread. In a
thread each row would give Python's interpreter lock away and wait for it again (docs/decisions/0012).
"""

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from sqlalchemy import Table

from ciranda.chain import extended
from ciranda.instant import Instant
from ciranda.ports import Unavailable
from ciranda.storage import schema
from ciranda.storage.checkpoints import Checkpoints
from ciranda.storage.rows import Row
from ciranda.storage.transaction import RowKey, columns, key_columns, key_of

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA cache_size=-65536",
    # The event loop does not stand still while an operator's own tool writes: it asks again.
    "PRAGMA busy_timeout=0",
    "PRAGMA foreign_keys=ON",
)
BUSY_MAX_S = 5.0
BUSY_WAIT_S = 0.005

T = TypeVar("T")


class DatabaseTaken(Exception):
    """Another process serves this file."""


class SqliteDatabase:
    """Transactions over one connection, one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self) -> "Iterator[SqliteTransaction]":
        try:
            self._begin()
        except sqlite3.OperationalError as error:
            raise Unavailable(str(error)) from error
        with self._all_or_nothing():
            yield SqliteTransaction(self._connection)
            self._commit()

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
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
    """The port Database, on a file that nobody else serves."""

    lanes = 1
    shared = False

    def __init__(self, path: str) -> None:
        """Raises DatabaseTaken."""
        self._lock = _take(path)
        super().__init__(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        )
        for pragma in PRAGMAS:
            self._connection.execute(pragma)
        self._checkpoints = Checkpoints(path, self._connection)
        self._turn = asyncio.Lock()
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="committer")

    async def run(self, work: "Callable[[SqliteTransaction], T]") -> T:
        # Whoever asked may be gone before it is done: what has begun comes to its end, and then the next one begins.
        return await asyncio.shield(asyncio.create_task(self._run(work)))

    async def _run(self, work: "Callable[[SqliteTransaction], T]") -> T:
        async with self._turn:
            await self._wait_to_begin()
            with self._all_or_nothing():
                result = work(SqliteTransaction(self._connection))
                await asyncio.get_running_loop().run_in_executor(self._committer, self._commit)
            return result

    def _commit(self) -> None:
        super()._commit()
        self._checkpoints.committed()

    def _rollback(self) -> None:
        # Where commits are made: if one is under way, as it may be when everything is being broken off, it ends first.
        self._committer.submit(super()._rollback).result()

    async def _wait_to_begin(self) -> None:
        give_up = asyncio.get_running_loop().time() + BUSY_MAX_S
        while True:
            try:
                return self._begin()
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not busy or asyncio.get_running_loop().time() > give_up:
                    raise Unavailable(str(error)) from error
            await asyncio.sleep(BUSY_WAIT_S)

    def close(self) -> None:
        self._committer.shutdown()
        self._checkpoints.close()
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
        # Nearly always all keys are free, and then nothing need be read.
        existing: list[Row] = []
        place = 0
        while place < len(rows):
            before = self._connection.total_changes
            try:
                self._connection.executemany(_insert(table), rows[place:])
                break
            except sqlite3.IntegrityError:
                place += self._connection.total_changes - before
                row = self._connection.execute(_select(table), key_of(table, rows[place])).fetchone()
                if row is None:
                    raise
                existing.append(row)
                place += 1
        return existing

    def reserve(self, table: Table, stubs: Sequence[Row]) -> list[Row]:
        return self.read(table, [key_of(table, stub) for stub in stubs])

    def read(self, table: Table, keys: Iterable[RowKey]) -> list[Row]:
        keys = list(keys)
        if len(table.primary_key.columns) == 1:
            # One statement for all: each costs several times as much as a row.
            if not keys:
                return []
            names = json.dumps([key for (key,) in keys])
            return self._connection.execute(_select_all(table), (names,)).fetchall()
        found = (self._connection.execute(_select(table), key).fetchone() for key in keys)
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

    def change(self, table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> None:
        if rows:
            self._connection.executemany(_change(table, names), rows)

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

    def extend(self, at: Instant, contents: bytes) -> None:
        number, last = self._connection.execute(_LAST_FOLIO).fetchone()
        hash = extended(last, number + 1, at, contents)
        self._connection.execute(_insert(schema.folios), (number + 1, at, hash, contents))


_LAST_FOLIO = "SELECT number, hash FROM folios ORDER BY number DESC LIMIT 1"


def _where(table: Table) -> str:
    return " AND ".join(f"{name} = ?" for name in key_columns(table))


@cache
def _select(table: Table) -> str:
    return f"SELECT {', '.join(columns(table))} FROM {table.name} WHERE {_where(table)}"


@cache
def _select_all(table: Table) -> str:
    (key,) = key_columns(table)
    return f"SELECT {', '.join(columns(table))} FROM {table.name} WHERE {key} IN (SELECT value FROM json_each(?))"


@cache
def _insert(table: Table) -> str:
    names = columns(table)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


@cache
def _upsert(table: Table) -> str:
    keys = key_columns(table)
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns(table) if name not in keys)
    return f"{_insert(table)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"


@cache
def _change(table: Table, names: tuple[str, ...]) -> str:
    # The rows begin with the key, and the statement ends with it: so the places are numbered.
    keys = key_columns(table)
    changes = ", ".join(f"{name} = ?{place}" for place, name in enumerate(names, len(keys) + 1))
    found = " AND ".join(f"{name} = ?{place}" for place, name in enumerate(keys, 1))
    return f"UPDATE {table.name} SET {changes} WHERE {found}"
