"""Whole consortia under faults: nothing that must hold is ever broken."""

import tomllib
from pathlib import Path

import pytest

from ciranda.simulator.run import simulate
from ciranda.simulator.scenario import load, shipped

KEPT = tomllib.loads((Path(__file__).parent / "kept_seeds.toml").read_text())["kept"]
FRESH = 5
"""Seeds of each scenario in every test run. Thousands are for `ciranda simulate --seeds`."""


@pytest.mark.parametrize("seed", range(1, FRESH + 1))
@pytest.mark.parametrize("scenario", shipped())
def test_a_scenario_breaks_nothing(scenario: str, seed: int) -> None:
    result = simulate(load(scenario), seed)
    assert result.checker is None, f"{result.checker}: {result.what}\n{result.transcript[-4_000:]}"
    assert result.orders >= load(scenario).storm.payments
    assert result.outcomes.get("settled", 0) > 0


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: f"{kept['scenario']}-{kept['seed']}")
def test_a_mistake_that_was_mended_stays_mended(kept: dict[str, object]) -> None:
    result = simulate(load(str(kept["scenario"])), int(str(kept["seed"])))
    assert result.checker is None, f"{result.checker}: {result.what}"


def test_a_bank_that_was_put_back_always_notices() -> None:
    noticed = 0
    for seed in range(1, FRESH + 1):
        lines = simulate(load("put_back"), seed, keep_transcript=True).transcript.splitlines()
        strikes = sum("its database is put back" in line for line in lines)
        refusals = sum("refuses to go on" in line for line in lines)
        assert strikes == 0 or refusals > 0, f"seed {seed}"
        noticed += refusals > 0
    assert noticed >= FRESH // 2, "the fault must strike often enough to mean something"


def test_a_bank_that_is_gone_for_ever_holds_nobody_up() -> None:
    scenario = load("gone")
    gone = 0
    for seed in range(1, FRESH + 1):
        result = simulate(scenario, seed)
        assert result.checker is None, result.what
        gone += result.faults.get("gone", 0)
    assert gone == FRESH
