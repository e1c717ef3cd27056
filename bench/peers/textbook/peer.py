"""The textbook's two banks, started and stopped."""

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from bench.peers.peers import (
    BALANCE,
    HERE,
    THERE,
    Peer,
    Running,
    Site,
    account,
    address_of,
    between,
    listen,
    process,
    wait_until_it_answers,
)
from bench.peers.textbook.bank import PEER_S, Book
from ciranda.identity import Ispb

DOUBT_S = 3 * PEER_S
"""A bank asks twice in that time about what it is in doubt of."""


@contextmanager
def start(site: Site) -> Iterator[Running]:
    folder = site.folder("textbook")
    listeners = {bank: listen() for bank in (HERE, THERE)}
    addresses = {bank: address_of(listener) for bank, listener in listeners.items()}
    books = {bank: folder / f"{bank}.db" for bank in listeners}
    with ExitStack() as stack:
        pids = []
        for bank, listener in listeners.items():
            found(books[bank], bank, site.accounts)
            command = [sys.executable, "-m", "bench.peers.textbook.bank", bank, str(books[bank])]
            command += ["--listener", str(listener.fileno())]
            for other, (host, port) in addresses.items():
                command += ["--peer", f"{other}=http://{host}:{port}"] if other != bank else []
            pids.append(stack.enter_context(process(command, folder / f"{bank}.log", listener)))
        for address in addresses.values():
            wait_until_it_answers(address)
        yield Running(
            addresses=(addresses[HERE],),
            pids=tuple(pids),
            request=partial(between, accounts=site.accounts),
            money=partial(money, list(books.values())),
        )


def found(path: Path, bank: Ispb, accounts: int) -> None:
    with Book(path).transaction() as book:
        book.executemany(
            "INSERT INTO accounts (address, balance) VALUES (?, ?)",
            ((account(bank, number), BALANCE) for number in range(accounts)),
        )


def money(paths: list[Path]) -> int:
    """Raises TimeoutError if a payment stays in doubt."""
    with ExitStack() as stack:
        books = [stack.enter_context(closing(sqlite3.connect(path))) for path in paths]

        def sum_of(what: str) -> int:
            return sum(int(book.execute(f"SELECT {what}").fetchone()[0]) for book in books)

        patience_ends = time.monotonic() + DOUBT_S
        while sum_of("count(*) FROM payments WHERE state = 'prepared'"):
            if time.monotonic() > patience_ends:
                raise TimeoutError("a payment stays in doubt")
            time.sleep(0.1)
        assert sum_of("sum(held) FROM accounts") == 0, "money is held for payments that have ended"
        return sum_of("sum(balance) FROM accounts")


PEER = Peer(name="textbook", what="Flask, an SQLite file a bank, two-phase commit over requests", start=start)
