"""Impatient clients: the same order several times at once, under one key, perhaps to different workers."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ciranda.simulator.clients import Order, Outcome
from ciranda.simulator.dice import SeededDice
from ciranda.simulator.workloads.workload import Workload, transfer, two_banks

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Twice(Workload, frozen=True, kw_only=True, tag="twice"):
    times: tuple[int, int] = (2, 4)
    within_s: float = 2.0
    altered: float = 0.3
    """The share of those whose key is used for another payment in the end, which must be denied."""
    amounts: tuple[int, int] = (1, 8_000)

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        here, there = two_banks(world, dice)
        payer, payee = dice.pick(world.founded.customers), dice.pick(world.founded.customers)
        if dice.chance(0.3):
            there = here
            payee = dice.pick([customer for customer in world.founded.customers if customer != payer])
        paid = transfer(world, (here, payer), (there, payee), dice.whole(*self.amounts))
        order = world.clients.place(here, payer, [paid], [None])
        yield world.clients.insist(order)
        for _ in range(dice.whole(*self.times) - 1):
            yield _ask_after(world, dice.between(0, self.within_s), order)
        if dice.chance(self.altered):
            yield _alter(world, order)


async def _ask_after(world: "World", wait_s: float, order: Order) -> None:
    await asyncio.sleep(wait_s)
    await world.clients.ask(order)


async def _alter(world: "World", order: Order) -> None:
    told = await world.clients.alter(order)
    if told is not None and told.outcome is not Outcome.DENIED:
        world.fail("one effect", f"{order.key} was used for another payment, and was not denied")
