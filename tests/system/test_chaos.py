"""The short form of `python -m tests.system.chaos`: every kind of fault strikes once, while customers pay."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.chaos import Chaos
from tests.system.nemesis.namespaces import allowed
from tests.system.nemesis.world import World, world
from tests.system.postgresql import postgresql

# Of these seeds all kinds of faults strike within some ten seconds, and some of them last longer than the deadline.
ON_SQLITE = 3_344
ON_POSTGRESQL = 2_337
IN_NAMESPACES = 38
"""It begins with partitions of both kinds."""


def test_no_money_is_made_or_lost_whatever_strikes(tmp_path: Path) -> None:
    with world(tmp_path / "banks", ON_SQLITE) as struck:
        check_once_through(struck, ON_SQLITE)


def test_nor_on_postgresql_with_two_workers_a_bank(tmp_path: Path) -> None:
    with (
        postgresql() as server,
        world(tmp_path / "banks", ON_POSTGRESQL, banks=3, server=server) as struck,
    ):
        check_once_through(struck, ON_POSTGRESQL)


@pytest.mark.skipif(
    not allowed(), reason="network namespaces are not allowed here: partitions were made by proxies only"
)
def test_nor_when_packets_really_go_astray(tmp_path: Path) -> None:
    words = ["--netns", "--banks", "3", "--minutes", "0.2", "--seed", str(IN_NAMESPACES)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.chaos", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^partition +[1-9]\d* +a network namespace for each bank", done.stdout, re.M), (
        done.stdout
    )


def check_once_through(struck: World, seed: int) -> None:
    chaos = Chaos(struck, seed, print)
    ending = chaos.run_once_through()
    assert ending.holds, ending
    assert set(chaos.tally.faults) == chaos.kinds
    assert chaos.tally.settled > 100, str(chaos.tally)
    assert chaos.tally.refused.total() > 10, str(chaos.tally)
