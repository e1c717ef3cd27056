"""Many payments in one request, as of wages."""

from ciranda.bench.circle import Circle
from ciranda.bench.request import Sender, batch_outcome, transfer
from ciranda.bench.workloads.inside import ACCOUNTS
from ciranda.bench.workloads.workload import Loop, Payment, Purse, Workload, asking

NAME = "batch"
SIZE = 1_000
CONNECTIONS = 4
"""With more, so many payments would wait that the bank would turn clients away."""


def payments(circle: Circle) -> Payment:
    purse = Purse(circle.banks[0], seed=5)

    def payment(sender: Sender, number: int) -> bytes:
        owner = purse.draw() % purse.owners
        transfers = []
        for place in range(SIZE):
            source, target = purse.draw_of(owner), purse.draw()
            if source == target:
                target = (target + 1) % len(purse.addresses)
            transfers.append(transfer(purse.addresses[source], purse.addresses[target], 1 + place))
        return sender.batch(number, purse.token(owner), transfers)

    return payment


BATCH = Workload(
    name=NAME,
    says=f"Inside one bank, {SIZE:,} payments in each request.",
    run=asking(
        NAME,
        payments,
        Loop(connections=CONNECTIONS, outcome=batch_outcome(SIZE), done=frozenset({"200"}), size=SIZE),
    ),
    accounts=ACCOUNTS,
)
