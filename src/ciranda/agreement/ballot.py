"""A ballot: one attempt's number in the register of one payment (PROTOCOL 4.1).

Round 0 belongs to the coordinator alone, and only to the attempt that began the payment. Every other attempt takes
a fresh round, durably, before it uses it; 64 random bits keep two attempts of one bank apart.
"""

import msgspec

from ciranda.identity import Ispb
from ciranda.instant import Instant


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Ordered by round, then bank, then nonce."""

    round: int
    bank: Ispb
    nonce: int
    """64 bits, drawn by the attempt."""


ROUNDS_AT_ONCE = 1_000_000
"""More than all banks of a payment take in the days for which two of their clocks may differ."""


def is_within_reach(ballot: Ballot, deadline: Instant, now: Instant) -> bool:
    """Whether banks that try again and again may have come to this round by now: attempts begin after the deadline, and
    take far longer than a millisecond each. Whoever took the highest of all rounds would leave none to the others, and
    what they hold would be held for ever."""
    return ballot.round <= ROUNDS_AT_ONCE + max(0, now - deadline)


def outranking(seen: Ballot | None, bank: Ispb, nonce: int) -> Ballot:
    """A fresh ballot of `bank`, higher than any that it has used or seen for this payment."""
    return Ballot(1 if seen is None else seen.round + 1, bank, nonce)
