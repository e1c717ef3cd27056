"""The only doors to the world: Store, Peers, Clock, Dice. Everything above this line can be run with other ones."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ciranda.agreement.message import Answer, Question
from ciranda.identity import Ispb
from ciranda.instant import Instant


class PeerUnreachable(Exception):  # noqa: N818
    """No valid answer came in time. Whether the question had an effect is not known."""


class Peers(Protocol):
    """The other banks, as one can ask them things. Questions to one bank travel in batches (PROTOCOL 2.1)."""

    async def ask(self, bank: Ispb, question: Question, timeout_ms: int) -> Answer:
        """The bank's answer; its signature and its place in the batch were checked.

        Raises PeerUnreachable when none came within `timeout_ms`, or when the queue to that bank is full.
        """
        ...

    def reachable(self, bank: Ispb) -> bool:
        """Up until a request to it failed; up again with any signed message from it (PROTOCOL 5.8)."""
        ...


Respond = Callable[[Ispb, Sequence[Question]], Awaitable[Sequence[Answer]]]
"""What the peers' listener calls: the sender was verified; the answers are in the order of the questions."""


class Heights(Protocol):
    """How much each bank has written, as far as it has said (PROTOCOL 2.6)."""

    def own(self) -> int:
        """What this bank has durably written."""
        ...

    def seen(self, bank: Ispb) -> int:
        """The greatest height that `bank` has shown us."""
        ...

    def heard(self, bank: Ispb, height: int, ours: int) -> None:
        """`bank` shows its own height, and the greatest of ours that it has seen."""
        ...


class Clock(Protocol):
    def now(self) -> Instant:
        """Wall time; it may jump."""
        ...

    def steady_ms(self) -> int:
        """A clock that never jumps; it says nothing about the time of day."""
        ...


class Dice(Protocol):
    def token(self) -> str:
        """A fresh secret of 256 bits, as text safe in a URL."""
        ...

    def bits(self, count: int) -> int:
        ...

    def between(self, low: float, high: float) -> float:
        ...
