"""SQLite's log is copied back beside the commits, and begins anew though payments never pause."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog.testing

from ciranda.storage import checkpoints
from ciranda.storage.checkpoints import Checkpoints

PATIENCE_S = 30.0


class Book:
    """A file with one writer, who looks after its log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.writer.execute("PRAGMA journal_mode=WAL")
        self.writer.execute("CREATE TABLE entries (amount INTEGER)")
        self.checkpoints = Checkpoints(str(path), self.writer, changes=20)
        self.written = 0

    def write(self) -> None:
        self.writer.execute("INSERT INTO entries VALUES (1)")
        self.written += 1
        self.checkpoints.committed()

    def write_until(self, done: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < give_up, "it never came to it"
            self.write()

    @property
    def log(self) -> bytes:
        """What the log's header says: it is another each time that the log begins anew."""
        with open(f"{self.path}-wal", "rb") as file:
            return file.read(32)

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """One who is in the middle of reading, and needs the book as it was when he began."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM entries").fetchone()
            yield connection

    def close(self) -> None:
        self.checkpoints.close()
        self.writer.close()


def begun_anew(book: Book, log: bytes) -> bool:
    return book.log != log


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with closing(Book(tmp_path / "bank.db")) as book:
        yield book


def test_the_log_begins_anew_though_writing_never_pauses(book: Book) -> None:
    for _ in range(3):
        book.write_until(partial(begun_anew, book, book.log))


def test_nothing_is_copied_while_little_was_written(book: Book) -> None:
    for _ in range(19):
        book.write()
    assert sqlite3.connect(f"file:{book.path}?immutable=1", uri=True).execute(
        "SELECT count(*) FROM sqlite_master"
    ).fetchone() == (0,), "without the log, the file is as empty as it was"


def test_a_long_look_holds_up_the_log_but_no_commit(book: Book) -> None:
    book.write()
    with book.reader() as reader:
        first = book.log
        for _ in range(200):
            book.write()
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (1,)
        assert book.log == first
    book.write_until(lambda: book.log != first)


def test_a_log_that_cannot_be_copied_takes_nothing_back(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    first = book.log
    with monkeypatch.context() as patch, structlog.testing.capture_logs() as lines:
        patch.setattr(checkpoints, "_COPY", "a statement that fails")
        book.write_until(lambda: len(lines) > 1)
    assert {line["event"] for line in lines} == {"checkpoint_failed"}
    assert book.writer.execute("SELECT count(*) FROM entries").fetchone() == (book.written,)
    book.write_until(lambda: book.log != first)
