"""What happens to banks while their customers pay, at moments that a seed chooses."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.system.consortium import Bank

Fault = Callable[[Sequence[Bank], random.Random, threading.Event], None]
"""Happens to some of the banks, lasts no longer than the event lets it, and leaves all of them running."""

TIMES = 6


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


def stopped(banks: Sequence[Bank], dice: random.Random, over: threading.Event) -> None:
    """One bank stands still, also for longer than the others wait for it."""
    bank = dice.choice(banks)
    bank.pause()
    over.wait(dice.choice((0.2, 1.0, 4.0)))
    bank.resume()


@contextmanager
def trouble(fault: Fault, banks: Sequence[Bank], dice: random.Random) -> Iterator[None]:
    """The fault happens again and again while the block runs."""
    over = threading.Event()

    def happen() -> None:
        for _ in range(TIMES):
            if not over.wait(dice.uniform(0.2, 1.5)):
                fault(banks, dice, over)

    with ThreadPoolExecutor(1) as thread:
        happening = thread.submit(happen)
        try:
            yield
        finally:
            over.set()
        happening.result()
