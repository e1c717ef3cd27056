"""Traces: what was tried and not allowed leaves a line in the log, for whoever looks for it later.

Many leave no flood: of one kind, from one place, one line a second is written, and it says how many there were since the
last. No line has a secret in it: not a token, not a password, not a document that is not masked.
"""

import structlog

from ciranda.ports import Clock

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PLACES_MAX = 10_000


class Traces:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._noted: dict[tuple[str, object], tuple[int, int]] = {}
        """For each kind and place, the second of the last line, and how many there were since."""

    def note(self, event: str, place: object, **what: object) -> None:
        """`place`: who or where it came from; `what`: what the line says of it."""
        now = self._clock.now() // 1000
        second, more = self._noted.get((event, place), (0, 0))
        if second == now:
            self._noted[event, place] = second, more + 1
            return
        if len(self._noted) >= PLACES_MAX:
            self._noted.clear()
        self._noted[event, place] = now, 0
        log.warning(event, **what, times=more + 1)
