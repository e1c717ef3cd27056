"""A height: how much a bank has written, as it says itself, and as others hand its word back to it (PROTOCOL 2.6).

It carries a stamp that only that bank can make, and that no bank but that one can read. So a bank that is shown more of
itself than it has knows whether it said so once, or whether somebody wants it to stop.
"""

import msgspec


class Height(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: int
    """It only grows with what the bank has written."""
    stamp: str


NOTHING = Height(0, "")
"""Of a bank that has written nothing, or that nobody has heard of."""
