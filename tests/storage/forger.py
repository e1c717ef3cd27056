"""A forger with a bank's SQLite file: alters rows, and can work the whole chain out anew so that it fits them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ciranda import chain
from ciranda.storage.chaining import STRIPS


class Forger:
    def __init__(self, file: Path) -> None:
        self._file = file

    def do(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self._file)) as connection, connection:
            assert connection.execute(statement, values).rowcount > 0, "nothing to forge"

    def ask(self, question: str) -> Sequence[Any]:
        with closing(sqlite3.connect(self._file)) as connection:
            row = connection.execute(question).fetchone()
            assert row is not None, question
            return tuple(row)

    def make_fit(self) -> None:
        """The careful forgery: every folio is made to say what stands there now, and all hashes after it follow."""
        with closing(sqlite3.connect(self._file)) as connection, connection:
            standing = dict(_standing(connection))
            folios = connection.execute(
                "SELECT number, at, hash, contents FROM folios ORDER BY number"
            ).fetchall()
            last_of = {
                (strip, key): number
                for number, _, _, contents in folios[1:]
                for strip, key, _, _ in chain.rows_in(contents)
            }
            last: dict[tuple[str, chain.Key], bytes] = {}
            hash = folios[0][2]
            for number, at, _, contents in folios[1:]:
                notes: dict[str, dict[chain.Key, bytes]] = {}
                befores: dict[str, dict[chain.Key, bytes]] = {}
                for strip, key, digest, before in chain.rows_in(contents):
                    now = standing.get((strip, key))
                    if last_of[strip, key] == number and now is not None:
                        digest = now
                    if now is not None or digest == chain.GONE:
                        notes.setdefault(strip, {})[key] = digest
                        if before != chain.UNSEEN:
                            found = last[strip, key][: chain.BEFORE_BYTES]
                            befores.setdefault(strip, {})[key] = found
                        last[strip, key] = digest
                contents = chain.contents_of(notes, befores)
                hash = chain.extended(hash, number, at, contents)
                connection.execute(
                    "UPDATE folios SET hash = ?, contents = ? WHERE number = ?", (hash, contents, number)
                )


def _standing(connection: sqlite3.Connection) -> list[tuple[tuple[str, chain.Key], bytes]]:
    return [
        ((strip.name, row[: strip.width]), chain.digest(row))
        for strips in STRIPS.values()
        for strip in strips
        for row in connection.execute(f"SELECT {', '.join(strip.columns)} FROM {strip.table.name}")
    ]
