"""One account that half of all payments touch, as that of a tax office or of a big shop."""

from ciranda.bench.circle import Circle
from ciranda.bench.request import Sender, transfer
from ciranda.bench.workloads.inside import ACCOUNTS
from ciranda.bench.workloads.workload import Payment, Purse, Workload, asking

NAME = "hot"
HOT = 0


def payments(circle: Circle) -> Payment:
    purse = Purse(circle.banks[0], seed=2)

    def payment(sender: Sender, number: int) -> bytes:
        source, target = purse.pair()
        match number % 4:
            case 0 if target != HOT:
                source = HOT
            case 2 if source != HOT:
                target = HOT
        # As much goes to it as from it, so it never runs dry.
        one = transfer(purse.addresses[source], purse.addresses[target], 1 + number // 4 % 1000)
        return sender.payment(number, purse.token(source), one)

    return payment


HOT_ACCOUNT = Workload(
    name=NAME,
    says="Inside one bank, and half of all payments are from or to one account.",
    run=asking(NAME, payments),
    accounts=ACCOUNTS,
)
