"""Under what conditions something was measured: without them a figure says nothing."""

import os
import platform
import sqlite3
import time
from pathlib import Path

import msgspec
import psutil

from ciranda import __version__
from ciranda.storage.sqlite import PRAGMAS


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    date: str
    cpu: str
    cores: int
    memory_mib: int
    load_average: list[float]
    """Over 1, 5 and 15 minutes, before anything was measured: what else the machine was doing."""
    system: str
    python: str
    ciranda: str
    database: str
    durability: str
    """The database's own settings."""
    filesystem: str
    """Of the banks' folder; where PostgreSQL keeps its data is its own affair."""


def conditions(folder: Path, server: str | None) -> Conditions:
    """`server`: the URL template of PostgreSQL; None: SQLite, in `folder`."""
    database, durability = _sqlite() if server is None else _postgresql(server)
    return Conditions(
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        cpu=_cpu(),
        cores=os.cpu_count() or 0,
        memory_mib=psutil.virtual_memory().total // 1024**2,
        load_average=[round(load, 2) for load in psutil.getloadavg()],
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        ciranda=__version__,
        database=database,
        durability=durability,
        filesystem=_filesystem(folder),
    )


def _cpu() -> str:
    """Its model, where the system says it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _sqlite() -> tuple[str, str]:
    durable = [
        pragma.removeprefix("PRAGMA ")
        for pragma in PRAGMAS
        if "journal_mode" in pragma or "synchronous" in pragma
    ]
    return f"SQLite {sqlite3.sqlite_version}", ", ".join(durable)


def _postgresql(server: str) -> tuple[str, str]:
    import psycopg
    from psycopg.sql import SQL, Identifier

    with psycopg.connect(server.replace("{slug}", "postgres")) as connection:

        def show(name: str) -> str:
            row = connection.execute(SQL("SHOW {}").format(Identifier(name))).fetchone()
            return "" if row is None else str(row[0])

        durable = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
        return (
            f"PostgreSQL {show('server_version')}",
            ", ".join(f"{name}={show(name)}" for name in durable),
        )


def _filesystem(folder: Path) -> str:
    """That of the longest mount point above the folder."""
    path = folder.resolve()
    mounted = [
        (len(Path(part.mountpoint).parts), part.fstype)
        for part in psutil.disk_partitions(all=True)
        if path.is_relative_to(part.mountpoint)
    ]
    return max(mounted, default=(0, "unknown"))[1]
