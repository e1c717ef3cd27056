"""An action: one thing that an operator did or tried, as it stands in the record. Nothing is ever changed in it."""

import msgspec

from ciranda.instant import Instant

Terms = dict[str, str | int | None]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """Later ones sort after earlier ones, by the clock of the worker that wrote them."""
    at: Instant
    operator: str
    action: str
    subject: str
    """What it was done to: an account, a peer, an operator, a proposal, a route."""
    terms: Terms
    """How: the amount, the payment's id, the limit, the role."""
    outcome: str
    """`done`, `awaiting_approval`, or the code of what was answered."""
