"""Somebody has kept old requests, and sends them again when everything has changed."""

import asyncio
from typing import TYPE_CHECKING

from ciranda.identity import Ispb
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, blowing
from ciranda.simulator.network import Fate, Parcel

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Replay(Fault, frozen=True, kw_only=True, tag="replay"):
    every_s: Span = (0.1, 2.0)
    kept: int = 500

    async def rage(self, world: "World", dice: SeededDice) -> None:
        keeper = _Keeping(dice, self.kept)
        with blowing(world, keeper):
            while True:
                await asyncio.sleep(dice.within(self.every_s))
                if keeper.parcels:
                    old = dice.pick(keeper.parcels)
                    names = world.banks[old.sender].name, world.banks[old.receiver].name
                    world.strike(self.name, f"an old request of {names[0]} to {names[1]} arrives again")
                    world.network.carry(old)


class _Keeping:
    """Keeps copies of what passes, but not of probes."""

    def __init__(self, dice: SeededDice, room: int) -> None:
        self.parcels: list[Parcel] = []
        self._dice = dice
        self._room = room

    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        if sender == parcel.sender and parcel.process is not None and len(parcel.body) > 200:
            if len(self.parcels) < self._room:
                self.parcels.append(parcel)
            else:
                self.parcels[self._dice.whole(0, self._room - 1)] = parcel
