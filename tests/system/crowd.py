"""Many clients at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each of the calls gives, all made at the same time, in their order."""
    with ThreadPoolExecutor(len(calls)) as crowd:
        return [call.result() for call in [crowd.submit(call) for call in calls]]
