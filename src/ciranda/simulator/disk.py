"""A bank's disk: SQLite in memory, with a power switch.

What was committed stays, whatever happens to the processes; what was not is gone when the power fails, and it may
fail before any statement. A disk can also be full, or fail a commit, with or without having done it.
"""

import asyncio
import concurrent.futures
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.loop import VirtualLoop
from ciranda.storage.opening import sqlite_reader
from ciranda.storage.sqlite import SqliteDatabase, SqliteTransaction

_WRITE_S: Span = (0.0004, 0.004)
_READ_S: Span = (0.0001, 0.001)
_CHANGES = ("INSERT", "UPDATE", "COMMIT")

T = TypeVar("T")


class PowerCut(BaseException):
    """Not an Exception: no code of the bank's may live through it."""


class Disk:
    def __init__(self, slot: int, image: bytes, dice: SeededDice) -> None:
        """`slot`: which of the simulation's few readers it uses; disks that are in use at once have different ones."""
        self.connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=256
        )
        self.connection.deserialize(image)
        self.connection.execute("PRAGMA foreign_keys=ON")
        self.books = self.connection
        """What the bank has durably written, as checkers read it: also while another disk stands in its place."""
        self.dice = dice
        self.full = False
        self.commits_failing = 0.0
        """The chance that a commit fails; half of those that fail were done."""
        self.statements_to_power_cut: int | None = None
        self.on_commit: Callable[[], None] = lambda: None
        self.on_power_cut: Callable[[], None] = lambda: None
        self.writes = Arm(self, _WRITE_S, writing=True)
        self.reads = Arm(self, _READ_S, writing=False)
        self.free_at = 0.0
        self._slot = slot

    def image(self) -> bytes:
        return self.connection.serialize()

    def put_back(self, image: bytes) -> None:
        """An older disk stands in its place, until `put_right`."""
        self.books = sqlite3.connect(":memory:")
        self.books.deserialize(self.connection.serialize())
        self.connection.deserialize(image)

    def put_right(self) -> None:
        self.connection.deserialize(self.books.serialize())
        self.books.close()
        self.books = self.connection

    def writer(self) -> sqlite3.Connection:
        """The connection of a process that writes."""
        return cast(sqlite3.Connection, _Writer(self))

    def reader(self) -> Engine:
        slot = _slot(self._slot)
        slot.look_at(self.connection)
        return slot.engine

    def close(self) -> None:
        """The simulation is over."""
        _slot(self._slot).look_at(None)
        for connection in {self.connection, self.books}:
            connection.close()


class SimulatedDatabase:
    """The port Database, for one process: each transaction as a whole at one moment, which may be its last."""

    lanes = 1
    shared = False

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._database = SqliteDatabase(disk.writer())

    async def run(self, work: Callable[[SqliteTransaction], T]) -> T:
        def whole() -> T:
            with self._database.transaction() as transaction:
                return work(transaction)

        return await asyncio.get_running_loop().run_in_executor(self._disk.writes, whole)

    def close(self) -> None:
        """The disk stays."""


class _Writer:
    """As much of sqlite3.Connection as the storage uses."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    @property
    def in_transaction(self) -> bool:
        return self._disk.connection.in_transaction

    @property
    def total_changes(self) -> int:
        return self._disk.connection.total_changes

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        return self._run(statement, self._disk.connection.execute, parameters)

    def executemany(self, statement: str, parameters: Any) -> Any:
        return self._run(statement, self._disk.connection.executemany, parameters)

    def close(self) -> None:
        """The disk stays."""

    def _run(self, statement: str, run: Callable[[str, Any], Any], parameters: Any) -> Any:
        disk = self._disk
        if statement == "ROLLBACK":
            return run(statement, parameters)
        if disk.statements_to_power_cut is not None:
            disk.statements_to_power_cut -= 1
            if disk.statements_to_power_cut < 0:
                disk.statements_to_power_cut = None
                raise PowerCut
        if disk.full and statement.startswith(_CHANGES):
            raise sqlite3.OperationalError("database or disk is full")
        if statement != "COMMIT":
            return run(statement, parameters)
        fails = disk.commits_failing > 0 and disk.dice.chance(disk.commits_failing)
        if fails and disk.dice.chance(0.5):
            raise sqlite3.OperationalError("disk I/O error")
        run(statement, parameters)
        disk.on_commit()
        if fails:
            raise sqlite3.OperationalError("disk I/O error")
        return None


class Arm(concurrent.futures.Executor):
    """Does a process's work on the disk: later, and it is told later still."""

    def __init__(self, disk: Disk, delay: Span, *, writing: bool) -> None:
        self._disk = disk
        self._delay = delay
        self._writing = writing

    def begin(self, loop: VirtualLoop, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        done: asyncio.Future[Any] = loop.create_future()
        disk = self._disk
        took = disk.dice.within(self._delay)
        at = loop.time() + took
        if self._writing:
            # One after the other.
            at = disk.free_at = max(disk.free_at, loop.time()) + took
        loop.call_at(at, self._work, loop, work, done)
        return done

    def _work(self, loop: VirtualLoop, work: Callable[[], Any], done: "asyncio.Future[Any]") -> None:
        try:
            result, error = work(), None
        except PowerCut:
            self._disk.on_power_cut()
            return
        except Exception as raised:
            result, error = None, raised
        if not self._writing:
            _tell(done, result, error)
        else:
            # The power may also fail after the commit, before anybody has heard of it.
            loop.call_later(self._disk.dice.within(_READ_S), _tell, done, result, error)


def _tell(done: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


class _Slot:
    """A reader over whatever connection it is given: made once, for what SQLAlchemy compiles it keeps by engine."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self.isolation_level: str | None = None
        self.engine = sqlite_reader(create_engine("sqlite://", creator=lambda: self, poolclass=StaticPool))

    def cursor(self) -> sqlite3.Cursor:
        return self._get().cursor()

    def create_function(self, *arguments: Any, **more: Any) -> None:
        """SQLAlchemy brings functions that we do not use."""

    def commit(self) -> None:
        self._end("COMMIT")

    def rollback(self) -> None:
        self._end("ROLLBACK")

    def close(self) -> None:
        """The disk stays."""

    def _end(self, statement: str) -> None:
        if self._get().in_transaction:
            self._get().execute(statement)

    def look_at(self, connection: sqlite3.Connection | None) -> None:
        self._connection = connection

    def _get(self) -> sqlite3.Connection:
        assert self._connection is not None, "nobody looks at a disk before there is one"
        return self._connection


_slots: dict[int, _Slot] = {}


def _slot(number: int) -> _Slot:
    if number not in _slots:
        _slots[number] = _Slot()
    return _slots[number]
