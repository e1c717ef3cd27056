"""The database server under all banks goes away: in order, or in the middle of everything."""

from tests.system.postgresql import PostgreSQL


class DatabaseRestart:
    """It is stopped as an operator stops it, which breaks off what is under way, and started again."""

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server

    def begin(self) -> None:
        self._server.stop("fast")

    def end(self) -> None:
        self._server.start()


class DatabaseKill:
    """`kill -9` to all of its processes; it takes up what was durable."""

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server

    def begin(self) -> None:
        self._server.kill()

    def end(self) -> None:
        self._server.start()
