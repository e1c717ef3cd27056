"""The proof of the chain: reads a bank's database through, and says of every row whether it is as it was written.

Nothing of the bank has to run, and what runs is not disturbed: all is read in one snapshot. First the folios in their
order, each hash from the one before, and of every row the digest that it had last; then all rows that are there. What
was read waits in a file of its own between the two, so that millions of rows take no more memory than thousands.

Whoever holds the database can also work out a whole new chain, and this finds nothing wrong in it by itself. The copies
that the peers hold of its heads show that (`node/heads.py`, docs/decisions/0019).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from enum import StrEnum
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from ciranda import chain
from ciranda.chain import Copy, SignedHead
from ciranda.identity import Ispb
from ciranda.instant import Instant, rfc3339
from ciranda.ports import Unavailable
from ciranda.storage.chaining import STRIPS
from ciranda.storage.opening import is_sqlite, sqlalchemy_url, sqlite_reader

SHOWN_MAX = 100
"""Of what is found so much is told; the rest is counted."""
_AT_ONCE = 1_000
_FOLIOS_AT_ONCE = 20
_TIME_MAX = 253_402_300_799_999
"""The end of the year 9999: what no bank's clock has shown is told without a time."""
_SAYING_THE_SAME = {"violations"}
"""Strips that may have a row twice; of all others a key has one row, whatever has become of the table's own key."""


class What(StrEnum):
    FOLIO = "folio"
    """It does not follow from the one before: the chain itself was altered here."""
    HEAD = "head"
    """The bank signed another hash for this folio, and a peer has the copy."""
    ALTERED = "altered"
    WENT_ON = "went on"
    """The row was altered, and the bank, which could not know, has written it again since."""
    REMOVED = "removed"
    INSERTED = "inserted"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was written."""

    what: What
    folio: int | None
    """The one at which the chain breaks or is contradicted, or which wrote the row last; None: no folio did."""
    at: Instant | None = None
    """When that folio was written, or a head that contradicts it was signed."""
    table: str | None = None
    key: tuple[Any, ...] = ()
    holder: Ispb | None = None
    """The bank that has the copy."""

    @property
    def sentence(self) -> str:
        when = "" if self.at is None else f" of {rfc3339(self.at)}"
        row = f"{self.table} {' '.join(map(_shown, self.key))}"
        match self.what:
            case What.FOLIO:
                return f"folio {self.folio}{when} does not follow from the one before"
            case What.HEAD:
                return f"folio {self.folio} is not what {self.holder} has the bank's signature{when} for"
            case What.WENT_ON:
                return f"{row} was altered before folio {self.folio}{when}, which went on from what it found"
            case What.INSERTED:
                return f"{row} was inserted: no folio wrote it"
            case _:
                return f"{row} was {self.what} after folio {self.folio}{when} wrote it"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    bank: Ispb
    head: int
    """The number of the last folio."""
    hash: str
    """Its hash, in hexadecimal."""
    at: Instant
    rows: int
    """How many were compared."""
    copies: int
    """How many of the copies that peers hold were compared."""
    found: list[Found]
    """The earliest first."""
    more: int
    """How many were found besides."""


class Unreadable(Exception):
    """The database cannot be read through; the text says why."""


def prove(url: str, bank: Ispb, copies: Sequence[Copy] = ()) -> Proof:
    """`copies`: what others hold of this bank's heads; their signatures were verified. Raises Unreadable."""
    try:
        with _reading(url) as connection:
            return prove_open(connection, bank, copies)
    except (SQLAlchemyError, sqlite3.Error, Unavailable) as error:
        raise Unreadable(str(error).splitlines()[0]) from error


def prove_open(connection: Connection, bank: Ispb, copies: Sequence[Copy]) -> Proof:
    """The same, over a connection that is in a transaction already."""
    with closing(_Notes()) as notes:
        return _Reading(connection, bank, notes, copies).proof()


def kept_copies(url: str) -> list[Copy]:
    """What the bank holds of the others' heads, and those that are in dispute, whoever holds them. Raises Unreadable."""
    try:
        with _reading(url) as connection:
            return copies_in(connection)
    except (SQLAlchemyError, sqlite3.Error, Unavailable) as error:
        raise Unreadable(str(error).splitlines()[0]) from error


def copies_in(connection: Connection) -> list[Copy]:
    """The same, over a connection."""
    return [_copy(row[6], tuple(row[:6])) for row in connection.exec_driver_sql(_COPIES)]


def _copy(holder: Ispb, row: Sequence[Any]) -> Copy:
    try:
        named = dict(zip(("bank", "number", "hash", "at", "public_key", "signature"), row, strict=True))
        head = msgspec.convert(named, SignedHead, builtin_types=(bytes,))
        if _time(head.at) is None:
            raise ValueError(head.at)
    except ValueError as error:
        raise Unreadable("a copy of a head, in heads or disputes, is none: somebody altered it") from error
    return Copy(holder=holder, head=head)


_COPIES = (
    "SELECT ispb, number, hash, at, public_key, signature, (SELECT ispb FROM bank) FROM heads"
    " UNION SELECT ispb, number, hash, at, public_key, signature, holder FROM disputes"
)


class _Reading:
    """One reading of a database from its first folio to its last row."""

    def __init__(self, connection: Connection, bank: Ispb, notes: "_Notes", copies: Sequence[Copy]) -> None:
        self._connection = connection
        self._bank = bank
        self._notes = notes
        self._copies = copies
        self._held: dict[int, list[Copy]] = {}
        for copy in copies:
            self._held.setdefault(copy.head.number, []).append(copy)
        self._found: list[Found] = []
        self._more = 0

    def proof(self) -> Proof:
        number, at, hash = self._read_chain()
        for copy in self._copies:
            if copy.head.number > number:
                self._contradicted(copy)
        rows = self._read_rows()
        for found in self._notes.differences():
            self._add(msgspec.structs.replace(found, at=self._written_at(found.folio)))
        self._found.sort(key=lambda found: (found.folio is None, found.folio or 0))
        return Proof(
            bank=self._bank,
            head=number,
            hash=hash.hex(),
            at=_time(at) or Instant(0),
            rows=rows,
            copies=len(self._copies),
            found=self._found,
            more=self._more,
        )

    def _read_chain(self) -> tuple[int, Instant, bytes]:
        """Follows the chain, and notes what each folio wrote; where it ends."""
        number, at, hash = 0, Instant(0), chain.first(self._bank)
        expected = 0
        for number, at, stored, contents in self._rows(
            "folios", ("number", "at", "hash", "contents"), "number"
        ):
            if not self._follows(expected, number, at, hash, stored, contents):
                self._add(Found(what=What.FOLIO, folio=number, at=_time(at)))
            # Once it is broken it is followed from what stands there, so that one break is found once.
            hash, expected = stored, number + 1
            for copy in self._held.get(number, ()):
                if copy.head.hash != stored:
                    self._contradicted(copy)
        if expected == 0 and list(self._rows("bank", ("ispb",))):
            # A database that no bank has ever opened has no chain yet; whatever rows it has are inserted ones.
            self._add(Found(what=What.FOLIO, folio=0))
        return number, at, hash

    def _follows(self, expected: int, number: Any, at: Any, last: Any, stored: Any, contents: Any) -> bool:
        """Whether this is the folio that the chain goes on with; if it can be read, what it wrote is noted."""
        try:
            if number == 0:
                return expected == 0 and stored == chain.first(self._bank) and contents == b""
            for found in self._notes.wrote(number, chain.rows_in(contents)):
                self._add(msgspec.structs.replace(found, at=at))
            return bool(expected == number and stored == chain.extended(last, number, at, contents))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            # Whatever stands there instead, of whatever type and however deep: it was not written so.
            return False

    def _read_rows(self) -> int:
        count = 0
        for strips in STRIPS.values():
            for place, strip in enumerate(strips):
                rows = self._rows(strip.table.name, strip.columns)
                read = self._notes.found(strip.name, rows)
                count += read if place == 0 else 0
        return count

    def _rows(self, table: str, columns: Sequence[str], order: str | None = None) -> Iterator[Any]:
        query = f"SELECT {', '.join(columns)} FROM {table}" + (f" ORDER BY {order}" if order else "")
        # A folio may be as large as the largest batch.
        at_once = _FOLIOS_AT_ONCE if order else _AT_ONCE
        streamed = {"stream_results": True, "yield_per": at_once}
        return map(tuple, self._connection.exec_driver_sql(query, execution_options=streamed))

    def _written_at(self, folio: int | None) -> Instant | None:
        if folio is None:
            return None
        return _time(
            self._connection.exec_driver_sql(f"SELECT at FROM folios WHERE number = {folio}").scalar()
        )

    def _contradicted(self, copy: Copy) -> None:
        self._add(Found(what=What.HEAD, folio=copy.head.number, at=copy.head.at, holder=copy.holder))

    def _add(self, found: Found) -> None:
        if len(self._found) < SHOWN_MAX:
            self._found.append(found)
        else:
            self._more += 1


class _Notes:
    """What the chain says of every row, and what stands there: in a file that is gone when it is closed."""

    def __init__(self) -> None:
        # An empty name: SQLite makes a file of its own, and keeps of it in memory what it is told here.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA cache_size=-65536")
        self._file.execute("PRAGMA journal_mode=OFF")
        for table in ("written", "standing"):
            self._file.execute(
                f"CREATE TABLE {table} (name TEXT, part INT, key BLOB, digest BLOB, folio INT,"
                " PRIMARY KEY (name, key, part)) WITHOUT ROWID"
            )
        self._places = {
            strip.name: (str(table.name), part, strip.width)
            for table, strips in STRIPS.items()
            for part, strip in enumerate(strips)
        }
        self._file.execute("BEGIN")

    def close(self) -> None:
        self._file.close()

    def wrote(self, folio: int, rows: Iterable[chain.Written]) -> list[Found]:
        """Takes in a folio's rows; those that the folio found otherwise than the chain left them.

        Raises KeyError for what this version of Ciranda does not know, ValueError."""
        noted, found = [], []
        for row in rows:
            place = self._place(row.strip, row.key)
            noted.append((*place, row.digest, folio))
            if row.before != chain.UNSEEN or row.digest == chain.GONE:
                last = self._file.execute(_LAST, place).fetchone()
                if last is None or row.before not in (chain.UNSEEN, last[0][: chain.BEFORE_BYTES]):
                    found.append(Found(what=What.WENT_ON, folio=folio, table=place[0], key=row.key))
        self._file.executemany("INSERT OR REPLACE INTO written VALUES (?, ?, ?, ?, ?)", noted)
        return found

    def _place(self, strip: str, key: chain.Key) -> tuple[str, int, bytes]:
        table, part, width = self._places[strip]
        if len(key) != width:
            raise ValueError(f"a key of {strip} with {len(key)} parts")
        return table, part, chain.packed(key)

    def found(self, strip: str, rows: Iterator[Any]) -> int:
        """Takes in the rows that stand there; how many."""
        table, part, width = self._places[strip]
        count = 0
        while some := list(islice(rows, _AT_ONCE)):
            count += len(some)
            self._file.executemany(
                _STANDS_AGAIN if strip in _SAYING_THE_SAME else _STANDS_ONCE,
                [(table, part, chain.packed(row[:width]), chain.digest(row)) for row in some],
            )
        return count

    def differences(self) -> Iterator[Found]:
        """In the order of the folios that wrote the rows last; then what no folio wrote."""
        for table, key, what, folio in self._file.execute(_DIFFERENCES, {"gone": chain.GONE}):
            yield Found(what=What(what), folio=folio, table=table, key=tuple(chain.unpacked(key)))


_LAST = "SELECT digest FROM written WHERE name = ? AND part = ? AND key = ?"
_STANDS_AGAIN = "INSERT OR IGNORE INTO standing VALUES (?, ?, ?, ?, NULL)"
# A second row under one key, in a table whose own key somebody took away: as neither of the two it was written.
_STANDS_ONCE = """
    INSERT INTO standing VALUES (?, ?, ?, ?, NULL) ON CONFLICT (name, key, part) DO UPDATE SET digest = x''
"""

_DIFFERENCES = """
    SELECT * FROM (
    SELECT name, key, 'altered' AS what, max(written.folio) AS folio
    FROM written JOIN standing USING (name, key, part)
    WHERE written.digest NOT IN (standing.digest, :gone) GROUP BY name, key
    UNION ALL
    SELECT name, key, 'removed', max(written.folio)
    FROM written LEFT JOIN standing USING (name, key, part)
    WHERE standing.digest IS NULL AND written.digest <> :gone GROUP BY name, key
    UNION ALL
    SELECT name, key, 'inserted', NULL
    FROM standing LEFT JOIN written USING (name, key, part)
    WHERE written.digest IS NULL OR written.digest = :gone GROUP BY name, key
    ) ORDER BY folio IS NULL, folio, name, key
"""


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    """One snapshot, of a database that nobody has to serve. A file that is not there is not made."""
    if not is_sqlite(url):
        engine = create_engine(
            sqlalchemy_url(url),
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
            connect_args={"connect_timeout": 5, "options": "-c default_transaction_read_only=on"},
        )
    else:
        file = make_url(url).database
        # Whatever the file's name: what means something in a URI is quoted.
        only_read = URL.create(
            "sqlite", database=f"file:{quote(file or '')}", query={"mode": "ro", "uri": "true"}
        )
        engine = sqlite_reader(
            create_engine(only_read, poolclass=NullPool),
            "PRAGMA busy_timeout=5000",
        )
        event.listen(engine, "connect", _read_any_text)
    with engine.begin() as connection:
        yield connection


def _read_any_text(connection: Any, _record: Any) -> None:
    """A text that is none is not the end of the reading: it was not written so, and is found."""
    connection.text_factory = lambda raw: raw.decode(errors="replace")


def _time(at: Any) -> Instant | None:
    """None: no time that a bank has ever written."""
    return Instant(at) if isinstance(at, int) and 0 <= at <= _TIME_MAX else None


def _shown(part: Any) -> str:
    return part.hex() if isinstance(part, bytes) else str(part)
