"""A consortium for measuring: founded in a temporary folder, filled, served by real processes, and audited at its end."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from ciranda.bench.databases import databases
from ciranda.bench.fill import Filled, fill_all
from ciranda.bench.load import Address
from ciranda.roster import Member, Roster
from ciranda.settings import BANK, load


class NotBalanced(Exception):
    """The audit found something; what, in its words."""


class Process(Protocol):
    """One bank as a process of its own, which ends with this one."""

    @property
    def pid(self) -> int: ...
    @property
    def running(self) -> bool: ...
    async def start(self) -> None: ...
    async def ready(self) -> None:
        """It is up, and reaches the others."""

    async def kill(self) -> None: ...
    async def stop(self) -> None: ...


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line does for its own commands and lends to us, who stand below it."""

    slugs: Sequence[str]
    """Of the banks that `found` founds, in their order."""
    found: Callable[[Path, int, str | None], Roster]
    """`ciranda init` on free ports: a folder, the number of banks, the URL template of the databases."""
    serve: Callable[[Member, Path, int], Process]
    """`ciranda serve`, not yet started: the bank, the consortium's folder, the number of workers."""
    audit: Callable[[Path, Roster], Awaitable[str | None]]
    """`ciranda audit`: None if all holds, or what does not."""


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    member: Member
    database: str
    operator_token: str
    process: Process
    filled: Filled

    @property
    def address(self) -> Address:
        """Of the public listener."""
        parts = urlsplit(self.member.public_url)
        return parts.hostname or "", parts.port or 0


class Circle(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path
    banks: list[Bank]
    workers: int
    server: str | None
    """The URL template of the database server, with {slug} for the name of a database; None: SQLite."""
    roster: Roster
    tools: Tools

    async def audit(self) -> None:
        """Raises NotBalanced."""
        found = await self.tools.audit(self.folder, self.roster)
        if found is not None:
            raise NotBalanced(found)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of consortium a workload needs. Workloads with the same plan share one."""

    banks: int
    accounts: int
    """In each bank."""
    initiator: int | None = None
    """The bank whose customers have mandates on their accounts at all others."""
    workers: int = 1
    database: str | None = None
    """A URL template of PostgreSQL, with {slug}; None: SQLite files in the folder."""
    folder: Path | None = None
    """Where the consortium's temporary folder is made; None: where the system makes them."""


@asynccontextmanager
async def circle(tools: Tools, plan: Plan) -> AsyncIterator[Circle]:
    """Up and filled; stopped and removed at the end. Whoever measured asks for its audit."""
    async with AsyncExitStack() as stack:
        parent = stack.enter_context(tempfile.TemporaryDirectory(prefix="ciranda-bench-", dir=plan.folder))
        folder = Path(parent) / "consortium"
        template = stack.enter_context(databases(plan.database, tools.slugs[: plan.banks]))
        roster = tools.found(folder, plan.banks, template)
        members = list(roster.members.values())
        files = [folder / member.slug / BANK for member in members]
        initiator = None if plan.initiator is None else members[plan.initiator].ispb
        filled = await fill_all(files, plan.accounts, initiator)
        banks = []
        for member, file, some in zip(members, files, filled, strict=True):
            settings = load(file)
            process = tools.serve(member, folder, plan.workers)
            bank = Bank(
                member=member,
                database=settings.database,
                operator_token=settings.operator_token,
                process=process,
                filled=some,
            )
            stack.push_async_callback(process.stop)
            await process.start()
            banks.append(bank)
        await asyncio.gather(*(bank.process.ready() for bank in banks))
        yield Circle(
            folder=folder,
            banks=banks,
            workers=plan.workers,
            server=plan.database,
            roster=roster,
            tools=tools,
        )
