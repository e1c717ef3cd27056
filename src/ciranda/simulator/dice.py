"""Seeded dice: every throw follows from the seed and the name of who throws.

Each has a stream of its own, so that to take one fault out of a scenario does not change what the others do.
"""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 25

Span = tuple[float, float]
"""From, to."""


class SeededDice:
    """The port Dice, and a few throws more."""

    def __init__(self, seed: int, name: str) -> None:
        self._random = random.Random(f"{seed}/{name}")

    def token(self) -> str:
        return f"{self.bits(256):064x}"

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def within(self, span: Span) -> float:
        return self.between(*span)

    def whole(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def chance(self, of: float) -> bool:
        return self._random.random() < of

    def pick(self, among: Sequence[T]) -> T:
        return among[int(self._random.random() * len(among))]

    def some(self, among: Sequence[T], count: int) -> list[T]:
        """`count` different ones, in a random order."""
        left = list(among)
        return [left.pop(int(self._random.random() * len(left))) for _ in range(min(count, len(left)))]


class PatientDice(SeededDice):
    """A process's dice. While nothing happens anywhere its waits are long, so that a quiet day costs little."""

    def __init__(self, seed: int, name: str, quiet: Callable[[], bool]) -> None:
        super().__init__(seed, name)
        self._quiet = quiet

    def between(self, low: float, high: float) -> float:
        drawn = super().between(low, high)
        return drawn * _PATIENCE if self._quiet() else drawn
