"""Nothing leaves an account for which all holders sign before each of them has said yes: not what the bank wrote down of
it, but what they themselves have said."""

from typing import TYPE_CHECKING

from ciranda.agreement.participant import State
from ciranda.engine.record import Record
from ciranda.simulator.checkers.checker import Checker
from ciranda.storage.rows import RECORDS

if TYPE_CHECKING:
    from ciranda.simulator.bank import SimulatedBank

_MOVES = """
SELECT payments.* FROM approvals CROSS JOIN payments ON approvals.id = payments.id
WHERE payments.state IN ('prepared', 'committed')
"""


class AllSigned(Checker):
    name = "all signed"
    watches_commits = True

    def on_commit(self, bank: "SimulatedBank") -> None:
        for row in bank.disk.books.execute(_MOVES):
            self._check(RECORDS.from_row(row))

    def at_end(self) -> None:
        for bank in self.world.living():
            joint = self.world.founded.joint[bank.ispb]
            for record in self.world.records(bank.ispb):
                moves = record.state is State.COMMITTED and record.coordinated_by(bank.ispb)
                if moves and any(clause.transfer.source == joint for clause in record.clauses):
                    self._check(record)

    def _check(self, record: Record) -> None:
        for holder in self.world.founded.customers:
            if holder != record.payer and (record.id, holder) not in self.world.clients.approved:
                label = self.world.transcript.label(record.id)
                self.broken(f"{label} moves money, and {holder} has not approved it")
