"""A bank returns with an older database than the one that its peers have heard of, or with an empty one.

It must notice, say so and stop, and nothing that it did until then may have done harm. Then the right one is found.
What a bank had written and nobody had heard of cannot be noticed by anybody, so the fault waits until all have heard.
"""

import asyncio
from typing import TYPE_CHECKING

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, victim
from ciranda.simulator.founding import blank_image

if TYPE_CHECKING:
    from ciranda.simulator.bank import SimulatedBank
    from ciranda.simulator.world import World

_EMPTY = 0.3


class PutBack(Fault, frozen=True, kw_only=True, tag="put_back"):
    at_s: Span = (1.0, 10.0)
    older_by_s: Span = (0.5, 8.0)

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await asyncio.sleep(dice.within(self.at_s))
        bank = victim(world, dice)
        if bank is None:
            return
        backup, then = bank.disk.image(), height(bank)
        await asyncio.sleep(dice.within(self.older_by_s))
        if not bank.up or bank.paused or not _all_have_heard(world, bank, then):
            return
        world.strike(self.name, f"{bank.name} stops, and its database is put back")
        bank.locked = True
        bank.crash("stopped by its operator")
        bank.disk.put_back(blank_image() if dice.chance(_EMPTY) else backup)
        bank.suspect, bank.was_suspect, bank.locked = True, True, False
        bank.start()
        try:
            await self._until_noticed(world, bank)
        finally:
            bank.locked = True
            bank.crash("the operator finds the right database")
            bank.disk.put_right()
            bank.suspect, bank.locked = False, False
        bank.start()

    async def _until_noticed(self, world: "World", bank: "SimulatedBank") -> None:
        """In the calm everybody can tell it, so it has no excuse."""
        while bank.stopped_because is None:
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                return
        world.note(self.name, f"{bank.name} has noticed")


def height(bank: "SimulatedBank") -> int:
    return int(bank.disk.connection.execute("SELECT height FROM bank").fetchone()[0])


def _all_have_heard(world: "World", bank: "SimulatedBank", since: int) -> bool:
    """Whether every other bank's disk says that this one has written more than that."""
    for other in world.living():
        if other is not bank:
            row = other.disk.connection.execute(
                "SELECT height FROM heights WHERE ispb = ?", (bank.ispb,)
            ).fetchone()
            if row is None or row[0] <= since:
                return False
    return True
