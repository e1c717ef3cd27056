"""Orders that must be refused: accounts that do not exist, more money than there is, mandates of somebody else's."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ciranda.identity import AccountId
from ciranda.simulator.dice import SeededDice
from ciranda.simulator.workloads.workload import Workload, another, transfer, two_banks

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Nonsense(Workload, frozen=True, kw_only=True, tag="nonsense"):
    def order(self, world: "World", dice: SeededDice) -> Iterable[Coroutine[Any, Any, None]]:
        here, there = two_banks(world, dice)
        payer, payee = dice.pick(world.founded.customers), dice.pick(world.founded.customers)
        paid = transfer(world, (here, payer), (there, payee), 10)
        token = None
        match dice.whole(1, 4):
            case 1:
                paid = replace(paid, target=AccountId(f"{there}.0001.1234563"))
            case 2:
                paid = replace(paid, amount=10**9)
            case 3:
                # Somebody else's mandate for somebody else's money.
                other = another(world, dice, payer)
                paid = transfer(world, (there, other), (here, payer), 10)
                token = world.founded.mandates[there, other, here]
            case _:
                paid = replace(paid, source=AccountId(f"{here}.0001.1234563"))
        yield world.clients.insist(world.clients.place(here, payer, [paid], [token], hopeless=True))
