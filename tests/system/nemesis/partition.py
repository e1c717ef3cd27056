"""Partitions: what is said is not heard until the line is whole again; then it may be heard late."""

from collections.abc import Sequence

from tests.system.consortium import Bank
from tests.system.nemesis.network import Network


class Partition:
    """Some banks, and all others: neither side hears the other."""

    def __init__(self, network: Network, banks: Sequence[Bank], side: Sequence[Bank]) -> None:
        self._network = network
        self._pairs = [(near, far) for near in banks for far in banks if (near in side) != (far in side)]

    def begin(self) -> None:
        self._network.cut(self._pairs, self)

    def end(self) -> None:
        self._network.join(self._pairs, self)


class OneWayPartition:
    """Nothing comes from one bank to another, neither its questions nor its answers; it hears the other well."""

    def __init__(self, network: Network, silent: Bank, deaf: Bank) -> None:
        self._network = network
        self._pairs = [(silent, deaf)]

    def begin(self) -> None:
        self._network.cut(self._pairs, self)

    def end(self) -> None:
        self._network.join(self._pairs, self)
