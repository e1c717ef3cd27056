"""Inside one bank."""

from ciranda.bench.circle import Circle
from ciranda.bench.request import Sender, transfer
from ciranda.bench.workloads.workload import Payment, Purse, Workload, asking

NAME = "inside"
ACCOUNTS = 100_000


def payments(circle: Circle) -> Payment:
    purse = Purse(circle.banks[0], seed=1)

    def payment(sender: Sender, number: int) -> bytes:
        source, target = purse.pair()
        one = transfer(purse.addresses[source], purse.addresses[target], 1 + number % 1000)
        return sender.payment(number, purse.token(source), one)

    return payment


INSIDE = Workload(
    name=NAME,
    says="Payments inside one bank, from any account to any other.",
    run=asking(NAME, payments),
    accounts=ACCOUNTS,
)
