"""A fresh, migrated and empty database for each test, of both kinds."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ciranda.storage import migrate
from ciranda.storage.proof import prove
from tests.storage.book import A, Book
from tests.system.postgresql import PostgreSQL, postgresql

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        with psycopg.connect(running.template.format(slug="postgres"), autocommit=True) as connection:
            # No test pulls the plug, and there are many databases to make.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield running


@pytest.fixture(scope="session")
def migrated_database(server: PostgreSQL) -> str:
    create_database(server, "migrated")
    migrate(server.template.format(slug="migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "bank.db"
    migrate(f"sqlite:///{path}")
    return path


def create_database(server: PostgreSQL, name: str, template: str = "template1") -> str:
    with psycopg.connect(server.template.format(slug="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.template.format(slug=name)


@pytest.fixture
def postgresql_url(server: PostgreSQL, migrated_database: str) -> str:
    return create_database(server, f"test{next(_numbers)}", migrated_database)


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    shutil.copy(migrated_file, tmp_path / "bank.db")
    return f"sqlite:///{tmp_path / 'bank.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that nobody has migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return create_database(request.getfixturevalue("server"), f"empty{next(_numbers)}")


@pytest.fixture
def books() -> Iterator[Callable[[str], Book]]:
    """Opens books, and closes them at the end: then the chain bears out all that is in them."""
    opened: list[Book] = []
    urls: set[str] = set()

    def open_book(url: str) -> Book:
        opened.append(Book(url, seed=len(opened)))
        urls.add(url)
        return opened[-1]

    yield open_book
    for book in opened:
        book.close()
    for url in urls:
        assert prove(url, A).found == [], "what was written is not in the chain as it was written"


@pytest.fixture
def book(url: str, books: Callable[[str], Book]) -> Book:
    return books(url)
