"""Between two banks, atomically."""

from ciranda.bench.circle import Circle
from ciranda.bench.request import Sender, transfer
from ciranda.bench.workloads.workload import Loop, Payment, Purse, Workload, asking

NAME = "between"
BOTH = Loop(asked=2)
"""Both banks are asked, each by its own customers."""


def payments_to(bank: int, circle: Circle, *, of: int = 0) -> Payment:
    """From accounts of one bank, the first unless said otherwise, to those of another: places in the circle."""
    here, there = Purse(circle.banks[of], seed=3 + of), Purse(circle.banks[bank], seed=4 + of)

    def payment(sender: Sender, number: int) -> bytes:
        source = here.draw()
        one = transfer(here.addresses[source], there.addresses[there.draw()], 1 + number % 1000)
        return sender.payment(number, here.token(source), one)

    return payment


def payments(circle: Circle) -> Payment:
    """By turns there and back: request n is sent to bank n % 2."""
    ways = (payments_to(1, circle), payments_to(0, circle, of=1))

    def payment(sender: Sender, number: int) -> bytes:
        return ways[number % 2](sender, number)

    return payment


BETWEEN = Workload(
    name=NAME,
    says="Between the customers of two banks, half of the payments each way.",
    run=asking(NAME, payments, BOTH),
    banks=2,
)
