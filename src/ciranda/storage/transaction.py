"""What the batch writer asks of a database, and the statements that it asks with.

Rows go in and out in bulk, by primary key, in the order of their keys. Two databases do this, each in its own best
way: `sqlite.py` and `postgresql.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Table

from ciranda.instant import Instant
from ciranda.storage.rows import Row

RowKey = tuple[Any, ...]
T = TypeVar("T")


class Conflict(Exception):
    """Another transaction was in the way: the same again will go through."""


class Transaction(Protocol):
    """One database transaction. What `claim`, `reserve` and `read` return stays as it is until the end."""

    def claim(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Inserts the rows whose keys are free; returns those that were there before."""
        ...

    def reserve(self, table: Table, stubs: Sequence[Row]) -> list[Row]:
        """The rows with the keys of the stubs, also a stub where there was none, if the database needs it there."""
        ...

    def read(self, table: Table, keys: Iterable[RowKey]) -> list[Row]: ...

    def find(self, table: Table, column: str, value: str) -> list[Row]:
        """The rows that have it, by an index; another transaction may change them meanwhile."""
        ...

    def insert(self, table: Table, rows: Sequence[Row]) -> None: ...

    def upsert(self, table: Table, rows: Sequence[Row]) -> None: ...

    def change(self, table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> None:
        """Changes these columns, and no others, of rows that are there: each as its key and then the new values."""
        ...

    def delete(self, table: Table, keys: Iterable[RowKey]) -> None: ...

    def note_violations(self, rows: Sequence[Row]) -> None:
        """Appends to the violations: time, peer, payment, reason."""
        ...

    def rise(self) -> int:
        """Raises the bank's height, and returns it."""
        ...

    def extend(self, at: Instant, contents: bytes) -> None:
        """Adds the next folio to the chain (`chain.extended`): the last thing that a transaction does."""
        ...


class Database(Protocol):
    """Where transactions are made."""

    @property
    def lanes(self) -> int:
        """How many transactions may be under way at once."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other processes write to it too, so that nothing of it may be remembered here."""
        ...

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """`work` in one transaction: when this returns, all that it wrote is durable; when it raises, nothing is there.

        Raises Conflict, ports.Unavailable, what `work` raises, or what the driver says of a value that it cannot store.
        """
        ...

    def close(self) -> None: ...


def key_columns(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def columns(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def key_of(table: Table, row: Row) -> RowKey:
    """The primary keys of all our tables are their first columns."""
    return row[: len(table.primary_key.columns)]
