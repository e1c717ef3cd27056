"""Waiting for what must come true, and never longer than needed. Nothing else here sleeps for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

T = TypeVar("T")

BETWEEN_TRIES_S = 0.05


def eventually(check: Callable[[], T], within_s: float = 20.0) -> T:
    """What `check` gives, as soon as it passes; its own failure, if it has not passed in time."""
    until = time.monotonic() + within_s
    while True:
        try:
            return check()
        except (AssertionError, httpx.TransportError):
            if time.monotonic() > until:
                raise
        time.sleep(BETWEEN_TRIES_S)
