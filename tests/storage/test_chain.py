"""The chain on both databases: what is written is borne out by it, and whatever is altered behind its back is found."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import BigInteger, Connection, Integer, LargeBinary, Table, create_engine, text
from sqlalchemy.pool import NullPool

from ciranda import chain
from ciranda.agreement.message import Decision
from ciranda.chain import Copy, SignedHead
from ciranda.engine.input import ChangeAccount
from ciranda.identity import Ispb
from ciranda.instant import Instant
from ciranda.ports import Dispute
from ciranda.storage import schema
from ciranda.storage.chaining import STRIPS, Chaining
from ciranda.storage.opening import sqlalchemy_url
from ciranda.storage.proof import Found, Proof, Unreadable, What, kept_copies, prove, prove_open
from ciranda.storage.transaction import Transaction, columns, key_columns
from tests.storage.book import ANA, NOW, A, B, Book, customer, pay, prepare, tell
from tests.storage.forger import Forger
from tests.storage.test_operators import act

CHAINED = sorted(STRIPS, key=lambda table: table.name)


def value(column: Any, number: int) -> Any:
    if isinstance(column.type, BigInteger | Integer):
        return number
    if isinstance(column.type, LargeBinary):
        return bytes([number, 0, 255])
    return f"é{number}"


def row(table: Table, number: int) -> tuple[Any, ...]:
    """A whole row; every second column that may be empty is."""
    return tuple(
        None if column.nullable and place % 2 == number % 2 else value(column, number)
        for place, column in enumerate(table.columns)
    )


def write_some_of_all(transaction: Transaction) -> None:
    for table in schema.metadata.sorted_tables:
        if table is schema.violations:
            transaction.note_violations([row(table, number)[1:] for number in (1, 2)])
        elif table in STRIPS:
            transaction.insert(table, [row(table, number) for number in (1, 2)])


@pytest.fixture
def full(url: str, book: Book) -> Iterator[Connection]:
    """A database with two rows more in every table that is chained; what a test does to it is not kept."""
    book.wait(book.store._write(write_some_of_all))
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # A forger does not stop at a foreign key.
            connection.execute(text("SET session_replication_role = replica"))
            connection.commit()
        yield connection


def found_after(connection: Connection, statement: str, **values: Any) -> list[Found]:
    assert connection.execute(text(statement), values).rowcount == 1, statement
    found = prove_open(connection, A, []).found
    connection.rollback()
    return found


def where(table: Table, number: int) -> tuple[str, dict[str, Any]]:
    """Which row it is that `row` made with this number."""
    keys = key_columns(table) if table is not schema.violations else ["reason"]
    return " AND ".join(f"{name} = :{name}_" for name in keys), {
        f"{name}_": value(table.columns[name], number) for name in keys
    }


def test_what_was_written_is_borne_out(full: Connection) -> None:
    assert prove_open(full, A, []).found == []


def test_any_change_of_any_column_is_found(full: Connection) -> None:
    for table in CHAINED:
        chained = {name for strip in STRIPS[table] for name in strip.columns}
        for column in table.columns:
            if column.name not in chained:
                continue
            at, which = where(table, 1)
            statement = f"UPDATE {table.name} SET {column.name} = :new WHERE {at}"
            found = found_after(full, statement, new=value(column, 77), **which)
            if column.primary_key or table is schema.violations:
                assert {one.what for one in found} == {What.REMOVED, What.INSERTED}, statement
            else:
                assert [(one.what, one.table) for one in found] == [(What.ALTERED, table.name)], statement


def test_a_column_that_is_emptied_is_found(full: Connection) -> None:
    for table in CHAINED:
        at, which = where(table, 1)
        for place, column in enumerate(table.columns):
            if column.nullable and place % 2 == 0:
                found = found_after(full, f"UPDATE {table.name} SET {column.name} = NULL WHERE {at}", **which)
                assert [one.what for one in found] == [What.ALTERED], f"{table.name}.{column.name}"


def test_any_row_that_is_removed_is_found(full: Connection) -> None:
    for table in CHAINED:
        at, which = where(table, 2)
        found = found_after(full, f"DELETE FROM {table.name} WHERE {at}", **which)
        assert [(one.what, one.table) for one in found] == [(What.REMOVED, table.name)]


def test_any_row_that_is_inserted_is_found(full: Connection) -> None:
    for table in CHAINED:
        names = ", ".join(columns(table))
        values = ", ".join(f":{name}" for name in columns(table))
        given = dict(zip(columns(table), row(table, 3), strict=True))
        found = found_after(full, f"INSERT INTO {table.name} ({names}) VALUES ({values})", **given)
        assert [(one.what, one.table, one.folio) for one in found] == [(What.INSERTED, table.name, None)]


def test_a_row_that_is_put_back_to_what_it_was_before_is_found(full: Connection, book: Book) -> None:
    (one,) = book.open_accounts(100)
    question = prepare("doubtful", one, 5)
    book.hear(question)
    before = full.execute(text("SELECT state, due FROM payments WHERE state = 'prepared'")).one()
    full.rollback()
    book.hear(tell(question, Decision.COMMIT))
    assert prove_open(full, A, []).found == []
    full.rollback()
    statement = "UPDATE payments SET state = :state, due = :due, decided_at = NULL WHERE id = :id"
    (found,) = found_after(full, statement, state=before.state, due=before.due, id=question.header.id)
    assert (found.what, found.table, found.key) == (What.ALTERED, "payments", (question.header.id,))
    assert f"payments {question.header.id} was altered after folio" in found.sentence


@pytest.mark.parametrize(
    ("forgery", "table"),
    [
        ("UPDATE accounts SET balance = balance + 1000 WHERE id LIKE '%2_'", "accounts"),
        ("UPDATE accounts SET floor = -1000 WHERE id LIKE '%2_'", "accounts"),
        ("UPDATE payments SET due = due + 1 WHERE state = 'prepared'", "payments"),
        ("UPDATE secrets SET password_hash = 'hash', email = 'mine' WHERE document = :ana", "secrets"),
    ],
)
def test_what_the_bank_itself_went_on_from_is_found_for_ever(url: str, forgery: str, table: str) -> None:
    """Its next writing covers the forged row, which is the bank's own from then on."""
    with closing(Book(url)) as book:
        one, other = book.open_accounts(100, 100)
        question = prepare("doubtful", one, 5)
        book.hear(question)
        engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
        with engine.begin() as connection:
            forged = text(forgery).bindparams(**({"ana": ANA} if ":ana" in forgery else {}))
            assert connection.execute(forged).rowcount == 1
        book.paid(pay("own", (one, other, 1)))
        book.hear(tell(question, Decision.COMMIT))
        book.begin_session(b"hash of a token", verified="hash", rehashed="better")
        proof = prove(url, A)
        assert [(found.what, found.table) for found in proof.found] == [(What.WENT_ON, table)]
        assert "which went on from what it found" in proof.found[0].sentence


def test_a_session_that_no_folio_began_is_found_also_when_the_bank_has_ended_it(url: str) -> None:
    with closing(Book(url)) as book:
        book.open_accounts(0)
        engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
        forged = row(schema.sessions, 1)
        with engine.begin() as connection:
            connection.execute(
                schema.sessions.insert().values(
                    dict(zip(columns(schema.sessions), forged, strict=True)) | {"document": ANA}
                )
            )
        book.wait(book.store.drop_session(forged[0]))
        assert [found.what for found in prove(url, A).found] == [What.WENT_ON]


def test_what_was_removed_by_the_bank_itself_is_no_finding_until_it_is_there_again(
    url: str, book: Book
) -> None:
    book.open_accounts(0)
    book.begin_session(b"a token's hash", verified="hash")
    book.wait(book.store.drop_session(b"a token's hash"))
    assert prove(url, A).found == []


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE folios SET contents = :more WHERE number = 2",
        "UPDATE folios SET at = at + 1 WHERE number = 2",
        "UPDATE folios SET hash = :more WHERE number = 2",
        "DELETE FROM folios WHERE number = 2",
    ],
)
def test_an_altered_folio_is_found_and_named(full: Connection, forgery: str) -> None:
    book_of_two = "INSERT INTO folios (number, at, hash, contents) VALUES (:number, 0, :hash, :contents)"
    for number in (3, 4):
        last = full.execute(text(f"SELECT hash FROM folios WHERE number = {number - 1}")).scalar()
        assert isinstance(last, bytes)
        contents = chain.contents_of({}, {})
        hash = chain.extended(last, number, Instant(0), contents)
        full.execute(text(book_of_two), {"number": number, "hash": hash, "contents": contents})
    assert prove_open(full, A, []).found == []
    given = {"more": b"x"} if ":more" in forgery else {}
    first = found_after(full, forgery, **given)[0]
    assert (first.what, first.folio) == (What.FOLIO, 3 if forgery.startswith("DELETE") else 2)


def test_a_chain_without_its_beginning_and_that_of_another_bank_are_found(full: Connection) -> None:
    assert prove_open(full, B, []).found[0].folio == 0
    full.rollback()
    full.execute(text("DELETE FROM folios"))
    assert prove_open(full, A, []).found[0].what is What.FOLIO


def test_both_databases_have_the_same_chain(
    sqlite_url: str, postgresql_url: str, books: Callable[[str], Book]
) -> None:
    heads = []
    for url in (sqlite_url, postgresql_url):
        book = books(url)
        one, other = book.open_accounts(500, 0)
        book.paid(pay("é first", (one, other, 3), description="ação"), pay("second", (one, other, 4)))
        question = prepare("third", other, 5)
        book.hear(question)
        book.hear(tell(question, Decision.COMMIT))
        book.wait(book.store._write(write_some_of_all))
        heads.append(book.wait(book.store.chain(None)))
    assert heads[0] == heads[1]
    assert heads[0][0] > 4


def test_workers_that_write_at_once_extend_one_chain(
    postgresql_url: str, books: Callable[[str], Book]
) -> None:
    first, second = books(postgresql_url), books(postgresql_url)
    one, other = first.open_accounts(1_000, 1_000)

    async def pay_many() -> None:
        await asyncio.gather(
            *(
                store.transact([pay(f"{name}{n}", (source, target, 1))])
                for n in range(20)
                for name, store, source, target in (
                    ("a", first.store, one, other),
                    ("b", second.store, other, one),
                )
            )
        )

    first.wait(pay_many())
    proof = prove(postgresql_url, A)
    assert proof.found == []
    assert proof.head >= 40


def test_an_operators_action_is_in_the_chain_with_who_did_it(url: str, book: Book) -> None:
    (account,) = book.open_accounts(0)
    book.do(act("root", ChangeAccount(account=account, change="block")))
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        action = connection.execute(text("SELECT id FROM actions")).scalar()
        (found,) = found_after(connection, "UPDATE actions SET operator = 'tina'")
    assert (found.what, found.table, found.key) == (What.ALTERED, "actions", (action,))


def test_an_input_that_fails_leaves_no_folio(book: Book) -> None:
    number, _, _ = book.wait(book.store.chain(None))

    def fail(transaction: Transaction) -> None:
        transaction.insert(schema.peer_limits, [(B, 5, NOW)])
        raise RuntimeError("midway")

    with pytest.raises(RuntimeError):
        book.wait(book.store._write(fail))
    assert book.wait(book.store.chain(None))[0] == number


def test_columns_are_changed_only_where_they_are_a_strip(book: Book) -> None:
    def change(transaction: Transaction) -> None:
        transaction.change(schema.payments, ("amount",), [("id", 1)])

    class Silent:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    with pytest.raises(AssertionError):
        change(Chaining(Silent()))


# Copies of heads.


def head_of(book: Book, bank: Ispb = A) -> SignedHead:
    number, hash, _ = book.wait(book.store.chain(None))
    return SignedHead(bank=bank, number=number, hash=hash, at=NOW, public_key=bytes(32), signature=bytes(64))


@pytest.fixture
def victim(sqlite_url: str) -> Iterator[Book]:
    """A book that will not be as it was written."""
    with closing(Book(sqlite_url)) as opened:
        yield opened


def test_a_history_that_was_written_anew_is_found_by_a_copy_and_by_nothing_else(
    sqlite_url: str, victim: Book
) -> None:
    one, other = victim.open_accounts(100, 100)
    victim.paid(pay("one", (one, other, 1)))
    copy = Copy(holder=B, head=head_of(victim))
    victim.paid(pay("two", (one, other, 2)))
    forger = Forger(Path(sqlite_url.removeprefix("sqlite:///")))
    forger.do("UPDATE entries SET amount = amount * 10 WHERE number = 2")
    assert [found.table for found in prove(sqlite_url, A).found] == ["entries"] * 3
    forger.make_fit()
    assert prove(sqlite_url, A).found == []
    (found,) = prove(sqlite_url, A, [copy]).found
    assert (found.what, found.folio, found.holder) == (What.HEAD, copy.head.number, B)


def test_a_chain_that_was_cut_is_found_by_a_copy(sqlite_url: str, victim: Book) -> None:
    victim.wait(victim.store.add_customer(customer(ANA), "hash", None, None))
    copy = Copy(holder=B, head=head_of(victim))
    forger = Forger(Path(sqlite_url.removeprefix("sqlite:///")))
    for table in ("secrets", "customers"):
        forger.do(f"DELETE FROM {table}")
    forger.do("DELETE FROM folios WHERE number = ?", copy.head.number)
    assert prove(sqlite_url, A).found == []
    (found,) = prove(sqlite_url, A, [copy]).found
    assert (found.what, found.folio) == (What.HEAD, copy.head.number)


def test_of_each_hour_the_last_copy_is_kept_and_of_old_ones_none(book: Book) -> None:
    minute, hour, day = 60_000, 3_600_000, 24 * 3_600_000
    begin = NOW // hour * hour

    def keep(number: int, at: int) -> None:
        head = replace(head_of(book, B), number=number)
        book.wait(book.store.keep_head(head, Instant(at), forget_before=Instant(at - 366 * day)))

    def kept(limit: int = 10, before: int | None = None) -> list[int]:
        return [head.number for head in book.wait(book.store.kept_heads(B, limit, before))]

    for number, at in ((1, begin), (3, begin + minute), (5, begin + 59 * minute), (7, begin + hour)):
        keep(number, at)
    assert kept() == [7, 5, 3, 1], "all of a day are kept"
    assert kept(1, 7) == [5]
    keep(9, begin + day + hour - 1)
    assert kept() == [9, 7, 5, 3, 1]
    keep(11, begin + day + hour)
    assert kept() == [11, 9, 7, 5], "of each hour before, the last"
    keep(13, begin + 366 * day + hour)
    assert kept() == [13, 11, 9, 7], "and what is older than a year is forgotten"


def test_no_copy_is_replaced_by_what_a_bank_says_later(book: Book) -> None:
    for at, hash in ((NOW, bytes(32)), (NOW + 1, bytes([1]) * 32)):
        head = replace(head_of(book, B), number=4, hash=hash)
        book.wait(book.store.keep_head(head, Instant(at), forget_before=Instant(0)))
    assert [head.hash for head in book.wait(book.store.kept_heads(B, 10, None))] == [bytes(32)]


def test_a_dispute_is_written_down_once(url: str, book: Book) -> None:
    dispute = Dispute(holder=A, head=head_of(book, B), shown=None, seen_at=NOW)
    assert book.wait(book.store.add_dispute(dispute))
    assert not book.wait(book.store.add_dispute(dispute))
    assert book.wait(book.store.disputes(10)) == [dispute]
    assert kept_copies(url) == [Copy(holder=A, head=dispute.head)]


# What cannot be read.


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        prove(f"sqlite:///{tmp_path / 'none.db'}", A)
    assert list(tmp_path.iterdir()) == []


def test_text_that_is_none_is_found(sqlite_url: str, victim: Book) -> None:
    victim.open_accounts(5)
    Forger(Path(sqlite_url.removeprefix("sqlite:///"))).do(
        "UPDATE customers SET name = CAST(x'ff00fe' AS TEXT) WHERE document = ?", ANA
    )
    proof: Proof = prove(sqlite_url, A)
    assert [(found.what, found.key) for found in proof.found] == [(What.ALTERED, (ANA,))]
