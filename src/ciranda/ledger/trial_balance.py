"""The trial balance: the proof that a bank's book is whole.

Over all accounts of one bank the balances sum to zero; a change sums to zero as well (PROTOCOL I1).
"""

import msgspec

from ciranda.identity import AccountId, Ispb
from ciranda.ledger.account import Account, AccountKind


class TrialBalance(msgspec.Struct, frozen=True, kw_only=True):
    customers: int
    vault: int
    clearing: dict[Ispb, int]
    held: int
    """What placed bookings keep back from customers' accounts."""
    accounts: int
    """How many customers' accounts there are."""

    @property
    def sum(self) -> int:
        return self.customers + self.vault + sum(self.clearing.values())


def assert_whole(before: dict[AccountId, Account], after: dict[AccountId, Account]) -> None:
    """Checks a change before it is written: a mistake of ours must stop here, not in a customer's account."""
    made = 0
    for id, account in after.items():
        made += account.balance - (before[id].balance if id in before else 0)
        assert account.held >= 0, f"{account.id} holds less than nothing"
        assert account.incoming >= 0, f"{account.id} expects less than nothing"
        assert account.available >= 0 or account.kind is AccountKind.CLEARING, (
            f"{account.id} is under its floor"
        )
        assert account.balance <= account.ceiling, f"{account.id} is over its ceiling"
    assert made == 0, f"the change makes or loses {made}"
