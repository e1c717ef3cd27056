"""What a run takes of the machine: processor time, bytes written and memory of each process, durable writes of each bank.

The figures are the operating system's, the databases' and the banks' own `/metrics`. Two readings, before and after,
make a `Cost`.
"""

import asyncio
import re

import aiohttp
import msgspec
import psutil
from msgspec.structs import replace
from sqlalchemy import NullPool, create_engine

from ciranda.bench.circle import Bank, Circle
from ciranda.bench.databases import server_pid
from ciranda.settings import is_sqlite
from ciranda.storage import look
from ciranda.storage.opening import sqlalchemy_url, sqlite_reader

GENERATOR = "generator"
SERVER = "postgresql"

_METRIC = re.compile(r"^ciranda_(batches|batch_inputs)_total (\S+)$", re.MULTILINE)
_MIB = 1024 * 1024
_SCRAPES_FOR_EACH = 3


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Of a group of processes, until now."""

    pids: list[int]
    cpu_s: float
    written: int
    """Bytes handed to the disk; 0 where the system does not say."""
    rss: int


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    usage: dict[str, Usage]
    """By process: each bank's slug, the generator, the database server."""
    commits: dict[str, int]
    """By bank: how many transactions have written, counted in its database."""
    batches: dict[str, tuple[float, float]]
    """By bank: batches and inputs in them, since the worker that answered was started."""
    stored: int
    """Bytes of all databases."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    cpu_us_per_payment: dict[str, float]
    """By process, its workers included."""
    written_bytes_per_payment: dict[str, float]
    stored_bytes_per_payment: float
    durable_writes_per_payment: dict[str, float]
    """By bank."""
    inputs_per_batch: dict[str, float]
    """By bank: how many share one commit."""
    rss_mib: dict[str, float]
    """At the end."""


class Meter:
    def __init__(self, circle: Circle) -> None:
        self._circle = circle
        self._server = None if circle.server is None else server_pid(circle.server)

    async def read(self) -> Reading:
        banks = self._circle.banks
        usage = {bank.member.slug: _usage(bank.process.pid) for bank in banks if bank.process.running}
        usage[GENERATOR] = _usage(psutil.Process().pid, children=False)
        if self._server is not None:
            usage[SERVER] = _usage(self._server)
        # A new connection for each scrape, so that it may meet another worker.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            batches = {
                bank.member.slug: await self._batches(session, bank) for bank in banks if bank.process.running
            }
        seen = await asyncio.gather(*(asyncio.to_thread(_look, bank.database) for bank in banks))
        return Reading(
            usage=usage,
            commits={bank.member.slug: height for bank, (height, _) in zip(banks, seen, strict=True)},
            batches=batches,
            stored=sum(size for _, size in seen),
        )

    async def _batches(self, session: aiohttp.ClientSession, bank: Bank) -> tuple[float, float]:
        """Batches and inputs. Of several workers each counts for itself: those of the busiest that is met."""
        workers = self._circle.workers
        scrapes = 1 if workers == 1 else _SCRAPES_FOR_EACH * workers
        return max([await _scrape(session, bank) for _ in range(scrapes)])

    def rss_mib(self, bank: Bank) -> float:
        """Now, of all its workers."""
        return _usage(bank.process.pid).rss / _MIB

    def cost(self, before: Reading, after: Reading, payments: int) -> Cost:
        count = max(1, payments)
        # Of several workers nobody knows which one was met before, and a bank that was killed counts from 0 again: then
        # the average since the start stands for all.
        same = {
            name
            for name in before.batches
            if self._circle.workers == 1 and _is_same(before.usage[name], after.usage.get(name))
        }
        used = {name: _since(before.usage.get(name), now) for name, now in after.usage.items()}
        return Cost(
            cpu_us_per_payment={name: usage.cpu_s * 1e6 / count for name, usage in used.items()},
            written_bytes_per_payment={
                name: usage.written / count for name, usage in used.items() if name != GENERATOR
            },
            stored_bytes_per_payment=(after.stored - before.stored) / count,
            durable_writes_per_payment={
                bank: (height - before.commits[bank]) / count for bank, height in after.commits.items()
            },
            inputs_per_batch={
                bank: _average(before.batches[bank] if bank in same else (0.0, 0.0), now)
                for bank, now in after.batches.items()
            },
            rss_mib={name: usage.rss / _MIB for name, usage in after.usage.items()},
        )


def _usage(pid: int, *, children: bool = True) -> Usage:
    parent = psutil.Process(pid)
    pids, cpu_s, written, rss = [], 0.0, 0, 0
    for process in [parent, *(parent.children(recursive=True) if children else [])]:
        try:
            with process.oneshot():
                times = process.cpu_times()
                memory = process.memory_info().rss
                bytes_written = _written(process)
        except psutil.NoSuchProcess:
            continue  # A database server's helper that has ended since it was listed.
        pids.append(process.pid)
        cpu_s += times.user + times.system
        if children:
            # Those that have ended count on in their parent, so that the sum never falls.
            cpu_s += times.children_user + times.children_system
        written += bytes_written
        rss += memory
    return Usage(pids=pids, cpu_s=cpu_s, written=written, rss=rss)


def _written(process: psutil.Process) -> int:
    try:
        return int(process.io_counters().write_bytes)
    except (AttributeError, psutil.AccessDenied):  # Not on this system, or not ours to see.
        return 0


def _since(before: Usage | None, now: Usage) -> Usage:
    """A process that was started in between, as a bank that was killed, has used only what it used since."""
    if before is None or not _is_same(before, now):
        return now
    return replace(
        now, cpu_s=max(0.0, now.cpu_s - before.cpu_s), written=max(0, now.written - before.written)
    )


def _is_same(before: Usage, now: Usage | None) -> bool:
    return now is not None and before.pids[0] == now.pids[0]


def _average(before: tuple[float, float], now: tuple[float, float]) -> float:
    """Inputs a batch, from batches and inputs."""
    batches, inputs = now[0] - before[0], now[1] - before[1]
    return inputs / batches if batches else 0.0


async def _scrape(session: aiohttp.ClientSession, bank: Bank) -> tuple[float, float]:
    async with session.get(f"{bank.member.public_url}/metrics") as answer:
        figures = dict(_METRIC.findall(await answer.text()))
    return float(figures["batches"]), float(figures["batch_inputs"])


def _look(database: str) -> tuple[int, int]:
    """The bank's height, which rises with each transaction that writes, and the bytes of its database."""
    engine = create_engine(sqlalchemy_url(database), poolclass=NullPool)
    if is_sqlite(database):
        sqlite_reader(engine, "PRAGMA query_only=ON")
        # With what is still in the log, whose own size says nothing.
        size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    else:
        size = "SELECT pg_database_size(current_database())"
    with engine.connect() as connection:
        return look.height(connection), int(connection.exec_driver_sql(size).scalar_one())
