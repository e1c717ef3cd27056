"""The SDK: one bank of the consortium, as its customers' programs and its operator see it.

async with BankClient("http://127.0.0.1:8102") as bank:
    await bank.log_in("111.444.777-35", "a long password")
    paid = await bank.pay([Order(source=mine, target=the_shop, amount=6000)])
"""

from ciranda.client.answer import (
    Account,
    Approvals,
    Audit,
    Awaiting,
    Balances,
    BankCard,
    Counts,
    Customer,
    Entry,
    InDoubt,
    KnownPayment,
    Link,
    ListedAccount,
    Mandate,
    Page,
    Payee,
    Payment,
    PaymentRefusal,
    Peer,
    Position,
    Result,
    Session,
    Signed,
)
from ciranda.client.bank import BankAway, BankClient, ProblemError
from ciranda.client.order import BatchedPayment, Order

__all__ = [
    "Account",
    "Approvals",
    "Audit",
    "Awaiting",
    "Balances",
    "BankAway",
    "BankCard",
    "BankClient",
    "BatchedPayment",
    "Counts",
    "Customer",
    "Entry",
    "InDoubt",
    "KnownPayment",
    "Link",
    "ListedAccount",
    "Mandate",
    "Order",
    "Page",
    "Payee",
    "Payment",
    "PaymentRefusal",
    "Peer",
    "Position",
    "ProblemError",
    "Result",
    "Session",
    "Signed",
]
