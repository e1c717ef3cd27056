"""No account ever spends more in a day or a night than it may, and what counts as spent is what its payments hold or took:
worked out anew from the payments. Where banks keep no limits there is nothing to see."""

from collections import Counter
from typing import TYPE_CHECKING

from ciranda.agreement.participant import State
from ciranda.engine.limits import leaving
from ciranda.period import Period
from ciranda.simulator.checkers.checker import Checker

if TYPE_CHECKING:
    from ciranda.simulator.bank import SimulatedBank

_SPENT = "SELECT taken_from, period, amount FROM spent"


class RightLimits(Checker):
    name = "right limits"
    watches_commits = True

    def on_commit(self, bank: "SimulatedBank") -> None:
        limits = self.world.limits
        if limits is None:
            return
        for account, period, amount in bank.disk.connection.execute(_SPENT):
            most = limits.persons.per_night if _is_night(period) else limits.persons.per_day
            if most is not None and amount > most:
                self.broken(f"{account} has spent {amount} in {period}, and may spend {most}")
            if amount < 0:
                self.broken(f"{account} has spent less than nothing in {period}")

    def at_end(self) -> None:
        if self.world.limits is None:
            return
        for bank in self.world.living():
            counted: Counter[tuple[str, str]] = Counter()
            by_day: Counter[str] = Counter()
            left: Counter[str] = Counter()
            for record in self.world.records(bank.ispb):
                if record.state not in (State.PREPARED, State.COMMITTED):
                    continue
                for one in record.counted:
                    counted[one.key] += one.amount
                    by_day[one.taken_from] += 0 if _is_night(one.period) else one.amount
                debits = leaving([clause.transfer for clause in record.clauses], bank.ispb)
                for account, amounts in debits.items():
                    left[account] += sum(amounts)
            if by_day != left:
                self.broken(f"{bank.name} counted other payments than those that left its accounts")
            rows = bank.disk.connection.execute(_SPENT).fetchall()
            if {(account, period): amount for account, period, amount in rows if amount} != dict(counted):
                self.broken(f"what {bank.name} counts as spent is not what its payments were counted as")


def _is_night(period: Period) -> bool:
    return period.endswith("night")
