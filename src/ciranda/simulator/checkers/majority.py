"""4.4: commit is decided only when a majority of the witnesses has accepted it, durably, in the rows of one payment."""

from ciranda.agreement.header import Header
from ciranda.agreement.message import Answer, Decided, Decision, Question, Tell
from ciranda.agreement.participant import State
from ciranda.identity import Ispb
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Outcome, Told


class Majority(Checker):
    name = "majority"

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if isinstance(question, Tell) and question.decision is Decision.COMMIT:
            self._check(question.header)

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(answer, Decided) and answer.decision is Decision.COMMIT:
            record = self.world.record(sender, answer.id)
            if record is not None and record.header is not None:
                self._check(record.header)

    def on_told(self, told: Told) -> None:
        if told.outcome is Outcome.SETTLED and told.payment is not None:
            record = self.world.record(told.order.bank, told.payment)
            if record is not None and record.header is not None:
                self._check(record.header)

    def _check(self, header: Header) -> None:
        if header.id in self.world.lies or len(header.witnesses) == 1:
            return
        have = sum(self._has_accepted(witness, header) for witness in header.witnesses)
        if have < len(header.witnesses) // 2 + 1:
            label = self.world.transcript.label(header.id)
            self.broken(
                f"{label} passes for committed, and {have} of {len(header.witnesses)} witnesses accepted that"
            )

    def _has_accepted(self, witness: Ispb, header: Header) -> bool:
        record = self.world.record(witness, header.id)
        return record is not None and (
            record.state is State.COMMITTED
            or (record.accepted is not None and record.accepted[1] is Decision.COMMIT)
        )
