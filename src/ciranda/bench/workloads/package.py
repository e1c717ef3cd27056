"""One payment out of a customer's accounts in several banks, to an account in one more."""

from ciranda.bench.circle import Circle
from ciranda.bench.request import Sender, transfer
from ciranda.bench.workloads.workload import Payment, Purse, Workload, asking

COORDINATOR = 0
"""The bank that is asked. Its customers have mandates for their accounts at the other sources."""


def payments(circle: Circle) -> Payment:
    """All banks are sources but the last, which is the target."""
    *sources, target = (Purse(bank, seed) for seed, bank in enumerate(circle.banks))
    own, *others = sources

    def payment(sender: Sender, number: int) -> bytes:
        first = own.draw()
        owner = first % own.owners
        to, amount = target.addresses[target.draw()], 1 + number % 1000
        parts = [transfer(own.addresses[first], to, amount)]
        for other in others:
            account = other.draw_of(owner)
            parts.append(transfer(other.addresses[account], to, amount, other.mandates[account]))
        return sender.payment(number, own.token(first), *parts)

    return payment


PACKAGE3 = Workload(
    name="package3",
    says="Out of accounts in three banks to one in a fourth, with mandates and three witnesses.",
    run=asking("package3", payments),
    banks=4,
    initiator=COORDINATOR,
)
PACKAGE5 = Workload(
    name="package5",
    says="Out of accounts in five banks to one in a sixth, with mandates and three witnesses.",
    run=asking("package5", payments),
    banks=6,
    initiator=COORDINATOR,
)
