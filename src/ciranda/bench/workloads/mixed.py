"""What a bank really sees: now and then somebody wants to pay more than they have."""

from ciranda.bench.circle import Circle
from ciranda.bench.fill import OPENING_BALANCE
from ciranda.bench.request import Sender, transfer
from ciranda.bench.workloads.inside import ACCOUNTS
from ciranda.bench.workloads.workload import SETTLED, Loop, Payment, Purse, Workload, asking

NAME = "mixed"
REFUSED_EVERY = 100
REFUSED = "422 insufficient_funds"
_TOO_MUCH = OPENING_BALANCE * 1_000


def payments(circle: Circle) -> Payment:
    purse = Purse(circle.banks[0], seed=6)

    def payment(sender: Sender, number: int) -> bytes:
        source, target = purse.pair()
        amount = _TOO_MUCH if number % REFUSED_EVERY == 0 else 1 + number % 1000
        one = transfer(purse.addresses[source], purse.addresses[target], amount)
        return sender.payment(number, purse.token(source), one)

    return payment


MIXED = Workload(
    name=NAME,
    says="Inside one bank, and one payment in a hundred is refused for want of money.",
    run=asking(NAME, payments, Loop(done=SETTLED | {REFUSED})),
    accounts=ACCOUNTS,
)
