"""Clocks that are wrong: a bank's clock jumps ahead or back while it runs, and later jumps home.

Banks read the time of day from Python's `time`. Theirs is replaced, before anything else is imported, by one that adds
what stands in a file; the monotonic clock is left alone, as it is when somebody sets a machine's clock. This needs no
rights and nothing installed. (`shifted/sitecustomize.py` is the bank's half.)
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.system.consortium import Bank

SHIFTED = Path(__file__).with_name("shifted")
SHIFTS_S = (-3_600, -400, -60, -20, -5, 5, 20, 60, 400, 3_600)
"""Some within the five minutes that peers put up with, and some beyond."""


class Clocks:
    def give(self, banks: Sequence[Bank]) -> None:
        """Before they start: clocks that can be set."""
        for bank in banks:
            bank.environment["PYTHONPATH"] = str(SHIFTED)
            bank.environment["SHIFTED_BY"] = str(_file(bank))
            self.set(bank, 0)

    def set(self, bank: Bank, seconds: int) -> None:
        """So far ahead of the true time."""
        with _file(bank).open("r+b" if _file(bank).exists() else "wb") as file:
            file.write(struct.pack("<q", seconds * 1_000_000_000))


def _file(bank: Bank) -> Path:
    return bank.settings_file.with_name("clock")


class ClockShift:
    """Each of these banks has a wrong time of its own."""

    def __init__(self, clocks: Clocks, banks: Sequence[Bank], dice: Random) -> None:
        self._clocks = clocks
        self._shifts = {bank: dice.choice(SHIFTS_S) for bank in banks}

    def begin(self) -> None:
        for bank, seconds in self._shifts.items():
            self._clocks.set(bank, seconds)

    def end(self) -> None:
        for bank in self._shifts:
            self._clocks.set(bank, 0)
