"""Opening a bank's database by its URL: `sqlite:///path/to/bank.db` or `postgresql://user@host:5432/name`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from ciranda.engine.bank import Bank
from ciranda.ports import Clock, Dice
from ciranda.storage.sqlite import SqliteFile
from ciranda.storage.store import SqlStore
from ciranda.storage.transaction import Database

READERS = 4


def sqlalchemy_url(url: str) -> str:
    """The URL with the driver that we use named."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def is_sqlite(url: str) -> bool:
    return make_url(sqlalchemy_url(url)).get_backend_name() == "sqlite"


def make_store(url: str, bank: Bank, clock: Clock, dice: Dice) -> SqlStore:
    """The store, not yet opened. Raises DatabaseTaken, Unavailable."""
    database: Database
    if is_sqlite(url):
        database = SqliteFile(make_url(url).database or "")
    else:
        # Only a bank that uses PostgreSQL needs its driver installed.
        from ciranda.storage.postgresql import PostgresqlDatabase

        database = PostgresqlDatabase(url)
    return SqlStore(
        bank,
        database,
        _reader(url),
        clock,
        dice,
        readers=ThreadPoolExecutor(READERS, thread_name_prefix="reader"),
    )


def _reader(url: str) -> Engine:
    """Each look is one transaction and sees one snapshot. What it asks for is in no error, and so in no log."""
    if not is_sqlite(url):
        return create_engine(
            sqlalchemy_url(url),
            pool_size=READERS,
            hide_parameters=True,
            isolation_level="REPEATABLE READ",
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "options": "-c statement_timeout=30000"},
        )
    return sqlite_reader(
        create_engine(url, pool_size=READERS, hide_parameters=True),
        "PRAGMA query_only=ON",
        "PRAGMA busy_timeout=5000",
    )


def sqlite_reader(engine: Engine, *pragmas: str) -> Engine:
    """Makes each of the engine's looks one transaction of SQLite."""

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
