"""Packages: money of one customer from several banks to several others, ordered at any bank, in one payment."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ciranda.simulator.dice import SeededDice
from ciranda.simulator.workloads.workload import Workload, transfer

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Package(Workload, frozen=True, kw_only=True, tag="package"):
    banks: tuple[int, int] = (2, 5)
    """How many banks' accounts are in one package."""
    amounts: tuple[int, int] = (1, 8_000)

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        payer, payee = dice.pick(world.founded.customers), dice.pick(world.founded.customers)
        coordinator = dice.pick(world.founded.banks)
        *sources, target = dice.some(world.founded.banks, dice.whole(*self.banks))
        transfers = [
            transfer(world, (source, payer), (target, payee), dice.whole(*self.amounts)) for source in sources
        ]
        tokens = [world.founded.mandates.get((source, payer, coordinator)) for source in sources]
        yield world.clients.insist(world.clients.place(coordinator, payer, transfers, tokens))
