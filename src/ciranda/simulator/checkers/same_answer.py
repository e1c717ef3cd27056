"""I8: no question makes a bank change an answer, except from undecided to decided; and promises only rise."""

from typing import TYPE_CHECKING

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import Accepted, Answer, Decided, Outbid, Promised, Question, Vote
from ciranda.identity import EndToEndId, Ispb
from ciranda.simulator.checkers.checker import Checker

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class SameAnswer(Checker):
    name = "same answer"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._votes: dict[tuple[Ispb, EndToEndId], str] = {}
        self._decided: dict[tuple[Ispb, EndToEndId], str] = {}

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        match answer:
            case Vote():
                vote = "yes" if answer.refusal is None else f"no, {answer.refusal.code.value}"
                if vote != "yes" and self._votes.get((sender, answer.id)) == "yes":
                    # Aborted meanwhile, as the others have decided.
                    del self._votes[sender, answer.id]
                self._same(self._votes, sender, answer.id, vote)
            case Decided():
                self._same(self._decided, sender, answer.id, answer.decision.value)
            case _:
                pass

    def _same(
        self, said: dict[tuple[Ispb, EndToEndId], str], bank: Ispb, payment: EndToEndId, now: str
    ) -> None:
        before = said.setdefault((bank, payment), now)
        if before != now and payment not in self.world.lies:
            name, label = self.world.banks[bank].name, self.world.transcript.label(payment)
            self.broken(f"{name} answered {before} about {label}, and now {now}")


class PromisesRise(Checker):
    """4.2 and 4.3: what a witness promised or accepted, it never goes below. It is watched in the order of the writes,
    which the disk knows: answers may overtake each other."""

    name = "promises rise"
    watches_commits = True

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._promised: dict[tuple[Ispb, EndToEndId], Ballot] = {}

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        """A witness that shows a promise must still have it, or a higher one."""
        if isinstance(answer, Promised | Accepted | Outbid) and answer.id not in self.world.lies:
            record = self.world.record(sender, answer.id)
            if record is None or (
                not record.state.decided and (record.promised is None or record.promised < answer.ballot)
            ):
                name, label = self.world.banks[sender].name, self.world.transcript.label(answer.id)
                self.broken(f"{name} showed a promise for {label} that its disk does not have")
            elif not record.state.decided and record.promised is not None:
                key = (sender, answer.id)
                before = self._promised.get(key)
                if before is not None and record.promised < before:
                    name, label = self.world.banks[sender].name, self.world.transcript.label(answer.id)
                    self.broken(f"the promise of {name} for {label} has sunk")
                self._promised[key] = record.promised
