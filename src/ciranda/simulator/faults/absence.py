"""Banks that stay away: for ever, or until days later."""

import asyncio
from typing import TYPE_CHECKING

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, victim

if TYPE_CHECKING:
    from ciranda.simulator.world import World

_DAY_MS = 24 * 60 * 60 * 1000


class Gone(Fault, frozen=True, kw_only=True, tag="gone"):
    """One bank dies in the middle of everything and never comes back. Everybody else must come to an end."""

    at_s: Span = (1.0, 15.0)

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await asyncio.sleep(dice.within(self.at_s))
        bank = victim(world, dice)
        if bank is not None and not world.gone:
            world.strike(self.name, f"{bank.name} is lost for ever")
            world.gone.add(bank.ispb)
            bank.locked = True
            bank.crash("lost for ever")


class LongAbsence(Fault, frozen=True, kw_only=True, tag="long_absence"):
    """A bank is away for days, and returns with its own database. (Everybody's wall clock leaps: nothing happened.)"""

    at_s: Span = (1.0, 10.0)
    away_s: Span = (5.0, 12.0)
    days: Span = (0.5, 6.0)
    """Less than idempotency keys are kept."""

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await asyncio.sleep(dice.within(self.at_s))
        bank = victim(world, dice)
        if bank is None:
            return
        days = dice.within(self.days)
        world.strike(self.name, f"{bank.name} goes away for {days:.1f} days")
        bank.locked = True
        bank.crash("away for days")
        try:
            await asyncio.sleep(dice.within(self.away_s))
            for other in world.banks.values():
                other.clock.days_passed_ms += int(days * _DAY_MS)
            world.note(self.name, f"{days:.1f} days have passed")
        finally:
            bank.locked = False
        bank.start()
