"""`kill -9`: a bank dies in the middle of whatever it does, and is started again."""

from collections.abc import Sequence

from tests.system.consortium import Bank


class Kill:
    def __init__(self, banks: Sequence[Bank]) -> None:
        self._banks = banks

    def begin(self) -> None:
        for bank in self._banks:
            bank.kill()

    def end(self) -> None:
        for bank in self._banks:
            bank.start()
        for bank in self._banks:
            bank.wait_ready()
