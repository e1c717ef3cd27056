"""The comparison: Ciranda and a peer side by side, and the arithmetic of the ratios."""

import io
import re

from rich.console import Console

from bench.compare import Figures, compare, medians, ratios, show


def figures(rate: float, p99_ms: float | None = 1.0) -> Figures:
    return Figures(rate=rate, p50_ms=p99_ms, p99_ms=p99_ms, cpu_us=100, load_us=10)


def test_ciranda_and_a_peer_are_measured_in_turn_and_divided() -> None:
    told: list[str] = []
    only = ("echo_litestar", "inside, SQLite", "between, SQLite")
    done = compare(seconds=0.3, runs=1, connections=4, accounts=20, only=only, tell=told.append)
    assert set(done.runs) == set(only)
    assert [line.split(": ")[1].split(" ")[0] for line in told if line.startswith("round 1")] == [
        name.split(" ")[0] for name in done.runs
    ]
    rate = {name: runs[0].rate for name, runs in done.runs.items()}
    quotients = {(ratio.ours, ratio.theirs): ratio.median for ratio in done.ratios}
    assert quotients == {
        (ours, "echo_litestar"): rate[ours] / rate["echo_litestar"]
        for ours in only
        if ours != "echo_litestar"
    }
    page = io.StringIO()
    show(done, Console(file=page, width=120))
    for ours, theirs in quotients:
        assert re.search(rf"^ ?{ours} ÷ {theirs} +\d", page.getvalue(), re.MULTILINE)


def test_a_ratio_is_taken_within_each_round() -> None:
    # In the second round the machine was half as fast, for both.
    (ratio,) = ratios(
        {
            "between, SQLite": [figures(400), figures(200), figures(500)],
            "xa": [figures(100), figures(50), figures(100)],
        }
    )
    assert (ratio.median, ratio.lowest, ratio.highest, ratio.target) == (4, 4, 5, 4)
    assert ratio.by_cpu == 1, "each took as much CPU time for a payment as the other"


def test_what_was_not_told_has_no_median() -> None:
    middle = medians([figures(1, None), figures(3, None), figures(2, None)])
    assert (middle.rate, middle.p99_ms) == (2, None)


def test_nothing_is_divided_by_what_was_not_measured() -> None:
    assert ratios({"between, SQLite": [figures(1)]}) == []
