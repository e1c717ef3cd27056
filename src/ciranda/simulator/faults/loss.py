"""Requests and responses are lost: some vanish, for some the connection breaks."""

from typing import TYPE_CHECKING

from ciranda.identity import Ispb
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, blow, touches
from ciranda.simulator.network import Fate, Parcel

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Loss(Fault, frozen=True, kw_only=True, tag="loss"):
    rate: Span = (0.005, 0.1)
    only: tuple[str, ...] = ()
    """Only of requests with such a question, `Propose` say; empty: of all."""

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await blow(world, _Losing(world, dice, dice.within(self.rate), self.only))


class _Losing:
    def __init__(self, world: "World", dice: SeededDice, rate: float, only: tuple[str, ...]) -> None:
        self._world = world
        self._dice = dice
        self._rate = rate
        self._only = only

    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        if touches(parcel, self._only) and self._dice.chance(self._rate):
            fate.broken = self._dice.chance(0.5)
            fate.lost = not fate.broken
            self._world.faults_seen["loss"] += 1
