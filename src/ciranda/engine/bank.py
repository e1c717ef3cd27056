"""The bank itself, as the engine knows it: its name, the roster, and the secret under its mandates."""

import msgspec

from ciranda.engine.limits import LimitRules
from ciranda.identity import Ispb
from ciranda.roster import Roster


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    ispb: Ispb
    roster: Roster
    mandate_secret: bytes
    limits: LimitRules | None = None
    """None: this bank keeps no limits."""

    def __repr__(self) -> str:
        """The secret is never printed."""
        return f"Bank({self.ispb})"
