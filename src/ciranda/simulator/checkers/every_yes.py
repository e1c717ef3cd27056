"""I3: whoever proposes, tells or is told commit, every participant has promised its part, durably."""

from ciranda.agreement.header import Header
from ciranda.agreement.message import Decision, Propose, Question, Tell
from ciranda.agreement.participant import State
from ciranda.identity import Ispb
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Outcome, Told

_PROMISED = (State.PREPARED, State.COMMITTED)


class EveryYes(Checker):
    name = "every yes"

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if isinstance(question, Propose | Tell) and question.decision is Decision.COMMIT:
            self._check(question.header)

    def on_told(self, told: Told) -> None:
        if told.outcome is Outcome.SETTLED and told.payment is not None:
            record = self.world.record(told.order.bank, told.payment)
            if record is not None and record.header is not None:
                self._check(record.header)

    def at_end(self) -> None:
        for bank in self.world.banks:
            for record in self.world.records(bank):
                if record.state is State.COMMITTED and record.header is not None:
                    self._check(record.header)

    def _check(self, header: Header) -> None:
        if header.id in self.world.lies:
            return
        for bank in header.participants:
            record = self.world.record(bank, header.id)
            if record is None or record.state not in _PROMISED or not record.clauses:
                state = "unknown" if record is None else record.state.value
                label = self.world.transcript.label(header.id)
                self.broken(f"{label} is to be committed, and in {self.world.banks[bank].name} it is {state}")
