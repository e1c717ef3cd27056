"""2.3, 5.6: what is answered, and what is told, is durable before: looked up on the disk in the moment it leaves."""

from ciranda.agreement.message import Accepted, Answer, Decided, Done, Question, Tell, Vote
from ciranda.agreement.participant import State
from ciranda.identity import Ispb
from ciranda.simulator.checkers.checker import Checker


class DurableFirst(Checker):
    name = "durable first"

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        if isinstance(question, Tell) and question.id not in self.world.lies:
            record = self.world.record(sender, question.id)
            if record is None or record.decision is not question.decision:
                state = "nothing" if record is None else record.state.value
                words = self.world.transcript.question(question)
                self.broken(f"{self.world.banks[sender].name} says {words!r}; its disk says {state}")

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        match answer:
            case Vote():
                record = self.world.record(sender, answer.id)
                state = State.UNKNOWN if record is None else record.state
                if answer.refusal is None:
                    # By now it may have been told to abort: then the row at least has what it promised.
                    fine = state in (State.PREPARED, State.COMMITTED) or (
                        state is State.ABORTED and record is not None and bool(record.clauses)
                    )
                else:
                    fine = state is State.ABORTED
            case Decided():
                record = self.world.record(sender, answer.id)
                fine = record is not None and record.decision is answer.decision
            case Done():
                assert isinstance(question, Tell), "only telling is answered so"
                record = self.world.record(sender, answer.id)
                fine = record is not None and record.decision is question.decision
            case Accepted():
                record = self.world.record(sender, answer.id)
                fine = record is not None and (
                    record.state.decided
                    or (record.accepted is not None and record.accepted[0] >= answer.ballot)
                )
            case _:
                return
        if not fine and answer.id not in self.world.lies:
            words = self.world.transcript.answer(question, answer)
            state_name = "nothing" if record is None else record.state.value
            self.broken(f"{self.world.banks[sender].name} says {words!r}; its disk says {state_name}")
