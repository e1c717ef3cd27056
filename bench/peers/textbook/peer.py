"""The textbook's two banks, started and stopped."""

import sqlite3
import sys
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
from bench.peers.textbook.bank import Book
from ciranda.identity import Ispb


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
            address=addresses[HERE],
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
    total = 0
    for path in paths:
        with closing(sqlite3.connect(path)) as book:
            balance, held = book.execute("SELECT sum(balance), sum(held) FROM accounts").fetchone()
            assert held == 0, f"{path} holds {held} for payments that have ended"
            total += balance
    return total


PEER = Peer(name="textbook", what="Flask, an SQLite file a bank, two-phase commit over requests", start=start)
