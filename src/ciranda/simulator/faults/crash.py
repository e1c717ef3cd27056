"""Banks die at any moment, and come back after a while: `kill -9`, or a power cut between two statements of a write."""

import asyncio
from typing import TYPE_CHECKING

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Recurring, standing, victim

if TYPE_CHECKING:
    from ciranda.simulator.bank import SimulatedBank
    from ciranda.simulator.world import World


class Crash(Recurring, frozen=True, kw_only=True, tag="crash"):
    """All processes of a bank die, wherever they are."""

    every_s: Span = (0.5, 6.0)
    down_s: Span = (0.0, 8.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        bank = victim(world, dice)
        if bank is not None:
            world.strike(self.name, f"kills {bank.name}")
            bank.crash("killed")
            restart_later(bank, dice.within(self.down_s))


class CrashInWrite(Recurring, frozen=True, kw_only=True, tag="crash_in_write"):
    """The power fails before a random statement of the next write, its COMMIT included."""

    every_s: Span = (0.5, 6.0)
    down_s: Span = (0.0, 4.0)
    statements: tuple[int, int] = (0, 25)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        bank = victim(world, dice)
        if bank is None:
            return
        count = dice.whole(*self.statements)
        world.strike(self.name, f"{bank.name}: the power will fail before statement {count + 1} from now")
        bank.disk.statements_to_power_cut = count
        while bank.up and bank.disk.statements_to_power_cut is not None:
            await asyncio.sleep(0.05)
        bank.disk.statements_to_power_cut = None
        restart_later(bank, dice.within(self.down_s))


class CrashInRecovery(Recurring, frozen=True, kw_only=True, tag="crash_in_recovery"):
    """A bank dies, and again and again soon after it is back, while it takes up what it left."""

    every_s: Span = (2.0, 10.0)
    down_s: Span = (2.0, 7.0)
    again: tuple[int, int] = (1, 4)
    alive_s: Span = (0.0, 2.5)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        bank = victim(world, dice)
        if bank is None:
            return
        for _ in range(dice.whole(*self.again) + 1):
            world.strike(self.name, f"kills {bank.name}")
            bank.crash("killed")
            await asyncio.sleep(dice.within(self.down_s))
            bank.start()
            await asyncio.sleep(dice.within(self.alive_s))


class WorkerCrash(Recurring, frozen=True, kw_only=True, tag="worker_crash"):
    """One of several workers of a bank dies; the others go on, and it is started again."""

    every_s: Span = (0.5, 5.0)
    down_s: Span = (0.0, 5.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        banks = [bank for bank in standing(world) if len(bank.workers) > 1]
        if banks:
            bank = dice.pick(banks)
            world.strike(self.name, f"kills one of {bank.name}'s workers")
            bank.crash("one of its workers was killed", workers=1)
            restart_later(bank, dice.within(self.down_s))


def restart_later(bank: "SimulatedBank", wait_s: float) -> None:
    asyncio.get_running_loop().call_later(wait_s, bank.start)
