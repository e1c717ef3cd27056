"""What must hold, whatever happens; one family of rules a file."""

from ciranda.simulator.checkers.all_signed import AllSigned
from ciranda.simulator.checkers.ballots import Ballots
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.checkers.doubt_ends import DoubtEnds
from ciranda.simulator.checkers.durable_first import DurableFirst
from ciranda.simulator.checkers.every_yes import EveryYes
from ciranda.simulator.checkers.majority import Majority
from ciranda.simulator.checkers.no_violations import NoViolations
from ciranda.simulator.checkers.one_decision import OneDecision
from ciranda.simulator.checkers.one_effect import OneEffect
from ciranda.simulator.checkers.positions import Positions
from ciranda.simulator.checkers.right_balances import RightBalances
from ciranda.simulator.checkers.right_limits import RightLimits
from ciranda.simulator.checkers.same_answer import PromisesRise, SameAnswer
from ciranda.simulator.checkers.told_is_true import ToldIsTrue
from ciranda.simulator.checkers.whole_books import WholeBooks
from ciranda.simulator.checkers.whole_chains import WholeChains

CHECKERS: tuple[type[Checker], ...] = (
    Ballots,
    OneDecision,
    DurableFirst,
    SameAnswer,
    PromisesRise,
    Majority,
    EveryYes,
    NoViolations,
    WholeBooks,
    ToldIsTrue,
    OneEffect,
    Positions,
    DoubtEnds,
    RightBalances,
    RightLimits,
    AllSigned,
    WholeChains,
)

__all__ = ["CHECKERS", "Checker"]
