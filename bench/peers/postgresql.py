"""The PostgreSQL of one comparison: whatever is measured on PostgreSQL is measured on this one, with durable commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

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
        with psycopg.connect(server.template.format(slug="postgres"), autocommit=True) as connection:
            for name, value in SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        server.stop("fast")
        server.start()
        try:
            yield server
        finally:
            server.stop("fast")


def create_database(server: PostgreSQL, name: str) -> str:
    """Empty; its URL."""
    with psycopg.connect(server.template.format(slug="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.template.format(slug=name)
