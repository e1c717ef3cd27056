"""SIGSTOP: a bank stands still, its connections open; then it goes on as if no time had passed."""

from collections.abc import Sequence

from tests.system.consortium import Bank


class Pause:
    def __init__(self, banks: Sequence[Bank]) -> None:
        self._banks = banks

    def begin(self) -> None:
        for bank in self._banks:
            bank.pause()

    def end(self) -> None:
        for bank in self._banks:
            bank.resume()
