"""Transfers from a customer's own account to one at another bank: the coordinator is the only witness."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ciranda.simulator.dice import SeededDice
from ciranda.simulator.workloads.workload import Workload, transfer, two_banks

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class BetweenTwo(Workload, frozen=True, kw_only=True, tag="between_two"):
    amounts: tuple[int, int] = (1, 8_000)

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        here, there = two_banks(world, dice)
        payer, payee = dice.pick(world.founded.customers), dice.pick(world.founded.customers)
        paid = transfer(world, (here, payer), (there, payee), dice.whole(*self.amounts))
        yield world.clients.insist(world.clients.place(here, payer, [paid], [None]))
