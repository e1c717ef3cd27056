"""Everybody pays into and out of one account, which is often almost empty."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ciranda.simulator.dice import SeededDice
from ciranda.simulator.workloads.workload import Workload, transfer

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class HotAccount(Workload, frozen=True, kw_only=True, tag="hot_account"):
    amounts: tuple[int, int] = (20_000, 90_000)

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        hot_bank, hot_customer = world.founded.banks[0], world.founded.customers[0]
        other_bank = dice.pick(world.founded.banks)
        other_customer = dice.pick(world.founded.customers[1:])
        hot, other = (hot_bank, hot_customer), (other_bank, other_customer)
        source, target = (hot, other) if dice.chance(0.6) else (other, hot)
        paid = transfer(world, source, target, dice.whole(*self.amounts))
        yield world.clients.insist(world.clients.place(source[0], source[1], [paid], [None]))
