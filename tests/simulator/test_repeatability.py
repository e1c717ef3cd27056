"""One seed does the same every time, wherever it runs."""

import os
import subprocess
import sys

from ciranda.simulator.run import simulate
from ciranda.simulator.scenario import load

PROGRAM = """
from ciranda.simulator.run import simulate
from ciranda.simulator.scenario import load
for seed in range(1, 5):
    print(simulate(load("everything"), seed).digest)
"""


def test_the_same_seed_has_the_same_transcript_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    (lines,) = digests
    assert len(set(lines.split())) == 4, "and other seeds have others"


def test_a_seed_leaves_nothing_behind_for_the_next() -> None:
    scenario = load("everything")
    alone = simulate(scenario, 7).digest
    simulate(scenario, 8)
    assert simulate(scenario, 7).digest == alone


def test_leaving_a_fault_out_changes_nothing_about_when_the_others_strike() -> None:
    scenario = load("everything")
    drawn = [fault.name for fault in scenario.drawn_faults(3)]
    without = [fault.name for fault in scenario.without([drawn[0]]).drawn_faults(3)]
    assert without == drawn[1:]
