"""Messages are lost: questions before anybody has read them, answers after their effect, or both."""

from typing import TYPE_CHECKING

from ciranda.identity import Ispb
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Fault, blow
from ciranda.simulator.network import Fate, Parcel

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class _Losing(Fault, frozen=True, kw_only=True):
    rate: Span
    only: tuple[str, ...] = ()
    """Only of requests with such a question, `Propose` say; empty: of all."""

    async def rage(self, world: "World", dice: SeededDice) -> None:
        await blow(world, _Lossy(self, world, dice, dice.within(self.rate)))

    def hits(self, parcel: Parcel, *, is_answer: bool) -> bool:
        return not self.only or any(type(question).__name__ in self.only for question in parcel.questions)


class Loss(_Losing, frozen=True, kw_only=True, tag="loss"):
    """Requests and responses alike."""

    rate: Span = (0.005, 0.1)


class LostQuestion(_Losing, frozen=True, kw_only=True, tag="lost_question"):
    """What was asked was never heard."""

    rate: Span = (0.02, 0.2)

    def hits(self, parcel: Parcel, *, is_answer: bool) -> bool:
        return not is_answer and super().hits(parcel, is_answer=is_answer)


class LostAnswer(_Losing, frozen=True, kw_only=True, tag="lost_answer"):
    """What was asked was done, and nobody hears of it."""

    rate: Span = (0.02, 0.2)

    def hits(self, parcel: Parcel, *, is_answer: bool) -> bool:
        return is_answer and super().hits(parcel, is_answer=is_answer)


class _Lossy:
    def __init__(self, fault: _Losing, world: "World", dice: SeededDice, rate: float) -> None:
        self._fault = fault
        self._world = world
        self._dice = dice
        self._rate = rate

    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        is_answer = sender == parcel.receiver
        if self._fault.hits(parcel, is_answer=is_answer) and self._dice.chance(self._rate):
            # Some vanish, and whoever waits for them waits in vain; for some the connection breaks.
            fate.broken = self._dice.chance(0.5)
            fate.lost = not fate.broken
            self._world.faults_seen[self._fault.name] += 1
