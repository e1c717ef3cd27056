"""Bad links: slow ones, on which everything comes late, and lossy ones, on which it stalls or breaks off."""

from collections.abc import Sequence

from tests.system.consortium import Bank
from tests.system.nemesis.network import Wires

SLOW_S = 0.4
"""For each piece of what is said, in each direction: a question and its answer are close to a second."""
LOSS = 0.15
"""How many pieces of a hundred are lost: TCP says some of them again later, and gives some connections up."""


class SlowLink:
    """All wires from and to these banks."""

    def __init__(self, wires: Wires, banks: Sequence[Bank]) -> None:
        self._wires = [wire for wire in wires.wires if wire.near in banks or wire.far in banks]

    def begin(self) -> None:
        for wire in self._wires:
            wire.there.delay_s = wire.back.delay_s = SLOW_S

    def end(self) -> None:
        for wire in self._wires:
            wire.there.delay_s = wire.back.delay_s = 0.0


class LossyLink:
    """All wires from and to these banks."""

    def __init__(self, wires: Wires, banks: Sequence[Bank]) -> None:
        self._wires = [wire for wire in wires.wires if wire.near in banks or wire.far in banks]

    def begin(self) -> None:
        for wire in self._wires:
            wire.there.loss = wire.back.loss = LOSS

    def end(self) -> None:
        for wire in self._wires:
            wire.there.loss = wire.back.loss = 0.0
