"""Many clients at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each of the calls gives, all made at the same time, in their order."""
    with ThreadPoolExecutor(len(calls)) as crowd:
        return [call.result() for call in [crowd.submit(call) for call in calls]]


def while_under_way(call: Callable[[], T], act: Callable[[], None]) -> T:
    """What `call` gives, which cannot end before `act`, done meanwhile, has let it."""
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(call)
        act()
        return asked.result()
