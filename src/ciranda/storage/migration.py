"""The schema's history: Alembic's steps in `migrations/versions`, run only when an operator asks for it."""

import logging
import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ciranda.ports import Unavailable
from ciranda.storage.opening import is_sqlite, sqlalchemy_url

_TOO_OLD = "the database's schema is missing or older than this version of Ciranda needs"
_LOCK = 0x636972616E6461


class SchemaMismatch(Exception):
    """The database has another schema than this version of Ciranda works with."""


def migrate(url: str) -> None:
    """Brings the database's schema up to date, from nothing if it is empty. Raises Unavailable, SchemaMismatch."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if is_sqlite(url):
        # Nobody but the bank reads its book; the log beside it takes after the file.
        os.close(os.open(make_url(url).database or "", os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            _refuse_unknown(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise Unavailable(str(error.orig)) from error


def check_schema(url: str) -> None:
    """Raises SchemaMismatch if `migrate` is needed first, or if the schema is of a later version."""
    if is_sqlite(url) and _is_missing(Path(make_url(url).database or "")):
        raise SchemaMismatch(_TOO_OLD)
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            _refuse_unknown(connection)
            present = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise Unavailable(str(error.orig)) from error
    if present != _history().get_current_head():
        raise SchemaMismatch(_TOO_OLD)


def _is_missing(file: Path) -> bool:
    """Whether there is no file where one could be: to look into it would make an empty one."""
    return file.parent.is_dir() and not file.exists()


def _refuse_unknown(connection: Connection) -> None:
    present = MigrationContext.configure(connection).get_current_revision()
    if present is not None and present not in {step.revision for step in _history().walk_revisions()}:
        raise SchemaMismatch("the database's schema is of a version that this Ciranda does not know")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _history() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
