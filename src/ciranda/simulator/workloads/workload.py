"""What all workloads are."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from ciranda.identity import Document, Ispb
from ciranda.payment import Transfer
from ciranda.simulator.dice import SeededDice

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Workload(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    share: float = 1.0

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        """The clients, each of whom goes on until it knows what became of its order."""
        raise NotImplementedError


def two_banks(world: "World", dice: SeededDice) -> tuple[Ispb, Ispb]:
    here, there = dice.some(world.founded.banks, 2)
    return here, there


def transfer(
    world: "World", source: tuple[Ispb, Document], target: tuple[Ispb, Document], amount: int
) -> Transfer:
    accounts = world.founded.accounts
    return Transfer(source=accounts[source], target=accounts[target], amount=amount)


def another(world: "World", dice: SeededDice, customer: Document) -> Document:
    return dice.pick([other for other in world.founded.customers if other != customer])
