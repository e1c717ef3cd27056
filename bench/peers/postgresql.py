"""The PostgreSQL of one comparison: whatever is measured on PostgreSQL is measured on this one, with durable commits."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL

from tests.system.postgresql import PostgreSQL, postgresql

SETTINGS = {
    # Two banks, each with its processes' connections, and whoever else keeps some open meanwhile.
    "max_connections": "300",
    "max_prepared_transactions": "300",
    "shared_buffers": "'512MB'",
    # A checkpoint is due to time, not to the log's size: all that are measured find the same.
    "max_wal_size": "'4GB'",
}


@contextmanager
def measured_postgresql() -> Iterator[PostgreSQL]:
    with postgresql() as server:
        for name, value in SETTINGS.items():
            _command(server, f"ALTER SYSTEM SET {name} = {value}")
        server.stop("fast")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def create_database(server: PostgreSQL, name: str) -> str:
    """Empty; its URL."""
    _command(server, f'CREATE DATABASE "{name}"')
    return server.template.format(slug=name)


def checkpoint(server: PostgreSQL) -> None:
    _command(server, "CHECKPOINT")


def _command(server: PostgreSQL, command: str) -> None:
    with psycopg.connect(server.template.format(slug="postgres"), autocommit=True) as connection:
        connection.execute(SQL(command))
