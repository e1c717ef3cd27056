"""An entry: one line of an account's statement. Append-only, with the balance after it.

Each names the payment of the one before it, so that a statement can be followed backwards from the account.
"""

import msgspec

from ciranda.identity import AccountId, EndToEndId
from ciranda.instant import Instant


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    payment: EndToEndId
    account: AccountId
    number: int
    """1, 2, 3 … without a gap in each account."""
    previous: EndToEndId | None
    """The payment of the entry with the number before; None for the first."""
    amount: int
    """Signed: a debit is negative."""
    balance: int
    counterpart: AccountId
    """The other end of the transfer, wherever it is kept; `vault` for cash."""
    booked_at: Instant
