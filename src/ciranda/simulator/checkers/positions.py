"""I4: what X says that it owes Y and what Y says that it owes X sum to zero, once nothing between them is in doubt."""

from ciranda.agreement.participant import State
from ciranda.engine.record import bookings_of
from ciranda.identity import Ispb, clearing
from ciranda.simulator.checkers.checker import Checker


class Positions(Checker):
    name = "positions"

    def at_end(self) -> None:
        banks = list(self.world.founded.banks)
        doubtful = self._doubtful()
        for place, one in enumerate(banks):
            for other in banks[place + 1 :]:
                if (one, other) in doubtful or (other, one) in doubtful:
                    continue
                total = self._position(one, other) + self._position(other, one)
                if total != 0:
                    names = self.world.banks[one].name, self.world.banks[other].name
                    self.broken(f"the positions of {names[0]} and {names[1]} with each other sum to {total}")

    def _position(self, bank: Ispb, peer: Ispb) -> int:
        """Without what was only a lie."""
        connection = self.world.banks[bank].disk.connection
        row = connection.execute("SELECT balance FROM accounts WHERE id = ?", (clearing(peer),)).fetchone()
        balance = 0 if row is None else int(row[0])
        for payment in sorted(self.world.lies):
            record = self.world.record(bank, payment)
            if record is not None and record.state is State.COMMITTED:
                for booking in bookings_of(record.clauses, bank):
                    if booking.credit == clearing(peer):
                        balance -= booking.amount
                    if booking.debit == clearing(peer):
                        balance += booking.amount
        return balance

    def _doubtful(self) -> set[tuple[Ispb, Ispb]]:
        """Pairs of banks with an undecided payment between them: only where one is gone for ever."""
        pairs = set()
        for bank in self.world.banks:
            for record in self.world.records(bank):
                if record.state is State.PREPARED and record.header is not None:
                    pairs |= {(bank, other) for other in record.header.participants}
                if record.untold:
                    pairs |= {(bank, other) for other in record.untold}
        return pairs
