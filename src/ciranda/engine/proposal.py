"""A proposal: what one operator wants done and a second one must approve. It is done once, or never.

It holds nothing back and promises nothing: whether it can be done is found out when it is approved.
"""

from enum import StrEnum

import msgspec

from ciranda.engine.input import Deed
from ciranda.instant import Instant

LASTS_MS = 24 * 60 * 60 * 1000


class ProposalStatus(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    DONE = "done"
    FAILED = "failed"
    """Approved, and then it could not be done; `outcome` says why."""
    REJECTED = "rejected"
    EXPIRED = "expired"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    deed: Deed
    by: str
    proposed_at: Instant
    expires_at: Instant
    status: ProposalStatus
    decided_by: str | None = None
    decided_at: Instant | None = None
    outcome: str | None = None
    """Once it is decided: `done`, or the code of the denial or refusal."""

    def status_at(self, now: Instant) -> ProposalStatus:
        """That it has expired is not written down: it shows."""
        if self.status is ProposalStatus.AWAITING_APPROVAL and now >= self.expires_at:
            return ProposalStatus.EXPIRED
        return self.status
