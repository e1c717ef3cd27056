"""Every kind of fault: whom it strikes and for how long, how it is made, and by what means here."""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from ciranda.cli.nemesis import Aim, Kind, Strike
from tests.system.consortium import Bank
from tests.system.nemesis.clock import ClockShift
from tests.system.nemesis.database import DatabaseKill, DatabaseRestart
from tests.system.nemesis.disk import FullDisk
from tests.system.nemesis.fault import Fault
from tests.system.nemesis.kill import Kill
from tests.system.nemesis.link import LossyLink, SlowLink
from tests.system.nemesis.network import Wires
from tests.system.nemesis.partition import OneWayPartition, Partition
from tests.system.nemesis.pause import Pause
from tests.system.nemesis.world import World

Maker = Callable[[World, Sequence[Bank], Random], Fault]


class Line(NamedTuple):
    name: str
    aim: Aim
    shares: bool
    deadlines: float
    """It lasts for moments, or for so many times the payments' deadline."""
    made: Maker
    means: str = ""


PARTITION, ONE_WAY, FULL_DISK = "partition", "one-way partition", "full disk"

_ANYWHERE = (
    Line("kill -9", "some", False, 1.5, lambda _, banks, __: Kill(banks)),
    Line("SIGSTOP", "some", False, 2.0, lambda _, banks, __: Pause(banks)),
    Line(
        PARTITION,
        "side",
        True,
        2.0,
        lambda world, side, _: Partition(world.network, world.circle.banks, side),
    ),
    Line(ONE_WAY, "pair", True, 2.0, lambda world, pair, _: OneWayPartition(world.network, *pair)),
    Line(
        "clock shift",
        "some",
        True,
        2.0,
        lambda world, banks, dice: ClockShift(world.clocks, banks, dice),
        "another time of day in the bank's process",
    ),
)
_ON_WIRES = (
    Line("slow link", "some", True, 2.0, lambda world, banks, _: SlowLink(world.wires, banks), Wires.means),
    Line("lossy link", "some", True, 2.0, lambda world, banks, _: LossyLink(world.wires, banks), Wires.means),
)
_ON_SQLITE = (Line(FULL_DISK, "ground", False, 1.5, lambda world, _, __: FullDisk(world.disks, world.last)),)
_ON_POSTGRESQL = (
    Line("PostgreSQL restarted", "ground", False, 1.0, lambda world, _, __: DatabaseRestart(world.database)),
    Line("PostgreSQL killed", "ground", False, 1.0, lambda world, _, __: DatabaseKill(world.database)),
)
_GROUPS: tuple[tuple[Line, ...], ...] = (_ANYWHERE, _ON_WIRES, _ON_SQLITE, _ON_POSTGRESQL)


class Arsenal:
    """What can strike this world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._absent = {
            _ON_WIRES: "" if isinstance(world.network, Wires) else "not in network namespaces",
            _ON_SQLITE: "" if world.server is None else "not on PostgreSQL: the disk is the server's",
            _ON_POSTGRESQL: "" if world.server is not None else "not on SQLite",
        }
        """Of a group of faults, why it is not there, if it is not."""
        self._lines = {line.name: line for group in _GROUPS if not self._absent.get(group) for line in group}

    def kinds(self, deadline_s: float) -> list[Kind]:
        return [
            Kind(line.name, line.aim, line.deadlines * deadline_s, line.shares)
            for line in self._lines.values()
        ]

    def fault(self, strike: Strike, dice: Random) -> Fault:
        banks = [bank for bank in self._world.circle.banks if bank.slug in strike.victims]
        make = self._lines[strike.kind].made
        return make(self._world, banks, dice)

    @property
    def means(self) -> dict[str, str]:
        """By what each kind was brought about; and of those that are not there, why."""
        said = {line.name: line.means for line in self._lines.values()}
        said[PARTITION] = said[ONE_WAY] = self._world.network.means
        if FULL_DISK in said:
            said[FULL_DISK] = self._world.disks.means
        return said | {line.name: why for group, why in self._absent.items() if why for line in group}
