"""Messages are late, each by itself, so that they also overtake each other; a few are late by more than a deadline."""

from typing import TYPE_CHECKING

from ciranda.identity import Ispb
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, blow
from ciranda.simulator.network import Fate, Parcel

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Delay(Fault, frozen=True, kw_only=True, tag="delay"):
    rate: Span = (0.05, 0.6)
    seconds: Span = (0.0, 0.4)
    very_late: float = 0.03
    """The share of the late ones that are very late."""
    very_late_s: Span = (1.0, 20.0)

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await blow(world, _Delaying(self, world, dice, dice.within(self.rate)))


class _Delaying:
    def __init__(self, fault: Delay, world: "World", dice: SeededDice, rate: float) -> None:
        self._fault = fault
        self._world = world
        self._dice = dice
        self._rate = rate

    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        if self._dice.chance(self._rate):
            very = self._dice.chance(self._fault.very_late)
            fate.delay += self._dice.within(self._fault.very_late_s if very else self._fault.seconds)
            self._world.faults_seen["delay"] += 1
