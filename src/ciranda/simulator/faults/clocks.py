"""Wall clocks that are wrong: each bank's by some minutes from the start, or by an hour all of a sudden."""

import asyncio
from typing import TYPE_CHECKING

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, Recurring

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class ClockSkew(Fault, frozen=True, kw_only=True, tag="clock_skew"):
    seconds: Span = (-120.0, 120.0)

    async def rage(self, world: "World", dice: SeededDice) -> None:
        for bank in world.banks.values():
            wrong_by = dice.within(self.seconds)
            world.strike(self.name, f"{bank.name}'s clock is wrong by {wrong_by:.1f} s")
            bank.clock.wrong_by_ms += int(wrong_by * 1000)


class ClockJump(Recurring, frozen=True, kw_only=True, tag="clock_jump"):
    every_s: Span = (2.0, 8.0)
    seconds: Span = (1.0, 3_600.0)
    """By how much, either way; small jumps are as likely as large ones."""
    lasts_s: Span = (0.5, 10.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        bank = dice.pick(list(world.banks.values()))
        least, most = self.seconds
        jump = least * (most / least) ** dice.between(0, 1) * dice.pick((-1, 1))
        world.strike(self.name, f"{bank.name}'s clock jumps by {jump:.1f} s")
        bank.clock.wrong_by_ms += int(jump * 1000)
        await asyncio.sleep(dice.within(self.lasts_s))
        world.note(self.name, f"{bank.name}'s clock is put right")
        bank.clock.wrong_by_ms = 0
