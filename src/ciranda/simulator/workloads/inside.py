"""Transfers inside one bank."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ciranda.simulator.dice import SeededDice
from ciranda.simulator.workloads.workload import Workload, another, transfer

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Inside(Workload, frozen=True, kw_only=True, tag="inside"):
    amounts: tuple[int, int] = (1, 5_000)

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        bank = dice.pick(world.founded.banks)
        payer = dice.pick(world.founded.customers)
        payee = another(world, dice, payer)
        amount = dice.whole(*self.amounts)
        paid = transfer(world, (bank, payer), (bank, payee), amount)
        yield world.clients.insist(world.clients.place(bank, payer, [paid], [None]))
