"""Ciranda as one of those that are compared: two banks, in processes of their own, with as many accounts as a peer's."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

from bench.peers.peers import READY_S, Running, Site, payment, process, scatter
from ciranda.bench.databases import databases
from ciranda.bench.fill import Filled, fill_all
from ciranda.cli.audit import examine
from ciranda.cli.demo import free_base_port
from ciranda.cli.init import TREES, found
from ciranda.client import BankClient
from ciranda.roster import Member
from ciranda.settings import BANK, OPERATOR_TOKEN, read_operator_token


@contextmanager
def two_banks(site: Site, database: str) -> Iterator[dict[str, Running]]:
    """The workloads inside the first bank, and between both, by turns there and back; at the end the whole audit is made,
    of every payment in both. `database`: SQLite or PostgreSQL."""
    folder = site.folder(f"ciranda-{database}")
    server = site.postgresql if database == "PostgreSQL" else None
    with ExitStack() as stack:
        template = stack.enter_context(
            databases(server.template if server else None, [tree.slug for tree in TREES[:2]])
        )
        roster = found(folder, banks=2, base_port=free_base_port(2), database=template)
        members = list(roster.members.values())
        settings = [folder / member.slug / BANK for member in members]
        here, there = asyncio.run(fill_all(settings, site.accounts, None))
        pids = []
        for member, bank_toml in zip(members, settings, strict=True):
            command = [sys.executable, "-m", "ciranda.cli.main", "serve", str(bank_toml)]
            pids.append(stack.enter_context(process(command, folder / f"{member.slug}.log")))
        asyncio.run(_acquainted(members))

        def running(asked: int, request: Callable[[int], bytes]) -> Running:
            return Running(
                addresses=tuple(map(_address, members[:asked])),
                pids=(*pids[:asked], server.pid) if server else tuple(pids[:asked]),
                request=request,
                money=lambda: asyncio.run(_money(folder, members)),
            )

        there_and_back = (_request(here, there), _request(there, here))
        yield {
            f"inside, {database}": running(1, _request(here, here)),
            f"between, {database}": running(2, lambda number: there_and_back[number % 2](number)),
        }
        report = asyncio.run(examine(folder, roster))
        assert report.code == 0, report


def _request(payer: Filled, payee: Filled) -> Callable[[int], bytes]:
    def request(number: int) -> bytes:
        source, target = scatter(number, payer.accounts)
        if payer is payee and source == target:
            target = (target + 1) % payer.accounts
        return payment(number, payer.address(source), payee.address(target), payer.token(source))

    return request


def _address(member: Member) -> tuple[str, int]:
    host, port = member.public_url.removeprefix("http://").split(":")
    return host, int(port)


async def _acquainted(members: Sequence[Member]) -> None:
    """Waits until each is ready and knows that the other is. Raises TimeoutError."""
    for member in members:
        async with asyncio.timeout(READY_S), BankClient(member.public_url) as bank:
            while not (await bank.is_ready() and all(peer.reachable for peer in (await bank.bank()).peers)):
                await asyncio.sleep(0.05)


async def _money(folder: Path, members: Sequence[Member]) -> int:
    """What the customers have in both banks, once no payment is in doubt. Raises TimeoutError."""
    async with asyncio.timeout(READY_S), AsyncExitStack() as stack:
        banks = [
            await stack.enter_async_context(
                BankClient(member.public_url, read_operator_token(folder / member.slug / OPERATOR_TOKEN))
            )
            for member in members
        ]
        while True:
            audits = [await bank.audit() for bank in banks]
            if not any(audit.payments.in_doubt for audit in audits):
                return sum(audit.balances.customers for audit in audits)
            await asyncio.sleep(0.05)
