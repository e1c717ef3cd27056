"""The schema: made by migrations, the same as the models describe, and nothing else is worked with."""

import logging
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from ciranda.ports import Unavailable
from ciranda.storage import SchemaMismatch, check_schema, migrate, schema
from ciranda.storage.opening import sqlalchemy_url


def engine(url: str) -> Engine:
    return create_engine(sqlalchemy_url(url), poolclass=NullPool)


def shape(connection: Connection) -> dict[str, dict[str, tuple[str, bool, int]]]:
    """Each table's columns: what kind of thing, whether it may be missing, its place in the primary key."""
    seen = inspect(connection)
    kinds = {
        "TEXT": "text",
        'TEXT COLLATE "C"': "text",
        "BIGINT": "int",
        "INTEGER": "int",
        "BLOB": "bytes",
        "BYTEA": "bytes",
    }
    tables: dict[str, dict[str, tuple[str, bool, int]]] = {}
    for table in seen.get_table_names():
        key = seen.get_pk_constraint(table)["constrained_columns"]
        tables[table] = {
            column["name"]: (
                kinds[str(column["type"])],
                bool(column["nullable"]),
                key.index(column["name"]) + 1 if column["name"] in key else 0,
            )
            for column in seen.get_columns(table)
            if table != "alembic_version"
        }
    return tables


def test_a_migrated_database_is_exactly_what_the_models_describe(url: str) -> None:
    with engine(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_the_schema_is_the_same_on_both_databases(sqlite_url: str, postgresql_url: str) -> None:
    with engine(sqlite_url).connect() as one, engine(postgresql_url).connect() as other:
        on_sqlite, on_postgresql = shape(one), shape(other)
        assert {t: sorted(i["name"] or "" for i in inspect(one).get_indexes(t)) for t in on_sqlite} == {
            t: sorted(i["name"] or "" for i in inspect(other).get_indexes(t)) for t in on_postgresql
        }
    assert on_sqlite == on_postgresql


def test_every_table_is_found_by_its_first_columns(url: str) -> None:
    """`key_of` takes a row's first columns for its primary key."""
    for table in schema.metadata.sorted_tables:
        key = [column.name for column in table.primary_key.columns]
        assert [column.name for column in table.columns][: len(key)] == key


def test_a_database_that_nobody_migrated_is_refused_and_migrated_when_asked(empty_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="missing or older"):
        check_schema(empty_url)
    migrate(empty_url)
    check_schema(empty_url)
    migrate(empty_url)
    check_schema(empty_url)


def test_a_schema_of_a_version_that_is_not_known_is_refused_and_left_alone(url: str) -> None:
    with engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 's9999'"))
    for act in (check_schema, migrate):
        with pytest.raises(SchemaMismatch, match="does not know"):
            act(url)
    with engine(url).connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "s9999"


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder.db", f"postgresql://nobody@/none?host={tmp_path}"):
        with pytest.raises(Unavailable):
            check_schema(url)


def test_nobody_but_the_bank_reads_its_book(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'bank.db'}")
    assert stat.S_IMODE((tmp_path / "bank.db").stat().st_mode) == 0o600


def test_nobody_but_the_bank_reads_its_book_if_it_was_asked_for_before_it_was_made(tmp_path: Path) -> None:
    """`serve` looks for the schema first, and then the operator migrates."""
    url = f"sqlite:///{tmp_path / 'bank.db'}"
    with pytest.raises(SchemaMismatch):
        check_schema(url)
    migrate(url)
    assert stat.S_IMODE((tmp_path / "bank.db").stat().st_mode) == 0o600


def test_ids_sort_in_the_same_order_whatever_the_databases_language(postgresql_url: str) -> None:
    """`payments_of` looks for ids under `E` + ISPB + `~`: in en_US or pt_BR `~` sorts before the digits, and nothing
    would be found. So the column itself must be compared character by character.
    """
    query = """
        SELECT collname FROM pg_attribute JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE attrelid = 'payments'::regclass AND attname = 'id'
    """
    with engine(postgresql_url).connect() as connection:
        assert connection.execute(text(query)).scalar_one() in ("C", "POSIX", "ucs_basic", "pg_c_utf8")


def test_migrating_leaves_the_log_as_it_was(empty_url: str) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    migrate(empty_url)
    assert (root.level, list(root.handlers)) == before
