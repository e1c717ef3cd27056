"""I2: no payment is committed in one bank and aborted in another, nor said to be."""

from ciranda.agreement.message import Answer, Decided, Decision, Question, Tell
from ciranda.agreement.participant import State
from ciranda.identity import EndToEndId, Ispb
from ciranda.simulator.checkers.checker import Checker


class OneDecision(Checker):
    name = "one decision"

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if isinstance(question, Tell):
            self._said(sender, question.id, question.decision)

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(answer, Decided):
            self._said(sender, answer.id, answer.decision)

    def _said(self, bank: Ispb, payment: EndToEndId, decision: Decision) -> None:
        """Whatever anybody's disk says of it, it must be the same."""
        if payment in self.world.lies:
            return
        for other in self.world.banks:
            record = self.world.record(other, payment)
            if record is not None and record.state.decided and record.decision is not decision:
                self.broken(
                    f"{self.world.banks[bank].name} says that {self.world.transcript.label(payment)} is decided: "
                    f"{decision.value}; in {self.world.banks[other].name} it is {record.state.value}"
                )

    def at_end(self) -> None:
        states: dict[EndToEndId, dict[State, str]] = {}
        for bank in self.world.banks.values():
            for record in self.world.records(bank.ispb):
                if record.state.decided and record.id not in self.world.lies:
                    states.setdefault(record.id, {})[record.state] = bank.name
        for payment, by_state in states.items():
            if len(by_state) > 1:
                where = ", ".join(f"{state.value} in {bank}" for state, bank in by_state.items())
                self.broken(f"{self.world.transcript.label(payment)} is {where}")
