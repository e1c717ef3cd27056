"""The SDK: one bank of the consortium, as its customers' programs and its operator see it.

async with BankClient("http://127.0.0.1:8102") as bank:
    await bank.log_in("111.444.777-35", "a long password")
    paid = await bank.pay([Order(source=mine, target=the_shop, amount=6000)])
"""

from ciranda.client.answer import (
    Account,
    Action,
    Audit,
    Balances,
    BankCard,
    Counts,
    Customer,
    Enrolment,
    Entry,
    InDoubt,
    KnownPayment,
    Link,
    ListedAccount,
    ListedSession,
    Mandate,
    Operator,
    Page,
    Payee,
    Payment,
    PaymentRefusal,
    Peer,
    Position,
    Proposal,
    Result,
    SecondFactor,
    Session,
)
from ciranda.client.bank import BankAway, BankClient, ProblemError, new_key
from ciranda.client.order import BatchedPayment, Order

__all__ = [
    "Account",
    "Action",
    "Audit",
    "Balances",
    "BankAway",
    "BankCard",
    "BankClient",
    "BatchedPayment",
    "Counts",
    "Customer",
    "Enrolment",
    "Entry",
    "InDoubt",
    "KnownPayment",
    "Link",
    "ListedAccount",
    "ListedSession",
    "Mandate",
    "Operator",
    "Order",
    "Page",
    "Payee",
    "Payment",
    "PaymentRefusal",
    "Peer",
    "Position",
    "ProblemError",
    "Proposal",
    "Result",
    "SecondFactor",
    "Session",
    "new_key",
]
