"""The answer is lost after its effect: what was asked was done, and nobody hears of it."""

from typing import TYPE_CHECKING

from ciranda.identity import Ispb
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, blow, touches
from ciranda.simulator.network import Fate, Parcel

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class LostAnswer(Fault, frozen=True, kw_only=True, tag="lost_answer"):
    rate: Span = (0.02, 0.2)
    only: tuple[str, ...] = ()
    """Only of requests with such a question, `Propose` say; empty: of all."""

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await blow(world, _LosingAnswers(world, dice, dice.within(self.rate), self.only))


class _LosingAnswers:
    def __init__(self, world: "World", dice: SeededDice, rate: float, only: tuple[str, ...]) -> None:
        self._world = world
        self._dice = dice
        self._rate = rate
        self._only = only

    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        if sender == parcel.receiver and touches(parcel, self._only) and self._dice.chance(self._rate):
            fate.lost = True
            self._world.faults_seen["lost_answer"] += 1
