"""What every fault is."""

from typing import Protocol


class Fault(Protocol):
    def begin(self) -> None: ...

    def end(self) -> None:
        """From here on all is as if it had never been, except for what it did."""
