"""Payments out of accounts for which all holders sign: some refuse, some say it twice, some say both."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from ciranda.identity import Document
from ciranda.payment import Transfer
from ciranda.simulator.clients import Order
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.workloads.workload import Workload

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Joint(Workload, frozen=True, kw_only=True, tag="joint"):
    amounts: tuple[int, int] = (1, 20_000)
    refusing: float = 0.15
    """How likely it is that a holder refuses."""
    again_s: Span = (0.1, 2.0)
    """After how long a holder says again what it wants, until the outcome is known."""

    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        bank, target = dice.pick(world.founded.banks), dice.pick(world.founded.banks)
        people = world.founded.customers
        asker = dice.pick(people)
        source, payee = world.founded.joint[bank], world.founded.accounts[target, dice.pick(people)]
        paid = [Transfer(source=source, target=payee, amount=dice.whole(*self.amounts))]
        tokens: list[str | None] = [None]
        other = dice.pick(world.founded.banks)
        if other not in (bank, target) and dice.chance(0.3):
            # And something of one's own at a third bank: its token must be kept until all have signed.
            own = world.founded.accounts[other, asker]
            paid.append(Transfer(source=own, target=payee, amount=dice.whole(*self.amounts)))
            tokens.append(world.founded.mandates[other, asker, bank])
        order = world.clients.place(bank, asker, paid, tokens)
        yield world.clients.insist(order)
        for holder in people:
            if holder != asker:
                yield self._speak(world, dice, order, holder, not dice.chance(self.refusing))
            if dice.chance(0.2):
                # At another terminal, at the same time, perhaps of another mind.
                yield self._speak(world, dice, order, holder, not dice.chance(self.refusing))

    async def _speak(
        self, world: "World", dice: SeededDice, order: Order, holder: Document, approves: bool
    ) -> None:
        clients = world.clients
        while order.number not in clients.final and order.bank not in world.gone:
            await asyncio.sleep(dice.within(self.again_s))
            if order.number in clients.waiting:
                await clients.sign(order, holder, approves)
