"""Requests arrive twice, the copy a little or much later."""

from typing import TYPE_CHECKING

from ciranda.identity import Ispb
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, blow
from ciranda.simulator.network import Fate, Parcel

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Duplication(Fault, frozen=True, kw_only=True, tag="duplication"):
    rate: Span = (0.02, 0.3)
    seconds: Span = (0.0, 3.0)

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await blow(world, _Doubling(self, world, dice, dice.within(self.rate)))


class _Doubling:
    def __init__(self, fault: Duplication, world: "World", dice: SeededDice, rate: float) -> None:
        self._fault = fault
        self._world = world
        self._dice = dice
        self._rate = rate

    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        if sender == parcel.sender and self._dice.chance(self._rate):
            fate.again.append(fate.delay + self._dice.within(self._fault.seconds))
            self._world.faults_seen["duplication"] += 1
