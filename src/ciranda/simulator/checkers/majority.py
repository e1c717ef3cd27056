"""4.4: what passes for decided, a majority of the witnesses has accepted under one ballot.

Only an abort may be decided without them: by the attempt that has not proposed commit and never will (5.3), or by a
participant that has not promised and never will (3).
"""

from typing import TYPE_CHECKING

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.header import Header
from ciranda.agreement.message import Accepted, Answer, Decided, Decision, Propose, Question, Tell, Vote
from ciranda.agreement.participant import State
from ciranda.identity import EndToEndId, Ispb, coordinator_of
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
        self._accepted: dict[tuple[EndToEndId, Decision], dict[Ballot, set[Ispb]]] = {}
        """Who accepted it, under which ballot."""
        self._yes: set[tuple[Ispb, EndToEndId]] = set()

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if isinstance(question, Propose):
            if question.ballot.round == 0:
                self._proposed.add(question.header.id)
            ballots = self._accepted.setdefault((question.header.id, question.decision), {})
            # Whoever proposes accepts it itself, in the write in which it takes it for decided.
            ballots.setdefault(question.ballot, {sender} & set(question.header.witnesses))
        if isinstance(question, Tell):
            self._check(question.header, question.decision)

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(answer, Vote) and answer.refusal is None:
            self._yes.add((sender, answer.id))
        if isinstance(answer, Accepted) and isinstance(question, Propose):
            accepted = self._accepted.get((answer.id, question.decision), {}).get(answer.ballot)
            if accepted is not None:
                accepted.add(sender)
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
        if decision is Decision.ABORT and header.id not in self._proposed and self._somebody_said_no(header):
            return
        have = max(map(len, self._accepted.get((header.id, decision), {}).values()), default=0)
        if have < len(header.witnesses) // 2 + 1:
            label = self.world.transcript.label(header.id)
            self.broken(
                f"the decision on {label} passes for {decision.value}, "
                f"and at most {have} of {len(header.witnesses)} witnesses accepted that under one ballot"
            )

    def _somebody_said_no(self, header: Header) -> bool:
        for bank in {coordinator_of(header.id), *header.participants}:
            record = self.world.record(bank, header.id)
            if record is not None and record.state is State.ABORTED and (bank, header.id) not in self._yes:
                return True
        return False


_DECISIONS = {Outcome.SETTLED: Decision.COMMIT, Outcome.REFUSED: Decision.ABORT}
