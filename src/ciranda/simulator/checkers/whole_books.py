"""I1: after every commit each bank's balances sum to zero, no account is under its floor or over its ceiling, and what
is held is what undecided payments hold."""

from typing import TYPE_CHECKING

from ciranda.engine.record import bookings_of
from ciranda.simulator.checkers.checker import Checker
from ciranda.storage.rows import RECORDS

if TYPE_CHECKING:
    from ciranda.simulator.bank import SimulatedBank

_SUMS = """
SELECT sum(balance), min(balance - held - floor), min(ceiling - balance - incoming), min(held), min(incoming),
       sum(held), sum(incoming)
FROM accounts
"""


class WholeBooks(Checker):
    name = "whole books"
    watches_commits = True

    def on_commit(self, bank: "SimulatedBank") -> None:
        connection = bank.disk.connection
        total, least, room, held_least, incoming_least, held, incoming = connection.execute(_SUMS).fetchone()
        if total is None:
            return
        if total != 0:
            self.broken(f"the balances of {bank.name} sum to {total}")
        if least < 0:
            self.broken(f"an account of {bank.name} is {-least} under its floor")
        if room < 0:
            self.broken(f"an account of {bank.name} is {-room} over its ceiling")
        if held_least < 0 or incoming_least < 0:
            self.broken(f"an account of {bank.name} holds less than nothing")
        if held or incoming:
            self._check_held(bank, held, incoming)

    def at_end(self) -> None:
        for bank in self.world.banks.values():
            self.on_commit(bank)

    def _check_held(self, bank: "SimulatedBank", held: int, incoming: int) -> None:
        rows = bank.disk.connection.execute("SELECT * FROM payments WHERE state = 'prepared'").fetchall()
        promised = sum(
            booking.amount
            for record in map(RECORDS.from_row, rows)
            for booking in bookings_of(record.clauses, bank.ispb)
        )
        if held != promised:
            self.broken(f"{bank.name} holds {held}, and its undecided payments {promised}")
        if incoming != promised:
            self.broken(f"{bank.name} keeps room for {incoming}, and its undecided payments need {promised}")
