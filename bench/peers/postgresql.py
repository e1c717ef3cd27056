"""The PostgreSQL of one comparison: whatever is measured on PostgreSQL is measured on this one, with durable commits."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from ciranda.bench.databases import own_server, server_pid

PREPARED_AT_ONCE = "300"
"""More than all payments that are under way have branches."""


class PostgreSQL(msgspec.Struct, frozen=True, kw_only=True):
    """A server that runs."""

    template: str
    """The URL of a database whose name stands where {slug} does."""
    pid: int
    """The parent of all its processes."""

    def create_database(self, name: str) -> str:
        """Empty; its URL."""
        self._command(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return self.template.format(slug=name)

    def checkpoint(self) -> None:
        """It writes what it still owes to its files."""
        self._command(SQL("CHECKPOINT"))

    def _command(self, command: SQL | Composed) -> None:
        with psycopg.connect(self.template.format(slug="postgres"), autocommit=True) as connection:
            connection.execute(command)


@contextmanager
def measured_postgresql() -> Iterator[PostgreSQL]:
    with own_server(max_prepared_transactions=PREPARED_AT_ONCE) as template:
        pid = server_pid(template)
        assert pid is not None, "it is ours"
        yield PostgreSQL(template=template, pid=pid)
