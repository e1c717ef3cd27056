"""`ciranda simulate`, as a person meets it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ciranda.cli.main import app
from tests.simulator.faults import FAULTS


def command(*words: str) -> Result:
    return CliRunner().invoke(app, ["simulate", *words])


def test_it_says_what_was_run_and_that_nothing_was_broken() -> None:
    result = command("--scenario", "calm", "--seeds", "2", "--jobs", "1")
    assert result.exit_code == 0
    assert "Scenario calm: 2 seeds" in result.stdout
    assert "No violation." in result.stdout


def test_it_speaks_json() -> None:
    result = command("--scenario", "calm", "--seeds", "2", "--jobs", "1", "--json")
    answer = json.loads(result.stdout)
    assert (answer["seeds"], answer["payments"] >= 160, answer["violations"]) == (2, True, [])


def test_a_failure_comes_with_the_command_that_repeats_it_and_a_transcript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fault = next(fault for fault in FAULTS if "every yes" in fault.name)
    with fault.in_the_code():
        result = command("--seeds", "3", "--jobs", "1")
        assert result.exit_code == 1
        again = result.stderr.split("Again: ciranda ")[1].split()
        assert again[:3] == ["simulate", "--scenario", "everything"]
        assert "--without" in again
        assert command(*again[1:]).exit_code == 1
    (file,) = tmp_path.glob("simulate-everything-*.txt")
    assert "VIOLATION" in file.read_text().splitlines()[-1] or "VIOLATION" in file.read_text()
    assert command(*again[1:]).exit_code == 0


def test_the_scenarios_are_listed() -> None:
    result = command("--list")
    assert result.exit_code == 0
    assert "everything" in result.stdout
    assert "duels" in result.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--scenario", "nowhere"], "no scenario"),
        (["--without", "rain"], "has no fault rain"),
        (["--transcript", "file.txt"], "name it with --seed"),
    ],
)
def test_what_is_mistyped_is_explained(words: list[str], complaint: str) -> None:
    result = command(*words)
    assert result.exit_code == 2
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "Invalid value"),
        ('name = "x"', "workload"),
        ('name = "x"\nworkload = []', "no workload"),
        ('name = "x"\n[consortium]\nbanks = [1, 9]\n[[workload]]\nkind = "inside"', "2 to 7 banks"),
        ('name = "x"\n[[workload]]\nkind = "rain"', "rain"),
        ('name = "x"\n[[workload]]\nkind = "inside"\n[[fault]]\nkind = "loss"\nrates = [0, 1]', "rates"),
    ],
)
def test_a_scenario_that_means_nothing_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(text)
    result = command("--scenario", str(file))
    assert result.exit_code == 2
    assert complaint in result.stderr
