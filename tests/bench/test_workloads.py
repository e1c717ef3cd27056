"""Every workload, tiny, against real banks: it settles payments, its figures are there, and the books balance."""

import asyncio
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from ciranda.bench.campaign import Campaign, measure
from ciranda.bench.circle import Circle, NotBalanced
from ciranda.bench.figures import Figures
from ciranda.bench.measure import GENERATOR
from ciranda.bench.report import Report
from ciranda.bench.workloads import WORKLOADS
from ciranda.bench.workloads.batch import SIZE
from ciranda.bench.workloads.killed import VICTIM
from ciranda.bench.workloads.mixed import REFUSED
from ciranda.cli.measuring import TOOLS
from ciranda.roster import Roster

ACCOUNTS, CONNECTIONS, SECONDS = 50, 4, 0.5


@pytest.fixture(scope="module")
def report() -> Report:
    """Of one campaign over all of them. It would not be there if an audit had found anything."""
    audits: list[Path] = []

    async def audit(folder: Path, roster: Roster) -> str | None:
        audits.append(folder)
        return await TOOLS.audit(folder, roster)

    campaign = Campaign(
        workloads=list(WORKLOADS.values()),
        seconds=SECONDS,
        warm_up=0.1,
        connections=CONNECTIONS,
        accounts=ACCOUNTS,
    )
    said: list[str] = []
    measured = uvloop.run(measure(campaign, replace(TOOLS, audit=audit), said.append))
    assert len(audits) == len(WORKLOADS)
    assert all(any(name in line for line in said) for name in WORKLOADS)
    assert not any(folder.exists() for folder in audits), "nothing is left behind"
    return measured


@pytest.fixture(params=WORKLOADS)
def figures(request: pytest.FixtureRequest, report: Report) -> Figures:
    return next(one for one in report.workloads if one.workload == request.param)


def test_it_settles_payments_and_says_how_fast(figures: Figures) -> None:
    assert figures.payments_per_s > 0
    assert 0 < figures.p50_ms <= figures.p95_ms <= figures.p99_ms <= figures.p100_ms
    settled = sum(count for name, count in figures.outcomes.items() if name.endswith(("201", "200")))
    assert settled > 0


def test_it_says_what_each_process_used_for_a_payment(figures: Figures) -> None:
    workload, cost = WORKLOADS[figures.workload], figures.cost
    banks = set(TOOLS.slugs[: workload.banks])
    assert cost.cpu_us_per_payment.keys() == cost.rss_mib.keys() == banks | {GENERATOR}
    assert cost.durable_writes_per_payment.keys() == cost.inputs_per_batch.keys() == banks
    assert cost.cpu_us_per_payment[TOOLS.slugs[0]] > 0
    assert all(mib > 10 for mib in cost.rss_mib.values())
    assert figures.generator_us_per_request > 0
    # Several payments may share a durable write, and a bank takes part in a payment with three at most.
    assert all(0 < writes <= 4 for writes in cost.durable_writes_per_payment.values())
    # The bank that was killed has counted from 0 again, and may have written nothing since.
    away = {TOOLS.slugs[VICTIM]} if figures.workload == "killed" else set()
    assert all(inputs >= 1 for bank, inputs in cost.inputs_per_batch.items() if bank not in away)


def test_nothing_is_refused_but_what_ought_to_be(figures: Figures) -> None:
    expected = {
        "batch": {"200"},
        "mixed": {"201", REFUSED},
        "killed": {
            "aside: 201",
            "touching: 201",
            "touching: 202",
            "touching: 422 bank_unreachable",
            "touching: 422 deadline_passed",
        },
    }
    assert figures.outcomes.keys() <= expected.get(figures.workload, {"201"})


def test_a_batch_counts_as_the_payments_in_it(report: Report) -> None:
    figures = of(report, "batch")
    assert figures.payments_per_s >= SIZE * figures.outcomes["200"] / SECONDS / 4
    assert figures.cost.inputs_per_batch["ipe"] > 100
    assert figures.cost.durable_writes_per_payment["ipe"] < 0.1


def test_one_payment_of_a_hundred_is_refused_in_the_mix(report: Report) -> None:
    outcomes = of(report, "mixed").outcomes
    assert outcomes[REFUSED] == pytest.approx(sum(outcomes.values()) / 100, abs=1.5)


def test_while_a_bank_is_away_others_are_paid_and_it_is_refused_to(report: Report) -> None:
    figures = of(report, "killed")
    assert figures.more["aside_during_per_s"] > 0
    assert figures.outcomes["touching: 422 bank_unreachable"] > 0
    assert figures.more["first_refusal_after_ms"] > 0
    assert figures.more["refusal_p50_ms"] > 0
    assert sum(figures.timeline["touching, refused"]) > 0
    assert {len(rates) for rates in figures.timeline.values()} == {6}


def test_an_overloaded_bank_is_asked_for_three_times_what_it_can_do(report: Report) -> None:
    figures = of(report, "overload")
    asked = sum(figures.outcomes.values()) / SECONDS
    assert asked == pytest.approx(3 * figures.more["maximum_per_s"], rel=0.1)
    assert figures.more["rss_most_mib"] >= figures.more["rss_before_mib"] > 10


def test_latency_is_measured_at_half_of_the_maximum(report: Report) -> None:
    for name in ("latency", "latency-between"):
        assert of(report, name).loop.startswith("open at ")


def test_books_that_do_not_balance_end_it() -> None:
    async def audit(_folder: Path, _roster: Roster) -> str | None:
        return "I1: one centavo is missing"

    circle = Circle(
        folder=Path(),
        banks=[],
        workers=1,
        server=None,
        roster=None,  # type: ignore[arg-type]
        tools=replace(TOOLS, audit=audit),
    )
    with pytest.raises(NotBalanced, match="one centavo is missing"):
        asyncio.run(circle.audit())


def of(report: Report, workload: str) -> Figures:
    return next(figures for figures in report.workloads if figures.workload == workload)
