"""At the end each bank's chain bears out every row of its database, and every copy that its peers hold of its heads."""

from ciranda.chain import Copy
from ciranda.identity import Ispb
from ciranda.simulator.checkers.checker import Checker
from ciranda.storage.proof import copies_in, prove_open


class WholeChains(Checker):
    name = "whole chains"

    def at_end(self) -> None:
        copies = [copy for ispb in self.world.banks for copy in self._copies_of(ispb)]
        for ispb, bank in self.world.banks.items():
            held = [copy for copy in copies if copy.head.bank == ispb]
            with bank.disk.reader().begin() as connection:
                proof = prove_open(connection, ispb, held)
            if proof.found:
                self.broken(f"in the chain of {bank.name}, {proof.found[0].sentence}")

    def _copies_of(self, ispb: Ispb) -> list[Copy]:
        with self.world.banks[ispb].disk.reader().begin() as connection:
            return copies_in(connection)
