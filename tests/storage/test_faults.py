"""A database that is full, away, read-only, or cut off in the middle: nothing half done, and it works again after."""

import asyncio
import concurrent.futures
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from ciranda.agreement.height import Height
from ciranda.agreement.participant import State
from ciranda.engine.input import Begin, Input
from ciranda.engine.record import Record
from ciranda.engine.reply import Paid, Reply
from ciranda.ports import Unavailable
from ciranda.storage import DatabaseTaken
from tests.storage.book import ANA, A, Book, customer, pay, payment_id
from tests.system.postgresql import PostgreSQL

Open = Callable[[str], Book]


# SQLite.


def test_a_second_process_on_one_file_is_refused(sqlite_url: str) -> None:
    first = Book(sqlite_url)
    with pytest.raises(DatabaseTaken, match="another process"):
        Book(sqlite_url)
    first.close()
    Book(sqlite_url).close()


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """No file may grow beyond what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_nothing_is_half_done_and_with_room_again_it_goes_on(
    sqlite_url: str, books: Open, tmp_path: Path
) -> None:
    book = books(sqlite_url)
    ana, bia = book.open_accounts(100, 0)
    height = book.store.height()
    orders = [pay(f"P{n}", (ana, bia, 1), description="x" * 140) for n in range(50)]
    with full_disk(tmp_path / "bank.db-wal"):
        for _ in range(2):
            with pytest.raises(Unavailable):
                book.do(*orders)
        with pytest.raises(Unavailable):
            book.wait(book.store.keep_heights({A: Height(1, "one")}))
        assert (book.balance(ana), book.balance(bia)) == (100, 0)
        assert book.store.height() == book.wait(book.store.read_height()) == height
    assert [record.state for record in book.paid(*orders)] == [State.COMMITTED] * 50
    assert (book.balance(ana), book.balance(bia)) == (50, 50)
    assert book.is_whole()


def test_a_database_without_free_pages_is_unavailable_until_it_has_some(sqlite_url: str, books: Open) -> None:
    book = books(sqlite_url)
    ana, bia = book.open_accounts(100, 0)
    connection = book.store._database._connection  # type: ignore[attr-defined]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    orders = [pay(f"P{n}", (ana, bia, 1), description="x" * 140) for n in range(90)]
    with pytest.raises(Unavailable, match="full"):
        book.do(*orders)
    assert book.balance(bia) == 0
    connection.execute("PRAGMA max_page_count = 1000000")
    assert len(book.paid(*orders)) == 90
    assert book.balance(bia) == 90


def test_a_file_that_another_program_holds_locked_is_unavailable(
    sqlite_url: str, books: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciranda.storage.sqlite.BUSY_MAX_S", 0.05)
    book = books(sqlite_url)
    ana, bia = book.open_accounts(100, 0)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        book.do(pay("P1", (ana, bia, 1)))
    other.close()
    assert len(book.paid(pay("P1", (ana, bia, 1)))) == 1


def test_while_another_program_holds_the_file_locked_the_bank_does_everything_else(
    sqlite_url: str, books: Open
) -> None:
    book = books(sqlite_url)
    ana, bia = book.open_accounts(100, 0)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def pay_and_look() -> None:
        paying = asyncio.create_task(book.store.transact([pay("P1", (ana, bia, 1))]))
        for _ in range(3):
            assert await book.store.account(ana) is not None
            assert not paying.done()
        other.close()
        await paying

    book.wait(pay_and_look())
    assert book.balance(bia) == 1


def test_a_batch_whose_asker_is_gone_comes_to_its_end_before_the_next_begins(
    sqlite_url: str, books: Open
) -> None:
    book = books(sqlite_url)
    ana, bia = book.open_accounts(100, 0)

    async def give_up_at_each_step() -> None:
        for step in range(6):
            given_up = asyncio.create_task(book.store.transact([pay(f"P{step}", (ana, bia, 1))]))
            for _ in range(step):
                await asyncio.sleep(0)
            given_up.cancel()
            await book.store.transact([pay(f"Q{step}", (ana, bia, 1))])

    book.wait(give_up_at_each_step())
    begun = book.balance(bia) - 6
    assert 4 <= begun <= 6, "a batch that was under way is finished; one that was not may not have begun"
    assert book.is_whole()


# PostgreSQL.


class InAThread(threading.Thread):
    """A batch under way."""

    def __init__(self, book: Book, *inputs: Input) -> None:
        super().__init__(daemon=True)
        self._outcome: concurrent.futures.Future[list[Reply]] = concurrent.futures.Future()
        self._book, self._inputs = book, inputs
        self.start()

    def run(self) -> None:
        try:
            self._outcome.set_result(self._book.do(*self._inputs))
        except Exception as error:  # handed on to the test
            self._outcome.set_exception(error)

    def outcome(self) -> list[Reply]:
        return self._outcome.result(timeout=20)


def until_one_waits_for_a_lock(other: "psycopg.Connection[Any]") -> None:
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'ciranda' AND wait_event_type = 'Lock'
    """
    for _ in range(20_000):
        with psycopg.connect(other.info.dsn, autocommit=True) as watching:
            row = watching.execute(query).fetchone()
        if row is not None and row[0]:
            return
    raise AssertionError("nobody waits for a lock")


def once_it_is_back(book: Book, *orders: Begin) -> list[Record]:
    """Each lane of the store finds out by itself that its old connection is gone."""
    for _ in range(book.store.lanes):
        try:
            return book.paid(*orders)
        except Unavailable:
            continue
    return book.paid(*orders)


@pytest.fixture
def other(postgresql_url: str) -> "Iterator[psycopg.Connection[Any]]":
    """Somebody else on the same database."""
    with psycopg.connect(postgresql_url) as connection:
        yield connection


def test_while_the_database_is_away_all_is_unavailable_and_afterwards_all_is_there(
    server: PostgreSQL, postgresql_url: str, books: Open
) -> None:
    book = books(postgresql_url)
    ana, bia = book.open_accounts(100, 0)
    book.do(pay("P1", (ana, bia, 30)))
    server.stop()
    try:
        with pytest.raises(Unavailable):
            book.do(pay("P2", (ana, bia, 1)))
        with pytest.raises(Unavailable):
            book.wait(book.store.account(ana))
        with pytest.raises(Unavailable):
            book.wait(book.store.add_customer(customer(ANA), "", None, None))
        with pytest.raises(Unavailable):
            Book(postgresql_url)
    finally:
        server.start()
    assert (book.balance(ana), book.balance(bia)) == (70, 30)
    assert book.wait(book.store.payment(payment_id("P2"))) is None
    assert [record.state for record in once_it_is_back(book, pay("P2", (ana, bia, 1)))] == [State.COMMITTED]
    assert book.is_whole()


def test_a_connection_cut_in_the_middle_of_a_batch_leaves_nothing_of_it(
    postgresql_url: str, books: Open, other: "psycopg.Connection[Any]"
) -> None:
    book = books(postgresql_url)
    ana, bia = book.open_accounts(100, 0)
    other.execute("SELECT 1 FROM accounts WHERE id = %s FOR UPDATE", (ana,))
    batch = InAThread(book, pay("P1", (ana, bia, 30)), pay("P2", (ana, bia, 1)))
    until_one_waits_for_a_lock(other)
    other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ciranda'"
    )
    with pytest.raises(Unavailable):
        batch.outcome()
    other.rollback()
    assert (book.balance(ana), book.balance(bia)) == (100, 0)
    assert len(once_it_is_back(book, pay("P1", (ana, bia, 30)), pay("P2", (ana, bia, 1)))) == 2
    assert book.balance(bia) == 31


def test_of_two_that_wait_for_each_other_ours_is_done_again(
    postgresql_url: str, books: Open, other: "psycopg.Connection[Any]"
) -> None:
    """Our own workers lock in one order; somebody who does not makes a deadlock, which is tried again."""
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(
            "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''200ms''',"
            " current_database()); END$$"
        )
    book = books(postgresql_url)
    ana, bia = book.open_accounts(100, 0)
    other.execute("SET deadlock_timeout = '10s'")
    other.execute("SELECT 1 FROM accounts WHERE id = %s FOR UPDATE", (ana,))
    batch = InAThread(book, pay("P1", (ana, bia, 30), key="K"))
    until_one_waits_for_a_lock(other)
    # The batch has written its key already: waiting for that closes the ring. That this goes through at all shows that
    # the batch was rolled back.
    other.execute("INSERT INTO keys (scope, key, body, used_at) VALUES ('payments', 'K', '', 0)")
    other.rollback()
    (reply,) = batch.outcome()
    assert isinstance(reply, Paid)
    assert reply.record.state is State.COMMITTED
    assert book.balance(bia) == 30


def test_a_database_that_only_reads_is_unavailable_until_it_writes_again(
    postgresql_url: str, books: Open
) -> None:
    """As after a fail-over, or by a provider's protection of a full disk: 503, not a failure of each order."""
    book = books(postgresql_url)
    ana, bia = book.open_accounts(100, 0)

    def only_reads(on: bool) -> None:
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(
                "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = "
                f"{'on' if on else 'off'}', current_database()); END$$"
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'ciranda'"
            )

    only_reads(True)
    with capture_logs() as logged:
        for name in ("P1", "P2"):
            with pytest.raises(Unavailable):
                book.do(pay(name, (ana, bia, 1)))
    assert logged == []
    only_reads(False)
    assert len(once_it_is_back(book, pay("P1", (ana, bia, 1)))) == 1


def test_a_statement_that_takes_too_long_is_unavailable(
    postgresql_url: str, books: Open, other: "psycopg.Connection[Any]"
) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(
            "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''50ms''', current_database());"
            " END$$"
        )
    book = books(postgresql_url)
    ana, bia = book.open_accounts(100, 0)
    other.execute("SELECT 1 FROM accounts WHERE id = %s FOR UPDATE", (ana,))
    with pytest.raises(Unavailable):
        book.do(pay("P1", (ana, bia, 1)))
    other.rollback()
    assert len(book.paid(pay("P1", (ana, bia, 1)))) == 1
