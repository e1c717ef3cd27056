"""The bank itself, as the engine knows it: its name, the roster, and the secret under its mandates."""

import msgspec

from ciranda.engine.operator import TwoPerson
from ciranda.identity import Ispb
from ciranda.roster import Roster


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    ispb: Ispb
    roster: Roster
    mandate_secret: bytes
    two_person: TwoPerson | None = None
    """Whether some of what operators do needs a second one."""

    def __repr__(self) -> str:
        """The secret is never printed."""
        return f"Bank({self.ispb})"
