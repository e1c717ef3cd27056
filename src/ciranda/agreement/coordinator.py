"""The coordinator's rule: when to decide, and what (PROTOCOL 5.3).

Commit, if every participant said yes before the deadline. At the first no, or when the deadline finds a vote missing,
abort; the attempt that chose abort never chooses commit, for it ends there. Votes are kept in memory only: a
coordinator that crashes has promised nothing.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ciranda.agreement.message import Decision, Vote
from ciranda.identity import Ispb
from ciranda.refusal import Code, Refusal


class Attempt:
    """The one attempt that began a payment, while it gathers votes."""

    def __init__(self, others: Iterable[Ispb]) -> None:
        self._missing = set(others)
        self.decision: Decision | None = None
        self.refusal: Refusal | None = None

    def voted(self, bank: Ispb, vote: Vote) -> None:
        if self.decision is not None or bank not in self._missing:
            return
        if vote.refusal is not None:
            # Whatever bank it names: a vote is the word of the bank that gave it, and of no other.
            self._abort(replace(vote.refusal, bank=bank))
            return
        self._missing.discard(bank)
        if not self._missing:
            self.decision = Decision.COMMIT

    def unheard(self, bank: Ispb, code: Code) -> None:
        """The vote of `bank` will not come, or not before the deadline."""
        if self.decision is None:
            self._abort(Refusal(code=code, bank=bank))

    def _abort(self, refusal: Refusal) -> None:
        self.decision, self.refusal = Decision.ABORT, refusal
