"""What banks stand on, and a nemesis can shake: their network, their clocks, their disks and their database."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.system.consortium import Bank, Consortium, consortium
from tests.system.nemesis.clock import Clocks
from tests.system.nemesis.disk import Disks
from tests.system.nemesis.network import Network, Wires
from tests.system.postgresql import PostgreSQL

DEADLINE_MS = 2_000
"""Shorter than banks have, so that more happens in a minute."""


class World:
    deadline_s = DEADLINE_MS / 1000

    def __init__(
        self, seed: int, server: PostgreSQL | None, namespaces: bool, network: Network | None
    ) -> None:
        self.network = Wires(seed) if network is None else network
        self.clocks = Clocks()
        self.disks = Disks(namespaces)
        self.server = server
        """None: the banks' books are SQLite files."""
        self._circle: Consortium | None = None

    @property
    def circle(self) -> Consortium:
        assert self._circle is not None, "banks were put into it"
        return self._circle

    @property
    def wires(self) -> Wires:
        assert isinstance(self.network, Wires), "only of wires can the quality be chosen"
        return self.network

    @property
    def last(self) -> Bank:
        """The bank with the small disk."""
        return self.circle.banks[-1]

    @property
    def database(self) -> PostgreSQL:
        assert self.server is not None, "only banks on PostgreSQL have a server"
        return self.server

    def lay(self, circle: Consortium) -> None:
        """Puts it under banks that have not started yet."""
        self._circle = circle
        self.clocks.give(circle.banks)
        if self.server is None:
            self.disks.give(self.last)
        self.network.lay(circle)

    def close(self) -> None:
        """After the banks."""
        self.network.close()
        self.disks.close()


@contextmanager
def world(
    folder: Path,
    seed: int,
    *,
    banks: int = 5,
    server: PostgreSQL | None = None,
    namespaces: bool = True,
    network: Network | None = None,
) -> Iterator[World]:
    """A consortium that can be struck, until the end of the block. On PostgreSQL each bank has two workers. Without
    `namespaces` it needs no more than any process may do. The network is one of wires, unless another is given."""
    with ExitStack() as stack:
        made = World(seed, server, namespaces, network)
        stack.callback(made.close)
        database = None if server is None else server.template
        stack.enter_context(
            consortium(
                folder,
                banks,
                deadline_ms=DEADLINE_MS,
                database=database,
                workers=1 if server is None else 2,
                before_start=made.lay,
            )
        )
        yield made
