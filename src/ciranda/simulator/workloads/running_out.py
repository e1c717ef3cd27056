"""Payments under mandates that are almost used up: what is taken must be counted, and given back."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ciranda.simulator.dice import SeededDice
from ciranda.simulator.founding import SMALL_TOTAL
from ciranda.simulator.workloads.workload import Workload, transfer, two_banks

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class RunningOut(Workload, frozen=True, kw_only=True, tag="running_out"):
    amounts: tuple[int, int] = (SMALL_TOTAL // 6, SMALL_TOTAL // 2)

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        holder, coordinator = two_banks(world, dice)
        target = dice.pick([bank for bank in world.founded.banks if bank != holder])
        payer = world.founded.customers[0]
        payee = dice.pick(world.founded.customers)
        paid = transfer(world, (holder, payer), (target, payee), dice.whole(*self.amounts))
        token = world.founded.small_mandates[holder, payer, coordinator]
        yield world.clients.insist(world.clients.place(coordinator, payer, [paid], [token]))
