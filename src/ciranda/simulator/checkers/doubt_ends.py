"""I7: once the faults have stopped, all doubt ends in bounded time, also where one bank is gone for ever; and no
money of a living bank's customer waits for a bank that is gone, where the roster asks for several witnesses."""

from ciranda.agreement.participant import State
from ciranda.identity import Ispb
from ciranda.simulator.checkers.checker import Checker


class DoubtEnds(Checker):
    name = "doubt ends"

    def at_end(self) -> None:
        for bank in self.world.living():
            if not bank.up:
                self.broken(f"{bank.name} did not come back: {bank.stopped_because}")
            for record in self.world.unfinished(bank.ispb):
                left = f"untold: {' '.join(record.untold)}" if record.state.decided else "undecided"
                self.broken(f"{self.world.transcript.label(record.id)} is still {left} in {bank.name}")
            self._check_hostages(bank.ispb)
            self._check_all_know(bank.ispb)
        for order in self.world.clients.orders:
            if order.number not in self.world.clients.final and order.bank not in self.world.gone:
                self.broken(f"the client of {order.key} still does not know")

    def _check_all_know(self, coordinator: Ispb) -> None:
        """5.6: a payment that nobody is left to be told of is known to all of its banks, witnesses too."""
        for record in self.world.records(coordinator):
            told = record.state.decided and record.header is not None and not record.untold
            if not told or not record.coordinated_by(coordinator) or record.id in self.world.lies:
                continue
            assert record.header is not None, "it was looked at"
            for bank in sorted(record.header.banks - {coordinator}):
                theirs = self.world.record(bank, record.id)
                if theirs is None or theirs.state is not record.state:
                    label = self.world.transcript.label(record.id)
                    self.broken(
                        f"{self.world.banks[bank].name} passes for told of {label}, and does not know"
                    )

    def _check_hostages(self, bank: Ispb) -> None:
        if self.world.witnesses < 3 or len(self.world.banks) < 3:
            return
        for record in self.world.records(bank):
            if record.state is State.PREPARED and record.id not in self.world.lies:
                sources = {clause.transfer.source[:8] for clause in record.clauses}
                if bank in sources:
                    label = self.world.transcript.label(record.id)
                    self.broken(
                        f"{label} holds money of {self.world.banks[bank].name}'s customers for a bank that is gone"
                    )
