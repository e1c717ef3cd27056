"""4.1, 5.3, 6.1, 6.2: a ballot is one attempt's alone and stands for one decision; round 0 is of the process that began; and
a later round proposes what a majority of promises says, that is, what was accepted under the highest ballot."""

from typing import TYPE_CHECKING

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import Answer, Ask, Decision, Prepare, Promised, Propose, Question
from ciranda.engine.record import Record
from ciranda.identity import EndToEndId, Ispb, coordinator_of
from ciranda.simulator.checkers.checker import Checker

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Ballots(Checker):
    name = "ballots"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._began: dict[EndToEndId, str] = {}
        self._answered: set[tuple[EndToEndId, Ballot, Ispb]] = set()
        """Whose answers under a ballot have reached its owner."""
        self._owner: dict[tuple[EndToEndId, Ballot], str] = {}
        self._decision: dict[tuple[EndToEndId, Ballot], Decision] = {}
        self._promised: dict[tuple[EndToEndId, Ballot], list[tuple[Ballot, Decision] | None]] = {}
        """What the promises under a ballot said to its owner, in the order in which they arrived."""
        self._own_promise: dict[tuple[EndToEndId, Ballot], set[tuple[Ballot, Decision] | None]] = {}
        """What its owner may have accepted when it promised a ballot to itself: nearly always one thing."""

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        match question:
            case Prepare():
                began = self._began.setdefault(question.header.id, process)
                if began != process:
                    self._wrong(question.header.id, f"was begun by {began}, and {process} prepares it")
            case Ask(ballot=Ballot() as ballot):
                self._own(question.header.id, ballot, process)
                record = self.world.record(sender, question.header.id)
                if record is None or (
                    not record.state.decided and (record.promised is None or record.promised < ballot)
                ):
                    self._wrong(question.header.id, f"is asked for under {ballot}, which is not written down")
                self._own_promise.setdefault((question.header.id, ballot), _accepted_before(record, ballot))
                # A question that was not heard, for its signature was refused, is said once more in the same attempt.
                if (question.header.id, ballot, receiver) in self._answered:
                    self._wrong(question.header.id, f"is asked for twice under {ballot}")
            case Propose():
                self._proposed(process, question)
            case _:
                pass

    def _proposed(self, process: str, question: Propose) -> None:
        payment, ballot = question.header.id, question.ballot
        self._own(payment, ballot, process)
        if ballot.round == 0 and self._began.get(payment) != process:
            self._wrong(payment, f"was begun by {self._began.get(payment)}, and {process} uses round 0")
        if ballot.round == 0 and ballot.bank != coordinator_of(payment):
            self._wrong(payment, "has another bank's ballot in round 0")
        first = self._decision.setdefault((payment, ballot), question.decision)
        if first is not question.decision:
            self._wrong(
                payment, f"is proposed to be {first.value} and {question.decision.value} under {ballot}"
            )
        if ballot.round > 0 and question.decision not in self._allowed(question):
            words = f"is proposed to {question.decision.value} by a recovery"
            self._wrong(payment, f"{words}, and no majority of the promises that it heard says so")

    def _own(self, payment: EndToEndId, ballot: Ballot, process: str) -> None:
        owner = self._owner.setdefault((payment, ballot), process)
        if owner != process:
            self._wrong(payment, f"has one ballot in two processes, {owner} and {process}")

    def on_delivered(self, process: str, answering: Ispb, question: Question, answer: Answer) -> None:
        if isinstance(question, Ask) and question.ballot is not None:
            self._answered.add((question.header.id, question.ballot, answering))
        if isinstance(answer, Promised):
            self._promised.setdefault((answer.id, answer.ballot), []).append(answer.accepted)

    def _allowed(self, question: Propose) -> set[Decision]:
        """What a recovery may propose, after the first majority of promises that it heard, or after more of them."""
        ballot, witnesses = question.ballot, question.header.witnesses
        heard = list(self._promised.get((question.header.id, ballot), []))
        if ballot.bank not in witnesses:
            return self._majorities(heard, len(witnesses))
        own = self._own_promise.get((question.header.id, ballot), {None})
        return {word for one in own for word in self._majorities([one, *heard], len(witnesses))}

    def _majorities(self, heard: list[tuple[Ballot, Decision] | None], witnesses: int) -> set[Decision]:
        allowed = set()
        for count in range(witnesses // 2 + 1, len(heard) + 1):
            accepted = max((one for one in heard[:count] if one is not None), default=None)
            allowed.add(Decision.ABORT if accepted is None else accepted[1])
        return allowed

    def _wrong(self, payment: EndToEndId, what: str) -> None:
        self.broken(f"{self.world.transcript.label(payment)} {what}")


def _accepted_before(record: Record | None, ballot: Ballot) -> set[tuple[Ballot, Decision] | None]:
    """What a bank can have said to itself under `ballot`, going by its record as the first question leaves.

    It may accept under a higher ballot while its own questions are on their way, and then its record tells no longer what
    it had accepted before; what it proposes still rests on what it promised.
    """
    if record is None or record.accepted is None:
        return {None}
    if record.accepted[0] < ballot:
        return {record.accepted}
    return {None, (Ballot(0, ballot.bank, 0), Decision.COMMIT)}
