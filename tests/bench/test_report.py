"""Medians, tables and pictures of figures that were made up."""

import xml.etree.ElementTree as ET
from array import array

import pytest
from rich.console import Console

from ciranda.bench.conditions import Conditions
from ciranda.bench.figures import Figures, medians
from ciranda.bench.load import Answers, Load
from ciranda.bench.measure import Cost, Usage, _average, _since
from ciranda.bench.report import Report, html, svg, tables
from ciranda.bench.request import Sender, batch_outcome, outcome, transfer
from ciranda.bench.workloads.killed import REFUSED, _changes, _per_second

SECOND = 1_000_000_000


def made_up(rate: float, *, name: str = "inside <b>", more: dict[str, float] | None = None) -> Figures:
    return Figures(
        workload=name,
        loop="closed, 64 connections",
        payments_per_s=rate,
        p50_ms=1.0,
        p95_ms=2.0,
        p99_ms=3.0,
        p100_ms=rate / 100,
        outcomes={"201": int(rate)},
        generator_us_per_request=20.0,
        cost=Cost(
            cpu_us_per_payment={"ipe": 150.0, "generator": 20.0},
            written_bytes_per_payment={"ipe": 20_000.0},
            stored_bytes_per_payment=700.0,
            durable_writes_per_payment={"ipe": 0.03},
            inputs_per_batch={"ipe": 33.0},
            rss_mib={"ipe": 120.0, "generator": 90.0},
        ),
        more=more or {},
        timeline={"aside": [rate, rate, 0.0]},
    )


def report(*workloads: Figures) -> Report:
    return Report(
        conditions=Conditions(
            date="2026-11-23T12:00:00Z",
            cpu="A & B",
            cores=2,
            memory_mib=4096,
            load_average=[0.1, 0.2, 0.3],
            system="Linux",
            python="3.11",
            ciranda="0.1.0",
            database="SQLite 3.40",
            durability="synchronous=FULL",
            filesystem="ext4",
        ),
        runs=3,
        accounts={one.workload: 1000 for one in workloads},
        workers=1,
        seconds=5.0,
        workloads=list(workloads),
    )


def test_of_several_runs_each_figure_is_the_median() -> None:
    runs = [made_up(100.0, more={"x": 1.0}), made_up(300.0, more={"x": 2.0, "y": 7.0}), made_up(200.0)]
    median = medians(runs)
    assert median.payments_per_s == 200.0
    assert median.p100_ms == 2.0
    assert median.outcomes == {"201": 200}
    assert median.more == {"x": 1.5, "y": 7.0}
    assert median.timeline == {"aside": [200.0, 200.0, 0.0]}
    assert median.workload == "inside <b>"
    assert medians(runs[:1]) is runs[0]


def test_the_tables_say_the_conditions_and_the_figures() -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(tables(report(made_up(1234.0, more={"ready_after_ms": 2.5}))))
    shown = capture.get()
    for words in (
        "A & B",
        "synchronous=FULL",
        "median of 3 runs",
        "1,234",
        "20,000",
        "0.030",
        "ready after ms",
    ):
        assert words in shown


def test_the_picture_is_well_formed_and_asks_nobody_for_anything() -> None:
    drawn = svg(report(made_up(100.0), made_up(0.0, name="nothing")))
    texts = [element.text or "" for element in ET.fromstring(drawn).iter()]
    assert "inside <b>" in texts
    assert "nothing" in texts
    page = html(report(made_up(100.0)))
    assert "<svg" in page
    for word in ("<script", "<link", "<img", "@import", "url("):
        assert word not in page
    assert page.count("http") == 1, "the name of SVG's namespace"


def test_a_process_that_was_started_in_between_used_only_what_it_used_since() -> None:
    before = Usage(pids=[1, 2], cpu_s=5.0, written=100, rss=1)
    same = Usage(pids=[1, 3], cpu_s=7.0, written=150, rss=2)
    assert _since(before, same) == Usage(pids=[1, 3], cpu_s=2.0, written=50, rss=2)
    other = Usage(pids=[9], cpu_s=1.0, written=10, rss=2)
    assert _since(before, other) == other
    assert _since(None, other) == other
    assert _average((10, 100), (20, 400)) == 30
    assert _average((0, 0), (0, 0)) == 0


def test_requests_are_whole_and_no_key_is_used_twice() -> None:
    one = transfer(b"a", b"b", 5)
    assert one == b'{"source":"a","target":"b","amount":5}'
    assert transfer(b"a", b"b", 5, b"m") == b'{"source":"a","target":"b","amount":5,"mandate":"m"}'
    whole = Sender().payment(1, b"token", one, one)
    head, _, body = whole.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert whole != Sender().payment(1, b"token", one, one)
    head, _, body = Sender().batch(1, b"token", [one, one]).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.count(b'"key":') == 2


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, b'{"id":"E1","status":"settled"}', "201"),
        (422, b'{"type":"x","code":"insufficient_funds"}', "422 insufficient_funds"),
        (202, b'{"id":"E1"}', "202"),
        (503, b"", "503"),
    ],
)
def test_an_outcome_is_the_status_and_the_code(status: int, body: bytes, expected: str) -> None:
    assert outcome(status, body) == expected


def test_a_batch_is_done_when_all_of_it_is_settled() -> None:
    of_two = batch_outcome(2)
    assert of_two(200, b'{"status":"settled"},{"status":"settled"}') == "200"
    assert of_two(200, b'{"status":"settled"},{"status":"refused"}') == "200 with refusals"
    assert of_two(503, b'{"code":"overloaded"}') == "503 overloaded"


def test_what_a_death_changes_is_told_from_when_answers_came() -> None:
    def load(**answers: list[tuple[float, int]]) -> Load:
        made = Load(done=frozenset({"201"}))
        for name, came in answers.items():
            made.answers[name] = Answers(
                latencies=array("q", [ms * 1_000_000 for _, ms in came]),
                at=array("q", [int(at * SECOND) for at, _ in came]),
            )
        return made

    aside = load(**{"201": [(0.5, 1), (0.9, 1), (1.5, 1), (2.5, 1)]})
    touched = load(**{"201": [(0.5, 1), (2.75, 1)], REFUSED: [(1.25, 8), (1.75, 2)]})
    changes = _changes(aside, touched, SECOND, 2 * SECOND, int(2.5 * SECOND))
    assert changes["aside_before_per_s"] == 2
    assert changes["aside_during_of_before"] == 0.5
    assert changes["refusal_p50_ms"] == 2
    assert changes["refusal_p100_ms"] == 8
    assert changes["first_refusal_after_ms"] == 250
    assert changes["ready_after_ms"] == 500
    assert changes["settled_again_after_ms"] == 750
    never = _changes(aside, load(**{"201": [(0.5, 1)]}), SECOND, 2 * SECOND, int(2.5 * SECOND))
    assert never.keys().isdisjoint({"first_refusal_after_ms", "settled_again_after_ms"})
    assert _per_second(array("q", [0, SECOND // 5, SECOND]), 1.0) == [8.0, 0.0, 0.0, 0.0]
