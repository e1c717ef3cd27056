"""3.1: what the tables do not have cannot happen between honest banks, so none of them ever calls another's question a
violation, or writes one down."""

from ciranda.agreement.message import Answer, Question, Violated
from ciranda.identity import Ispb
from ciranda.simulator.checkers.checker import Checker


class NoViolations(Checker):
    name = "no violations"

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        # The liars' own questions are asked in their names: which of them are lies is known by the payment.
        if (
            isinstance(answer, Violated)
            and self._payment(question) not in self.world.lies | self.world.meddled
        ):
            banks = self.world.banks
            words = self.world.transcript.question(question)
            self.broken(
                f"{banks[sender].name} calls {words!r} of {banks[receiver].name} a violation: {answer.reason}"
            )

    def at_end(self) -> None:
        for bank in self.world.banks.values():
            rows = bank.disk.connection.execute("SELECT peer, payment, reason FROM violations").fetchall()
            for peer, payment, reason in rows:
                if payment not in self.world.lies | self.world.meddled:
                    label = self.world.transcript.label(payment)
                    self.broken(
                        f"{bank.name} has written down that {peer} broke the rules of {label}: {reason}"
                    )

    @staticmethod
    def _payment(question: Question) -> str | None:
        header = getattr(question, "header", None)
        return None if header is None else header.id
