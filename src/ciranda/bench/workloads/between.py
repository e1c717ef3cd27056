"""Between two banks, atomically."""

from ciranda.bench.circle import Circle
from ciranda.bench.request import Sender, transfer
from ciranda.bench.workloads.workload import Payment, Purse, Workload, asking

NAME = "between"


def payments_to(bank: int, circle: Circle) -> Payment:
    """From the first bank's accounts to those of the bank with this place in the circle."""
    here, there = Purse(circle.banks[0], seed=3), Purse(circle.banks[bank], seed=4)

    def payment(sender: Sender, number: int) -> bytes:
        source = here.draw()
        one = transfer(here.addresses[source], there.addresses[there.draw()], 1 + number % 1000)
        return sender.payment(number, here.token(source), one)

    return payment


def payments(circle: Circle) -> Payment:
    return payments_to(1, circle)


BETWEEN = Workload(
    name=NAME,
    says="From accounts of one bank to accounts of another.",
    run=asking(NAME, payments),
    banks=2,
)
