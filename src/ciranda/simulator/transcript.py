"""What happened, in the order in which it happened, for a person to read: the same lines for the same seed."""

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import (
    Accepted,
    Answer,
    Ask,
    Decided,
    Done,
    Outbid,
    Prepare,
    Probe,
    Promised,
    Propose,
    Question,
    Tell,
    Up,
    Violated,
    Vote,
)
from ciranda.identity import EndToEndId


class Transcript:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._labels: dict[EndToEndId, str] = {}
        self.ended = False
        """Nothing that happens now belongs to the story."""

    def add(self, time: float, who: str, what: str) -> None:
        if not self.ended:
            self._lines.append(f"{time:10.4f}  {who:<18}  {what}")

    def label(self, payment: EndToEndId) -> str:
        """A short name for a payment: p1, p2, … in the order in which they are first heard of."""
        label = self._labels.get(payment)
        if label is None:
            label = self._labels[payment] = f"p{len(self._labels) + 1}"
        return label

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    # Words for messages. Probes are left out: they are many, and change nothing.

    def question(self, question: Question) -> str | None:
        match question:
            case Prepare():
                return f"Prepare {self.label(question.header.id)}"
            case Propose():
                number = _ballot(question.ballot)
                return f"Propose {self.label(question.header.id)} {question.decision.value} under {number}"
            case Ask():
                under = "" if question.ballot is None else f" under {_ballot(question.ballot)}"
                return f"Ask {self.label(question.header.id)}{under}"
            case Tell():
                return f"Tell {self.label(question.id)} {question.decision.value}"
            case Probe():
                return None
            case _:
                return type(question).__name__

    def answer(self, question: Question, answer: Answer) -> str | None:
        match answer:
            case Vote():
                vote = "yes" if answer.refusal is None else f"no, {answer.refusal.code.value}"
                return f"Vote {self.label(answer.id)} {vote}"
            case Accepted():
                return f"Accepted {self.label(answer.id)} under {_ballot(answer.ballot)}"
            case Promised():
                before = "nothing accepted before"
                if answer.accepted is not None:
                    before = f"accepted {answer.accepted[1].value} under {_ballot(answer.accepted[0])} before"
                return f"Promised {self.label(answer.id)} under {_ballot(answer.ballot)}, {before}"
            case Outbid():
                return f"Outbid {self.label(answer.id)} by {_ballot(answer.ballot)}"
            case Decided():
                return f"Decided {self.label(answer.id)} {answer.decision.value}"
            case Done():
                return f"Done {self.label(answer.id)}"
            case Violated():
                return f"Violated: {answer.reason}"
            case Up():
                return None
            case _:
                asked = self.question(question)
                return f"{type(answer).__name__} to {asked}"


def _ballot(ballot: Ballot) -> str:
    return f"{ballot.round}/{ballot.bank}/{ballot.nonce:016x}"
