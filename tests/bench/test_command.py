"""`ciranda bench` as it is typed."""

import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from ciranda.bench.report import Report
from ciranda.bench.workloads import WORKLOADS
from ciranda.cli import measuring
from ciranda.cli.main import app
from ciranda.roster import Roster

TINY = ("--seconds", "0.3", "--accounts", "20", "--connections", "4")


def test_the_workloads_are_listed_with_a_sentence_each() -> None:
    shown = CliRunner().invoke(app, ["bench", "--list"])
    assert shown.exit_code == 0
    for workload in WORKLOADS.values():
        assert re.search(
            rf"^{workload.name} +{workload.banks} +{re.escape(workload.says)}", shown.stdout, re.M
        )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["outside"], "There is no workload outside"),
        (["inside", "--workers", "2"], "Several workers need PostgreSQL"),
        (["inside", "--plot", "figures.png"], ".svg or .html"),
        (["inside", "--database", "postgresql://host/name"], "{slug}"),
        (["inside", "--database", "postgresql://host/{slug}", "--postgres"], "without --postgres"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_started(words: list[str], complaint: str) -> None:
    ended = CliRunner().invoke(app, ["bench", *words])
    assert ended.exit_code == 2
    assert complaint in ended.stderr


def test_medians_go_to_the_terminal_to_a_file_and_into_a_picture(tmp_path: Path) -> None:
    written, drawn = tmp_path / "figures.json", tmp_path / "figures.svg"
    ended = CliRunner().invoke(
        app, ["bench", "inside", "--runs", "2", *TINY, "--json", str(written), "--plot", str(drawn)]
    )
    assert ended.exit_code == 0, ended.output
    assert "median of 2 runs" in ended.stdout
    report = msgspec.json.decode(written.read_bytes(), type=Report)
    assert [figures.workload for figures in report.workloads] == ["inside"]
    assert report.accounts == {"inside": 20}
    assert report.conditions.database.startswith("SQLite")
    assert "synchronous=FULL" in report.conditions.durability
    assert drawn.read_text().startswith("<svg")


def test_on_a_postgresql_of_its_own_the_servers_work_is_counted_too(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    ended = CliRunner().invoke(
        app, ["bench", "inside", "--postgres", "--workers", "2", *TINY, "--json", str(written)]
    )
    assert ended.exit_code == 0, ended.output
    report = msgspec.json.decode(written.read_bytes(), type=Report)
    assert report.conditions.database.startswith("PostgreSQL")
    assert "fsync=on, synchronous_commit=on" in report.conditions.durability
    [figures] = report.workloads
    assert figures.outcomes.keys() == {"201"}
    assert figures.cost.cpu_us_per_payment.keys() == {"ipe", "generator", "postgresql"}
    assert figures.cost.cpu_us_per_payment["postgresql"] > 0
    assert figures.cost.inputs_per_batch["ipe"] >= 1
    assert figures.cost.durable_writes_per_payment["ipe"] > 0


def test_it_fails_when_the_books_do_not_balance(monkeypatch: pytest.MonkeyPatch) -> None:
    async def audit(_folder: Path, _roster: Roster) -> str | None:
        return "I1: one centavo is missing"

    monkeypatch.setattr(measuring, "TOOLS", replace(measuring.TOOLS, audit=audit))
    ended = CliRunner().invoke(app, ["bench", "inside", *TINY])
    assert ended.exit_code == 1
    assert "one centavo is missing" in ended.stderr
