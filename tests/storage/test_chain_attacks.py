"""Attacks with the database file in hand: each leaves a trace, and none stops the proof from being told."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy.engine import make_url

from ciranda.chain import Copy, SignedHead
from ciranda.instant import Instant
from ciranda.storage.proof import Proof, Unreadable, What, kept_copies, prove
from tests.storage.book import A, B, Book, pay


@pytest.fixture
def forge(sqlite_url: str, books: Callable[[str], Book]) -> Callable[..., Proof]:
    """Does this to a copy of a book in which two payments stand, and proves it."""
    book = books(sqlite_url)
    one, other = book.open_accounts(500, 0)
    book.paid(pay("first", (one, other, 3)), pay("second", (one, other, 4)))
    file = make_url(sqlite_url).database
    assert file is not None

    def forged(*statements: str, values: tuple[object, ...] = ()) -> Proof:
        copy = f"{file}.forged"
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            for statement in statements:
                target.execute(statement, values)
            target.commit()
        return prove(f"sqlite:///{copy}", A)

    return forged


@pytest.mark.parametrize("table", ["payments", "entries", "accounts", "customers"])
def test_a_second_row_under_one_key_is_found_though_the_table_lost_its_key(
    forge: Callable[..., Proof], table: str
) -> None:
    assert forge().found == []
    proof = forge(
        f"CREATE TABLE forged AS SELECT * FROM {table}",
        f"INSERT INTO forged SELECT * FROM {table} LIMIT 1",
        f"DROP TABLE {table}",
        f"ALTER TABLE forged RENAME TO {table}",
    )
    assert [(found.what, found.table) for found in proof.found] == [(What.ALTERED, table)]


@pytest.mark.parametrize("at", ["'x'", "x'ff'", "1.5", "-5", "9223372036854775807"])
def test_a_folio_with_no_time_is_named(forge: Callable[..., Proof], at: str) -> None:
    first = forge(f"UPDATE folios SET at = {at} WHERE number = 2").found[0]
    assert (first.what, first.folio, first.at) == (What.FOLIO, 2, None)
    assert first.sentence == "folio 2 does not follow from the one before"


def test_a_folio_that_is_too_deep_to_read_is_named(forge: Callable[..., Proof]) -> None:
    deep = b"\x92" + b"\x91" * 100_000
    proof = forge("UPDATE folios SET contents = ? WHERE number = 2", values=(deep,))
    assert (What.FOLIO, 2) in {(found.what, found.folio) for found in proof.found}


@pytest.mark.parametrize("change", ["hash = 'x'", "hash = 10", "at = 'x'", "at = 9e18", "number = 'x'"])
def test_a_copy_that_somebody_altered_is_told_to_be_none(
    sqlite_url: str, books: Callable[[str], Book], change: str
) -> None:
    book = books(sqlite_url)
    head = SignedHead(
        bank=B, number=1, hash=bytes(32), at=Instant(1), public_key=bytes(32), signature=bytes(64)
    )
    book.wait(book.store.keep_head(head, Instant(1), Instant(0)))
    assert kept_copies(sqlite_url) == [Copy(holder=A, head=head)]
    with closing(sqlite3.connect(str(make_url(sqlite_url).database))) as connection, connection:
        connection.execute(f"UPDATE heads SET {change}")
    with pytest.raises(Unreadable, match="somebody altered it"):
        kept_copies(sqlite_url)


@pytest.mark.parametrize("name", ["a#b.db", "with a space.db"])
def test_a_file_of_any_name_is_read(sqlite_url: str, books: Callable[[str], Book], name: str) -> None:
    books(sqlite_url).open_accounts(1)
    file = make_url(sqlite_url).database
    assert file is not None
    named = f"{file.rpartition('/')[0]}/{name}"
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(named)) as target:
        source.backup(target)
    assert prove(f"sqlite:///{named}", A).found == []
