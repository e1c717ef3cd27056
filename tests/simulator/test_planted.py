"""The checkers can see: every careless form of the code is caught, within a stated number of seeds.

A checker that catches none is a defect.
"""

from collections import Counter

import pytest

from ciranda.simulator.checkers import CHECKERS
from ciranda.simulator.run import Result, simulate
from ciranda.simulator.scenario import load
from tests.simulator.faults import FAULTS
from tests.simulator.planting import Planted

CAUGHT: Counter[str] = Counter()


def catch(fault: Planted) -> Result | None:
    """The first seed that shows it."""
    scenario = load(fault.scenario)
    with fault.in_the_code():
        for seed in range(1, fault.within + 1):
            result = simulate(scenario, seed)
            if result.checker is not None:
                return result
    return None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault: Planted) -> None:
    result = catch(fault)
    assert result is not None, f"{fault.within} seeds of {fault.scenario} did not show it"
    assert result.checker != "simulator", result.what
    CAUGHT[str(result.checker)] += 1


def test_every_checker_has_caught_something() -> None:
    if CAUGHT.total() < len(FAULTS):
        pytest.skip("only after all of the planted faults")
    blind = {checker.name for checker in CHECKERS} - set(CAUGHT)
    assert not blind
