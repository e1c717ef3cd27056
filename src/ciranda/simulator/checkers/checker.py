"""What all checkers are."""

from typing import TYPE_CHECKING

from ciranda.agreement.message import Answer, Question
from ciranda.identity import Ispb
from ciranda.simulator.clients import Told

if TYPE_CHECKING:
    from ciranda.simulator.bank import SimulatedBank
    from ciranda.simulator.world import World


class Checker:
    """Sees everything, touches nothing, and says `broken` at the first thing that must not be."""

    name = "checker"
    watches_commits = False

    def __init__(self, world: "World") -> None:
        self.world = world

    def broken(self, what: str) -> None:
        self.world.fail(self.name, what)

    def on_asked(self, process: str, sender: Ispb, receiver: Ispb, question: Question) -> None:
        """An honest bank's process has sent a question of the agreement."""

    def on_answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None:
        """`sender` has answered `receiver`."""

    def on_delivered(self, process: str, answering: Ispb, question: Question, answer: Answer) -> None:
        """The answer has reached the process that asked."""

    def on_told(self, told: Told) -> None:
        """A client was told something."""

    def on_commit(self, bank: "SimulatedBank") -> None:
        """Something became durable on the bank's disk. Only for those that watch commits."""

    def at_end(self) -> None:
        """The calm is over."""
