"""The bank itself, as the engine knows it: its name, the roster, and the secret under its mandates."""

import msgspec

from ciranda.engine.limits import LimitRules
from ciranda.engine.operator import TwoPerson
from ciranda.identity import Ispb
from ciranda.roster import Roster


class Bank(msgspec.Struct, kw_only=True):
    ispb: Ispb
    roster: Roster
    """Replaced whole while the bank runs, and only after all is ready for the new one. Whoever decides on a batch is
    given a copy of the bank, so that it is decided under one roster."""
    mandate_secret: bytes
    limits: LimitRules | None = None
    """None: this bank keeps no limits."""
    two_person: TwoPerson | None = None
    """Whether some of what operators do needs a second one."""

    def deals_with(self, other: Ispb) -> bool:
        """Whether a new payment may be between this bank and the other one; with itself it always may."""
        return other == self.ispb or (self.roster.has(other) and self.roster.has(self.ispb))

    def __repr__(self) -> str:
        """The secret is never printed."""
        return f"Bank({self.ispb})"
