"""The network falls apart: into two halves, into one bank and the rest, or in one direction only."""

import asyncio
from typing import TYPE_CHECKING

from ciranda.identity import Ispb
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Recurring, blowing
from ciranda.simulator.network import Fate, Parcel

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Cut:
    """Weather: nothing passes from these banks to those."""

    def __init__(self, pairs: set[tuple[Ispb, Ispb]]) -> None:
        self._pairs = pairs

    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        if (sender, receiver) in self._pairs:
            fate.lost = True


class _Cutting(Recurring, frozen=True, kw_only=True):
    every_s: Span = (2.0, 10.0)
    lasts_s: Span = (0.5, 8.0)

    def draw(self, world: "World", dice: SeededDice) -> tuple[list[Ispb], list[Ispb]]:
        """Who is on this side, who on the other."""
        raise NotImplementedError

    both_ways = True

    async def strike(self, world: "World", dice: SeededDice) -> None:
        here, there = self.draw(world, dice)
        pairs = {(a, b) for a in here for b in there}
        if self.both_ways:
            pairs |= {(b, a) for a, b in pairs}
        sides = " and ".join(", ".join(world.banks[bank].name for bank in side) for side in (here, there))
        world.strike(
            self.name,
            f"no way {'between' if self.both_ways else 'from the first to the second of'} {sides}",
        )
        with blowing(world, Cut(pairs)):
            await asyncio.sleep(dice.within(self.lasts_s))
        world.note(self.name, "the way is free again")


class Partition(_Cutting, frozen=True, kw_only=True, tag="partition"):
    """Two halves that do not hear each other."""

    def draw(self, world: "World", dice: SeededDice) -> tuple[list[Ispb], list[Ispb]]:
        banks = dice.some(world.founded.banks, len(world.founded.banks))
        half = dice.whole(1, len(banks) - 1)
        return banks[:half], banks[half:]


class OneWay(_Cutting, frozen=True, kw_only=True, tag="one_way"):
    """What one bank says does not reach another, though the other way is free."""

    both_ways = False

    def draw(self, world: "World", dice: SeededDice) -> tuple[list[Ispb], list[Ispb]]:
        here, *there = dice.some(world.founded.banks, dice.whole(2, len(world.founded.banks)))
        return [here], there


class CutOff(_Cutting, frozen=True, kw_only=True, tag="cut_off"):
    """One bank hears nobody, and nobody hears it."""

    def draw(self, world: "World", dice: SeededDice) -> tuple[list[Ispb], list[Ispb]]:
        alone = dice.pick(world.founded.banks)
        return [alone], [bank for bank in world.founded.banks if bank != alone]
