"""Disks that are full for a while, and disks whose commits fail now and then, done or not done."""

import asyncio
from typing import TYPE_CHECKING

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, Recurring

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class FullDisk(Recurring, frozen=True, kw_only=True, tag="full_disk"):
    every_s: Span = (2.0, 10.0)
    lasts_s: Span = (0.2, 6.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        bank = dice.pick(list(world.banks.values()))
        world.strike(self.name, f"{bank.name}'s disk is full")
        bank.disk.full = True
        await asyncio.sleep(dice.within(self.lasts_s))
        world.note(self.name, f"{bank.name}'s disk has room again")
        bank.disk.full = False


class FailingCommits(Fault, frozen=True, kw_only=True, tag="failing_commits"):
    rate: Span = (0.005, 0.1)

    async def rage(self, world: "World", dice: SeededDice) -> None:
        bank = dice.pick(list(world.banks.values()))
        bank.disk.commits_failing = dice.within(self.rate)
        world.strike(self.name, f"{bank.name}: {bank.disk.commits_failing:.0%} of the commits fail")
