"""What all faults are."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.network import Weather

if TYPE_CHECKING:
    from ciranda.simulator.bank import SimulatedBank
    from ciranda.simulator.world import World


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    chance: float = 1.0
    """That a seed has this fault at all."""

    @property
    def name(self) -> str:
        return str(self.__struct_config__.tag)

    async def rage(self, world: "World", dice: SeededDice) -> None:
        """From the storm's begin; cancelled at its end. What it leaves broken, the calm mends."""
        raise NotImplementedError


class Recurring(Fault, frozen=True, kw_only=True):
    """Strikes again and again."""

    every_s: Span

    async def rage(self, world: "World", dice: SeededDice) -> None:
        while True:
            await asyncio.sleep(dice.within(self.every_s))
            await self.strike(world, dice)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        """Once. If it lasts, the next one comes later."""
        raise NotImplementedError


@contextmanager
def blowing(world: "World", weather: Weather) -> Iterator[None]:
    """The weather is as given, in the block."""
    world.network.weather.append(weather)
    try:
        yield
    finally:
        world.network.weather.remove(weather)


async def blow(world: "World", weather: Weather) -> None:
    """The weather is as given, until cancelled."""
    with blowing(world, weather):
        await asyncio.get_running_loop().create_future()


def standing(world: "World") -> "list[SimulatedBank]":
    """The banks that a process fault may strike."""
    return [bank for bank in world.living() if bank.up and not bank.paused and not bank.suspect]


def victim(world: "World", dice: SeededDice) -> "SimulatedBank | None":
    """One of them; None if there is none."""
    banks = standing(world)
    return dice.pick(banks) if banks else None
