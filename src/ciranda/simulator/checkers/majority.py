"""4.4: what passes for decided, a majority of the witnesses has durably accepted.

Only an abort may be decided without them: by the attempt that has not proposed commit, and never will (5.3).
"""

from typing import TYPE_CHECKING

from ciranda.agreement.header import Header
from ciranda.agreement.message import Answer, Decided, Decision, Propose, Question, Tell
from ciranda.agreement.participant import State
from ciranda.identity import EndToEndId, Ispb
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Outcome, Told

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Majority(Checker):
    name = "majority"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._proposed: set[EndToEndId] = set()
        """Those whose commit was proposed in round 0."""

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if isinstance(question, Propose) and question.ballot.round == 0:
            self._proposed.add(question.header.id)
        if isinstance(question, Tell):
            self._check(question.header, question.decision)

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(answer, Decided):
            record = self.world.record(sender, answer.id)
            if record is not None and record.header is not None:
                self._check(record.header, answer.decision)

    def on_told(self, told: Told) -> None:
        if told.outcome in _DECISIONS and told.payment is not None:
            record = self.world.record(told.order.bank, told.payment)
            if record is not None and record.header is not None:
                self._check(record.header, _DECISIONS[told.outcome])

    def _check(self, header: Header, decision: Decision) -> None:
        if header.id in self.world.lies or len(header.witnesses) == 1:
            return
        if decision is Decision.ABORT and header.id not in self._proposed:
            return
        have = sum(self._has_accepted(witness, header, decision) for witness in header.witnesses)
        if have < len(header.witnesses) // 2 + 1:
            label = self.world.transcript.label(header.id)
            self.broken(
                f"the decision on {label} passes for {decision.value}, "
                f"and {have} of {len(header.witnesses)} witnesses accepted that"
            )

    def _has_accepted(self, witness: Ispb, header: Header, decision: Decision) -> bool:
        record = self.world.record(witness, header.id)
        return record is not None and (
            record.state is _STATES[decision]
            or (record.accepted is not None and record.accepted[1] is decision)
        )


_DECISIONS = {Outcome.SETTLED: Decision.COMMIT, Outcome.REFUSED: Decision.ABORT}
_STATES = {Decision.COMMIT: State.COMMITTED, Decision.ABORT: State.ABORTED}
