"""What all faults are."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ciranda.simulator.dice import SeededDice
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


async def blow(world: "World", weather: Weather) -> None:
    """The weather is as given, until cancelled."""
    world.network.weather.append(weather)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        world.network.weather.remove(weather)


def standing(world: "World") -> "list[SimulatedBank]":
    """The banks that a process fault may strike."""
    return [bank for bank in world.living() if bank.up and not bank.paused and not bank.suspect]
