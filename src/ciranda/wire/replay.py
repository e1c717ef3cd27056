"""Replays: a request that was heard once is not heard again.

A copy of a request, caught on its way, has a valid signature until that expires. All questions of the agreement bear
being asked twice; but one that only looks would show its thief what is true today. So each listener remembers what it
heard for as long as it could come again: five minutes, and five more from a bank whose clock is ahead.

The memory is bounded, for each bank by itself. When it is full, the oldest second in it is forgotten, **and whatever
was signed in that second or before is refused from then on**: a bank that speaks without measure makes its own window
narrower, and nobody else's.

The memory is one process's. What a copy can do that reaches another worker, or one that was just started, is what the
first could have done there: nothing new to the agreement. TLS is what keeps requests from being caught at all.
"""

from ciranda.identity import Ispb
from ciranda.wire.signature import WINDOW_S, SignedRequest

REMEMBERED_MAX = 200_000
"""Requests of one bank: some 15 MB."""


class Replays:
    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._heard: dict[Ispb, _Heard] = {}

    def first_time(self, request: SignedRequest, now: int) -> bool:
        """False if it was heard before, or might have been. `now`: seconds since 1970."""
        heard = self._heard.get(request.sender)
        if heard is None:
            heard = self._heard[request.sender] = _Heard()
        return heard.add(request.created, hash(request.mark), now, self._remembered_max)


class _Heard:
    """What one bank said, by the second in which it signed it."""

    def __init__(self) -> None:
        self._marks: dict[int, set[int]] = {}
        self._count = 0
        self._forgotten = 0
        """Up to this second, nothing is known of what was heard."""

    def add(self, created: int, mark: int, now: int, most: int) -> bool:
        if created <= self._forgotten:
            return False
        marks = self._marks.get(created)
        if marks is None:
            self._forget_expired(now)
            marks = self._marks[created] = set()
        elif mark in marks:
            return False
        if self._count >= most:
            self._forget_oldest()
            if created <= self._forgotten:
                return False
        marks.add(mark)
        self._count += 1
        return True

    def _forget_expired(self, now: int) -> None:
        for second in [second for second in self._marks if second + WINDOW_S < now]:
            self._count -= len(self._marks.pop(second))

    def _forget_oldest(self) -> None:
        self._forgotten = min(self._marks)
        self._count -= len(self._marks.pop(self._forgotten))
