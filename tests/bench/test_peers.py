"""The peers that Ciranda is measured beside do the work that they are there for: they answer, and keep the money."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import psycopg
import pytest

from bench.compare import run, run_pgbench
from bench.peers.echo_asgi.peer import PEER as ECHO_ASGI
from bench.peers.echo_litestar.peer import PEER as ECHO_LITESTAR
from bench.peers.peers import BALANCE, HERE, THERE, Running, Site, account
from bench.peers.pgbench.tpcb import Missing, Pgbench, find
from bench.peers.textbook.peer import PEER as TEXTBOOK
from bench.peers.xa.bank import SCHEMA, Branch, Order, TransactionManager, pool
from bench.peers.xa.peer import PEER as XA
from ciranda.identity import Ispb

ACCOUNTS = 20
CONNECTIONS = 4
SECONDS = 0.5

ANA, RUI = account(HERE, 0), account(THERE, 0)
NOBODY = account(THERE, ACCOUNTS)
ELSEWHERE = account(Ispb("10000003"), 0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as ending:
        yield Site(tmp_path_factory.mktemp("site"), ACCOUNTS, ending)


@pytest.fixture(scope="module", params=[ECHO_ASGI, ECHO_LITESTAR], ids=lambda peer: peer.name)
def echo(request: pytest.FixtureRequest, site: Site) -> Iterator[Running]:
    with request.param.start(site) as running:
        yield running


@pytest.fixture(scope="module", params=[TEXTBOOK, XA], ids=lambda peer: peer.name)
def banks(request: pytest.FixtureRequest, site: Site) -> Iterator[Running]:
    with request.param.start(site) as running:
        yield running


def test_an_echo_answers_every_payment_in_the_shape_of_ciranda(echo: Running) -> None:
    figures = run(echo, CONNECTIONS, SECONDS)
    assert figures.rate > 0
    assert figures.not_settled == 0
    payment = pay(echo, ANA, RUI, 5, key="one").json()
    assert payment["status"] == "settled"
    assert payment["transfers"] == [{"source": ANA, "target": RUI, "amount": 5}]


def test_banks_settle_every_payment_and_keep_the_money(banks: Running) -> None:
    assert banks.money() == 2 * ACCOUNTS * BALANCE
    figures = run(banks, CONNECTIONS, SECONDS)
    assert figures.rate > 0
    assert figures.not_settled == 0
    assert banks.money() == 2 * ACCOUNTS * BALANCE


@pytest.mark.parametrize(("target", "amount"), [(RUI, 2 * BALANCE), (NOBODY, 1), (ELSEWHERE, 1)])
def test_banks_refuse_what_cannot_be_and_hold_nothing_of_it(banks: Running, target: str, amount: int) -> None:
    assert pay(banks, ANA, target, amount, key=f"to {target}").status_code == 422
    assert banks.money() == 2 * ACCOUNTS * BALANCE


def test_banks_pay_once_for_one_key(banks: Running) -> None:
    # More than half of what there is: a second time there would be too little.
    first = pay(banks, ANA, RUI, BALANCE * 2 // 3, key="once")
    assert (first.status_code, first.json()["status"]) == (201, "settled")
    again = pay(banks, ANA, RUI, BALANCE * 2 // 3, key="once")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


@pytest.mark.parametrize("decided", [True, False])
def test_what_xa_left_prepared_is_ended_as_it_was_decided(site: Site, decided: bool) -> None:
    urls = [site.postgresql.create_database(f"left_{decided}_{side}") for side in ("here", "there")]
    for url, address in zip(urls, (ANA, RUI), strict=True):
        with psycopg.connect(url) as book:
            book.execute(SCHEMA)
            book.execute("INSERT INTO accounts VALUES (%s, 10)", (address,))

    async def die_and_come_back() -> None:
        async with pool(urls[0]) as here, pool(urls[1]) as there:
            async with here.connection() as debited, there.connection() as credited:
                payment = f"p{decided}"
                await Branch(debited, f"{payment} debit").prepare(Order(payment, "k", ANA, RUI, 4), ANA, -4)
                await Branch(credited, f"{payment} credit").prepare(Order(payment, None, ANA, RUI, 4), RUI, 4)
                if decided:
                    await debited.execute("INSERT INTO decisions VALUES (%s)", (payment,))
            await TransactionManager(here, there).recover()

    asyncio.run(die_and_come_back())
    balances = []
    for url in urls:
        with psycopg.connect(url) as book:
            assert book.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone() == (0,)
            balances += book.execute("SELECT balance FROM accounts").fetchall()
    assert balances == ([(6,), (14,)] if decided else [(10,), (10,)])


def test_pgbench_is_measured_on_the_same_server(site: Site) -> None:
    try:
        find()
    except Missing as missing:
        pytest.skip(str(missing))
    pgbench = Pgbench(site.postgresql, scale=1)
    figures = run_pgbench(pgbench, site.postgresql.pid, CONNECTIONS, 1)
    assert figures.rate > 0
    assert figures.cpu_us > 0


def pay(running: Running, source: str, target: str, amount: int, key: str) -> httpx.Response:
    host, port = running.addresses[0]
    return httpx.post(
        f"http://{host}:{port}/v1/payments",
        json={"transfers": [{"source": source, "target": target, "amount": amount}]},
        headers={"Idempotency-Key": key},
        timeout=30,
        trust_env=False,
    )
