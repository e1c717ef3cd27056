"""I3: whoever proposes, tells or is told commit, every participant has promised its part, durably."""

from typing import TYPE_CHECKING

from ciranda.agreement.header import Header
from ciranda.agreement.message import Answer, Decision, Propose, Question, Tell, Vote
from ciranda.agreement.participant import State
from ciranda.identity import EndToEndId, Ispb, coordinator_of
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Outcome, Told

if TYPE_CHECKING:
    from ciranda.simulator.world import World

_PROMISED = (State.PREPARED, State.COMMITTED)


class EveryYes(Checker):
    name = "every yes"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._yes: set[tuple[Ispb, EndToEndId]] = set()

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(answer, Vote) and answer.refusal is None:
            self._yes.add((sender, answer.id))

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if isinstance(question, Tell) and question.decision is Decision.COMMIT:
            self._check(question.header)
        if isinstance(question, Propose) and question.decision is Decision.COMMIT:
            # It may be in vain: a recovery may have had it aborted meanwhile. But all must have said yes.
            payment = question.header.id
            missing = [
                bank
                for bank in question.header.participants
                if bank != coordinator_of(payment) and (bank, payment) not in self._yes
            ]
            if missing:
                names = ", ".join(self.world.banks[bank].name for bank in missing)
                label = self.world.transcript.label(payment)
                self.broken(f"{label} is proposed to commit, and never promised by {names}")

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
