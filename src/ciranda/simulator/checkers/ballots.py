"""4.1, 5.3, 6.2: a ballot is one attempt's alone and stands for one decision; round 0 is of the process that began; and
commit is never proposed in a later round unless somebody had accepted it."""

from typing import TYPE_CHECKING

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import Ask, Decision, Prepare, Propose, Question
from ciranda.identity import EndToEndId, Ispb, coordinator_of
from ciranda.simulator.checkers.checker import Checker

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class Ballots(Checker):
    name = "ballots"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._began: dict[EndToEndId, str] = {}
        self._asked: set[tuple[EndToEndId, Ballot, Ispb]] = set()
        self._owner: dict[tuple[EndToEndId, Ballot], str] = {}
        self._decision: dict[tuple[EndToEndId, Ballot], Decision] = {}

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        match question:
            case Prepare():
                began = self._began.setdefault(question.header.id, process)
                if began != process:
                    self._wrong(question.header.id, f"was begun by {began}, and {process} prepares it")
            case Ask(ballot=Ballot() as ballot):
                self._own(question.header.id, ballot, process)
                place = (question.header.id, ballot, receiver)
                if place in self._asked:
                    self._wrong(question.header.id, f"is asked for twice under {ballot}")
                self._asked.add(place)
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
        if ballot.round > 0 and question.decision is Decision.COMMIT and not self._accepted(question):
            self._wrong(payment, "is proposed to commit by a recovery, and no witness had accepted that")

    def _own(self, payment: EndToEndId, ballot: Ballot, process: str) -> None:
        owner = self._owner.setdefault((payment, ballot), process)
        if owner != process:
            self._wrong(payment, f"has one ballot in two processes, {owner} and {process}")

    def _accepted(self, question: Propose) -> bool:
        """Whether any witness's disk has a commit accepted, or decided."""
        for witness in question.header.witnesses:
            record = self.world.record(witness, question.header.id)
            if record is None:
                continue
            if record.state.value == "committed" or (
                record.accepted is not None and record.accepted[1] is Decision.COMMIT
            ):
                return True
        return False

    def _wrong(self, payment: EndToEndId, what: str) -> None:
        self.broken(f"{self.world.transcript.label(payment)} {what}")
