"""What happens to banks while their customers pay, at moments that a seed chooses."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psutil

from tests.system.consortium import Bank

Fault = Callable[[Sequence[Bank], random.Random, threading.Event], None]
"""Happens to some of the banks, lasts no longer than the event lets it, and leaves all of them running."""


def killed(banks: Sequence[Bank], dice: random.Random, over: threading.Event) -> None:
    """One bank is killed, or two, or all at once; and started again."""
    victims = dice.sample(banks, dice.choice((1, 1, 1, 2, len(banks))))
    for bank in victims:
        bank.kill()
    over.wait(dice.uniform(0.0, 1.0))
    for bank in victims:
        bank.start()
    for bank in victims:
        bank.wait_ready()


def worker_killed(banks: Sequence[Bank], dice: random.Random, over: threading.Event) -> None:
    """One of a bank's workers is killed, of which the bank starts another."""
    with suppress(psutil.NoSuchProcess, IndexError):
        dice.choice(dice.choice(banks).children()).kill()


def stopped(banks: Sequence[Bank], dice: random.Random, over: threading.Event) -> None:
    """One bank stands still, also for longer than the others wait for it."""
    bank = dice.choice(banks)
    bank.pause()
    over.wait(dice.choice((0.2, 1.0, 4.0)))
    bank.resume()


@contextmanager
def trouble(fault: Fault, banks: Sequence[Bank], dice: random.Random, times: int = 6) -> Iterator[None]:
    """The fault happens so many times, unless the block ends before."""
    over = threading.Event()
    # A die of its own: the order in which threads throw them is not the seed's.
    own = random.Random(dice.random())

    def happen() -> None:
        for _ in range(times):
            if not over.wait(own.uniform(0.2, 1.5)):
                fault(banks, own, over)

    with _meanwhile(happen):
        try:
            yield
        finally:
            over.set()


@contextmanager
def happens_later(harm: Callable[[], None], after_s: float) -> Iterator[None]:
    """One harm, so long after the block began; the block's end waits for it."""

    def happen() -> None:
        threading.Event().wait(after_s)
        harm()

    with _meanwhile(happen):
        yield


@contextmanager
def _meanwhile(happen: Callable[[], None]) -> Iterator[None]:
    with ThreadPoolExecutor(1) as thread:
        happening = thread.submit(happen)
        yield
        happening.result()
