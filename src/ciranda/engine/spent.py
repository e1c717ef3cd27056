"""What has left an account, or was taken under a mandate, in one day or one night.

It is counted when a payment is placed, and what is held counts like what is paid. A payment remembers what it was
counted as, so that an abort gives back exactly that, to the period in which it was counted, whatever has changed since.
"""

import msgspec

from ciranda.period import Period

SpentKey = tuple[str, Period]


class Spent(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    taken_from: str
    """An account's address, or a mandate's id."""
    period: Period
    amount: int

    @property
    def key(self) -> SpentKey:
        return self.taken_from, self.period
