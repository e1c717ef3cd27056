"""One bank of the textbook: Flask, one SQLite file, and two-phase commit with the other bank over `requests`.

Its law is presumed abort. A payment that its coordinator has not written down as committed is not committed; whoever
prepared it and hears nothing asks the coordinator, and holds the money until it answers.
"""

import argparse
import socket
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
import waitress
from flask import Flask, Response, jsonify, request

SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS accounts (
        address TEXT PRIMARY KEY, balance INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0,
        CHECK (balance - held >= 0)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS payments (
        id TEXT PRIMARY KEY, key TEXT UNIQUE, source TEXT NOT NULL, target TEXT NOT NULL, amount INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('prepared', 'committed', 'aborted'))
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS in_doubt ON payments (id) WHERE state = 'prepared';
    CREATE TABLE IF NOT EXISTS entries (
        account TEXT NOT NULL, payment TEXT NOT NULL, amount INTEGER NOT NULL, balance INTEGER NOT NULL,
        PRIMARY KEY (account, payment)
    ) WITHOUT ROWID;
"""

PEER_S = 5.0
"""How long a bank waits for another one's answer, and how often it asks about what it is in doubt of."""


class Book:
    """The bank's SQLite file: a connection for each thread, one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of_thread = threading.local()
        # Threads that wait here are woken at once; SQLite's own lock would have them look again and again.
        self._writer = threading.Lock()
        self.connection.executescript(SCHEMA)

    @property
    def connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 10000")
            self._of_thread.connection = connection
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """It is on the disk when the block has ended without an exception, and undone otherwise."""
        with self._writer:
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


class Refused(Exception):
    """The bank says no; the text says why."""


class Bank:
    """`peers`: the URL of each other bank, by its ISPB."""

    def __init__(self, ispb: str, book: Book, peers: dict[str, str]) -> None:
        self._ispb = ispb
        self._book = book
        self._peers = peers
        self._of_thread = threading.local()

    # As the coordinator.

    def pay(self, key: str, source: str, target: str, amount: int) -> dict[str, Any]:
        """Raises Refused."""
        payment = uuid.uuid4().hex
        peer = self._peers.get(target[:8])
        if peer is None and target[:8] != self._ispb:
            raise Refused("unknown bank")
        with self._book.transaction() as book:
            again = book.execute("SELECT id, state FROM payments WHERE key = ?", (key,)).fetchone()
            if again is not None:
                return _view(again[0], again[1], source, target, amount)
            book.execute(
                "INSERT INTO payments VALUES (?, ?, ?, ?, ?, 'prepared')",
                (payment, key, source, target, amount),
            )
            _hold(book, source, amount)
            if peer is None:
                self._post(book, payment)
        if peer is not None:
            self._commit_with(peer, payment, source, target, amount)
        return _view(payment, "committed", source, target, amount)

    def _commit_with(self, peer: str, payment: str, source: str, target: str, amount: int) -> None:
        order = {"id": payment, "source": source, "target": target, "amount": amount}
        try:
            said_yes = self._session.post(f"{peer}/prepare", json=order, timeout=PEER_S).status_code == 200
        except requests.RequestException:
            said_yes = False
        with self._book.transaction() as book:
            self._post(book, payment) if said_yes else self._release(book, payment)
        # It is decided, also if this does not get through; the other bank will ask.
        with suppress(requests.RequestException):
            self._session.post(f"{peer}/{'commit' if said_yes else 'abort'}/{payment}", timeout=PEER_S)
        if not said_yes:
            raise Refused("the other bank said no, or nothing")

    def decision(self, payment: str) -> str:
        """What a participant is told that asks: presumed aborted, unless it is still being decided on."""
        row = self._book.connection.execute("SELECT state FROM payments WHERE id = ?", (payment,)).fetchone()
        return "aborted" if row is None else str(row[0])

    # As the participant.

    def prepare(self, payment: str, source: str, target: str, amount: int) -> None:
        """Promises to take the money. Raises Refused."""
        with self._book.transaction() as book:
            if book.execute("SELECT 1 FROM accounts WHERE address = ?", (target,)).fetchone() is None:
                raise Refused("unknown account")
            book.execute(
                "INSERT OR IGNORE INTO payments VALUES (?, NULL, ?, ?, ?, 'prepared')",
                (payment, source, target, amount),
            )

    def conclude(self, payment: str, commit: bool) -> None:
        """Does what was decided, once however often it is told."""
        with self._book.transaction() as book:
            self._post(book, payment) if commit else self._release(book, payment)

    # Both.

    def recover(self) -> None:
        """At the start: what this bank was deciding on is aborted, and of the rest the coordinator is asked."""
        with self._book.transaction() as book:
            for payment, _ in self._in_doubt(coordinator=True):
                self._release(book, payment)
        threading.Thread(target=self._ask_on, daemon=True).start()

    def _ask_on(self) -> None:
        old: set[str] = set()
        while True:
            doubtful = dict(self._in_doubt(coordinator=False))
            for payment in old & doubtful.keys():
                try:
                    asked = self._session.get(
                        f"{self._peers[doubtful[payment][:8]]}/decisions/{payment}", timeout=PEER_S
                    )
                except requests.RequestException:
                    continue
                if asked.ok and asked.json() != "prepared":
                    self.conclude(payment, asked.json() == "committed")
            old = set(doubtful)
            threading.Event().wait(PEER_S)

    def _in_doubt(self, coordinator: bool) -> list[tuple[str, str]]:
        found = self._book.connection.execute("SELECT id, source FROM payments WHERE state = 'prepared'")
        return [(payment, source) for payment, source in found if (source[:8] == self._ispb) == coordinator]

    def _post(self, book: sqlite3.Connection, payment: str) -> None:
        concluded = _conclude(book, payment, "committed")
        if concluded is None:
            return
        source, target, amount = concluded
        for account, change, held in ((source, -amount, amount), (target, amount, 0)):
            if account[:8] == self._ispb:
                changed = book.execute(
                    "UPDATE accounts SET balance = balance + ?, held = held - ? WHERE address = ? RETURNING balance",
                    (change, held, account),
                ).fetchone()
                if changed is None:
                    raise Refused("unknown account")
                book.execute(
                    "INSERT INTO entries VALUES (?, ?, ?, ?)", (account, payment, change, changed[0])
                )

    def _release(self, book: sqlite3.Connection, payment: str) -> None:
        concluded = _conclude(book, payment, "aborted")
        if concluded is not None and concluded[0][:8] == self._ispb:
            book.execute(
                "UPDATE accounts SET held = held - ? WHERE address = ?", (concluded[2], concluded[0])
            )

    @property
    def _session(self) -> requests.Session:
        """Connections that are kept alive, of each thread its own: a Session is not made for several."""
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = requests.Session()
            session.trust_env = False
        return session


def _hold(book: sqlite3.Connection, account: str, amount: int) -> None:
    try:
        held = book.execute("UPDATE accounts SET held = held + ? WHERE address = ?", (amount, account))
    except sqlite3.IntegrityError as error:
        raise Refused("insufficient funds") from error
    if held.rowcount == 0:
        raise Refused("unknown account")


def _conclude(book: sqlite3.Connection, payment: str, state: str) -> tuple[str, str, int] | None:
    """The payment, if it was in doubt until now."""
    row: tuple[str, str, int] | None = book.execute(
        "UPDATE payments SET state = ? WHERE id = ? AND state = 'prepared' RETURNING source, target, amount",
        (state, payment),
    ).fetchone()
    return row


def _view(payment: str, state: str, source: str, target: str, amount: int) -> dict[str, Any]:
    return {
        "id": payment,
        "kind": "payment",
        "status": "settled" if state == "committed" else "refused" if state == "aborted" else "pending",
        "transfers": [{"source": source, "target": target, "amount": amount}],
        "amount": amount,
    }


def make_app(bank: Bank) -> Flask:
    app = Flask(__name__)

    @app.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        return jsonify(detail=str(error)), 422

    @app.post("/v1/payments")
    def pay() -> tuple[Response, int]:
        (transfer,) = request.get_json()["transfers"]
        paid = bank.pay(
            request.headers["Idempotency-Key"], transfer["source"], transfer["target"], transfer["amount"]
        )
        return jsonify(paid), 201

    @app.post("/prepare")
    def prepare() -> Response:
        order = request.get_json()
        bank.prepare(order["id"], order["source"], order["target"], order["amount"])
        return jsonify("yes")

    @app.post("/commit/<payment>")
    def commit(payment: str) -> Response:
        bank.conclude(payment, commit=True)
        return jsonify("done")

    @app.post("/abort/<payment>")
    def abort(payment: str) -> Response:
        bank.conclude(payment, commit=False)
        return jsonify("done")

    @app.get("/decisions/<payment>")
    def decision(payment: str) -> Response:
        return jsonify(bank.decision(payment))

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="One bank of the textbook.")
    parser.add_argument("ispb")
    parser.add_argument("book", type=Path, help="its SQLite file; made if it is not there")
    parser.add_argument(
        "--listener", type=int, required=True, help="the file descriptor of a socket that listens"
    )
    parser.add_argument("--peer", action="append", default=[], metavar="ISPB=URL", help="another bank")
    options = parser.parse_args()
    bank = Bank(options.ispb, Book(options.book), dict(peer.split("=", 1) for peer in options.peer))
    bank.recover()
    # Four threads are waitress's own choice, and more were not faster.
    waitress.serve(make_app(bank), sockets=[socket.socket(fileno=options.listener)], threads=4)


if __name__ == "__main__":
    main()
