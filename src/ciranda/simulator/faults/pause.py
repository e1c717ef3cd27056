"""A bank stands still for longer than every time limit, and then goes on as if nothing had happened."""

import asyncio
from typing import TYPE_CHECKING

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Recurring, victim

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Pause(Recurring, frozen=True, kw_only=True, tag="pause"):
    every_s: Span = (1.0, 8.0)
    lasts_s: Span = (0.2, 15.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        bank = victim(world, dice)
        if bank is not None:
            world.faults_seen[self.name] += 1
            bank.pause()
            asyncio.get_running_loop().call_later(dice.within(self.lasts_s), bank.resume)
