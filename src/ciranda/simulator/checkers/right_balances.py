"""Every account has what it had at first and what its payments brought and took; every mandate counts what was taken
under it: worked out anew, with additions only, from what the coordinators' books say was committed."""

from collections import Counter

from ciranda.agreement.participant import State
from ciranda.engine.mandate import id_of
from ciranda.engine.record import Record
from ciranda.identity import Ispb, bank_of
from ciranda.simulator.bank import secret_of
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.founding import BALANCE

_BROKEN_CHAIN = """
SELECT account, number FROM (
    SELECT account, number, previous, balance - amount AS before,
        lag(balance, 1, 0) OVER line AS last, lag(payment) OVER line AS last_payment
    FROM entries WINDOW line AS (PARTITION BY account ORDER BY number)
) WHERE before != last OR previous IS NOT last_payment LIMIT 1
"""


class RightBalances(Checker):
    name = "right balances"

    def at_end(self) -> None:
        moved: Counter[str] = Counter()
        used: Counter[str] = Counter()
        for bank in self.world.living():
            for record in self._committed(bank.ispb):
                for clause in record.clauses:
                    transfer = clause.transfer
                    if bank_of(transfer.source) == bank.ispb:
                        moved[transfer.source] -= transfer.amount
                        if clause.mandate is not None:
                            used[clause.mandate] += transfer.amount
                    if bank_of(transfer.target) == bank.ispb:
                        moved[transfer.target] += transfer.amount
        founded = self.world.founded
        accounts = [(bank_id, address) for (bank_id, _), address in founded.accounts.items()]
        for bank_id, address in [*accounts, *founded.joint.items()]:
            if bank_id in self.world.gone:
                continue
            connection = self.world.banks[bank_id].disk.connection
            balance, latest = connection.execute(
                "SELECT balance, latest FROM accounts WHERE id = ?", (address,)
            ).fetchone()
            if balance != BALANCE + moved[address]:
                self.broken(f"{address} has {balance}, and should have {BALANCE + moved[address]}")
            entries = connection.execute(
                # With one maximum, the other columns are of the row that has it.
                "SELECT coalesce(sum(amount), 0), count(*), max(number), payment FROM entries WHERE account = ?",
                (address,),
            ).fetchone()
            if entries[0] != balance or entries[1] != entries[2] or entries[3] != latest:
                self.broken(f"the entries of {address} sum to {entries[0]}, and its balance is {balance}")
        for bank in self.world.living():
            broken = bank.disk.connection.execute(_BROKEN_CHAIN).fetchone()
            if broken is not None:
                self.broken(f"entry {broken[1]} of {broken[0]} does not go on where the one before it ended")
        self._check_mandates(used)

    def _committed(self, bank: Ispb) -> list[Record]:
        return [
            record
            for record in self.world.records(bank)
            if record.state is State.COMMITTED and record.kind.value == "payment"
        ]

    def _check_mandates(self, used: Counter[str]) -> None:
        held: Counter[str] = Counter()
        for bank in self.world.living():
            for record in self.world.records(bank.ispb):
                if record.state is State.PREPARED:
                    for clause in record.clauses:
                        if clause.mandate is not None:
                            held[clause.mandate] += clause.transfer.amount
        for (bank_id, _, _), token in self.world.founded.small_mandates.items():
            if bank_id in self.world.gone:
                continue
            id = id_of(token, secret_of(bank_id))
            assert id is not None, "it is the bank's own"
            connection = self.world.banks[bank_id].disk.connection
            counted, total = connection.execute(
                "SELECT used, total FROM mandates WHERE id = ?", (id,)
            ).fetchone()
            if counted != used[id] + held[id] or counted > total:
                self.broken(f"a mandate counts {counted} of {total}, and {used[id]} was taken under it")
