"""Ciranda as one of those that are compared: two banks, in processes of their own, with the same accounts as the peers."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.peers.peers import BALANCE, Running, Site, payment, process, scatter
from ciranda.cli.audit import examine
from ciranda.cli.demo import free_base_port
from ciranda.cli.init import found
from ciranda.client import BankClient
from ciranda.client.order import BatchedPayment, Order
from ciranda.payment import TRANSFERS_MAX
from ciranda.roster import Member, Roster
from ciranda.settings import OPERATOR_TOKEN, read_operator_token

DOCUMENTS = ("11144477735", "11122233396")
PASSWORD = "entre na roda"
OPENING_AT_ONCE = 64
BATCH_TRANSFERS = 10_000


@contextmanager
def two_banks(site: Site, database: str) -> Iterator[dict[str, Running]]:
    """The workloads inside the first bank, and between it and the second. `database`: SQLite or PostgreSQL."""
    folder = site.folder(f"ciranda-{database}")
    template, database_pids = None, []
    if database == "PostgreSQL":
        template, database_pids = site.postgresql.template, [site.postgresql.pid]
    roster = found(folder, banks=2, base_port=free_base_port(2), database=template)
    here, there = roster.members.values()
    with ExitStack() as stack:
        pids = []
        for member in (here, there):
            command = [
                sys.executable,
                "-m",
                "ciranda.cli.main",
                "serve",
                str(folder / member.slug / "bank.toml"),
            ]
            pids.append(stack.enter_context(process(command, folder / f"{member.slug}.log")))
        token, sources, targets = asyncio.run(_settle_in(folder, here, there, site.accounts))

        def running(pids: Sequence[int], targets: Sequence[str]) -> Running:
            return Running(
                address=_address(here),
                pids=(*pids, *database_pids),
                request=_request(token, sources, targets),
                money=lambda: _money(folder, roster),
            )

        yield {
            f"inside, {database}": running(pids[:1], sources),
            f"between, {database}": running(pids, targets),
        }


def _request(token: str, sources: Sequence[str], targets: Sequence[str]) -> Callable[[int], bytes]:
    def request(number: int) -> bytes:
        source, target = scatter(number, len(sources))
        if sources[source] == targets[target]:
            target -= 1
        return payment(number, sources[source], targets[target], token)

    return request


def _address(member: Member) -> tuple[str, int]:
    host, port = member.public_url.removeprefix("http://").split(":")
    return host, int(port)


def _money(folder: Path, roster: Roster) -> int:
    """What the customers have in both banks, if the audit holds."""
    report = asyncio.run(examine(folder, roster))
    assert report.code == 0, report
    return sum(book.audit.balances.customers for book in report.books)


async def _settle_in(
    folder: Path, here: Member, there: Member, accounts: int
) -> tuple[str, list[str], list[str]]:
    """The session of whom the sources belong to, the sources, and the targets."""
    async with BankClient(here.public_url) as payer, BankClient(there.public_url) as payee:
        for client in (payer, payee):
            while not await client.is_ready():
                await asyncio.sleep(0.05)
        while not all(peer.reachable for peer in (await payer.bank()).peers):
            await asyncio.sleep(0.05)
        sources = await _open(payer, accounts)
        targets = await _open(payee, accounts)
        for member, addresses, client in ((here, sources, payer), (there, targets, payee)):
            teller = BankClient(member.public_url, read_operator_token(folder / member.slug / OPERATOR_TOKEN))
            async with teller:
                await teller.deposit(addresses[0], BALANCE * accounts)
            await _share(client, addresses)
        assert payer.token is not None
        return payer.token, sources, targets


async def _open(client: BankClient, accounts: int) -> list[str]:
    """Joint accounts: of these two people may have any number."""
    for document in DOCUMENTS:
        await client.sign_up(document, "Maria da Areia", PASSWORD)
    await client.log_in(DOCUMENTS[0], PASSWORD)
    addresses: list[str] = []

    async def open_on() -> None:
        while len(addresses) + OPENING_AT_ONCE <= accounts:
            addresses.append((await client.open_account("joint", holders=DOCUMENTS)).address)

    await asyncio.gather(*(open_on() for _ in range(OPENING_AT_ONCE)))
    while len(addresses) < accounts:
        addresses.append((await client.open_account("joint", holders=DOCUMENTS)).address)
    return addresses


async def _share(client: BankClient, addresses: Sequence[str]) -> None:
    """From the first account to all of them alike."""
    first, *others = addresses
    orders = [Order(source=first, target=other, amount=BALANCE) for other in others]
    for call in range(0, len(orders), BATCH_TRANSFERS):
        part = orders[call : call + BATCH_TRANSFERS]
        results = await client.pay_batch(
            [
                BatchedPayment(key=f"share{call + at}", transfers=part[at : at + TRANSFERS_MAX])
                for at in range(0, len(part), TRANSFERS_MAX)
            ]
        )
        assert all(result.status == "settled" for result in results), results
