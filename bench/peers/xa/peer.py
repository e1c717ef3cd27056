"""The XA peer, started and stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg

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
    uvicorn,
    wait_until_it_answers,
)
from bench.peers.xa.bank import SCHEMA
from ciranda.identity import Ispb


@contextmanager
def start(site: Site) -> Iterator[Running]:
    log = site.folder("xa") / "xa.log"
    urls = {bank: site.postgresql.create_database(f"xa_{bank}") for bank in (HERE, THERE)}
    for bank, url in urls.items():
        found(url, bank, site.accounts)
    listener = listen()
    address = address_of(listener)
    with uvicorn("bench.peers.xa.bank:app", listener, log, HERE=urls[HERE], THERE=urls[THERE]) as pid:
        wait_until_it_answers(address)
        yield Running(
            addresses=(address,),
            pids=(pid, site.postgresql.pid),
            request=partial(between, accounts=site.accounts),
            money=partial(money, list(urls.values())),
        )


def found(url: str, bank: Ispb, accounts: int) -> None:
    with psycopg.connect(url, autocommit=True) as book:
        book.execute(SCHEMA)
        with book.cursor().copy("COPY accounts FROM STDIN") as rows:
            for number in range(accounts):
                rows.write_row((account(bank, number), BALANCE))
        book.execute("VACUUM ANALYZE")


def money(urls: list[str]) -> int:
    total = 0
    for url in urls:
        with psycopg.connect(url) as book:
            left = book.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone()
            assert left == (0,), f"{left[0] if left else '?'} transactions are still prepared"
            row = book.execute("SELECT sum(balance)::bigint FROM accounts").fetchone()
            assert row is not None
            total += int(row[0])
    return total


PEER = Peer(name="xa", what="PREPARE TRANSACTION over two PostgreSQL databases", start=start)
