"""A bank with a past beside a new one, tiny."""

import asyncio
import io

from rich.console import Console

from bench.growth import NEW, OLD, grow, show


def test_an_old_bank_is_measured_beside_a_new_one() -> None:
    told: list[str] = []
    growth = asyncio.run(
        grow(accounts=200, payments=1_500, young=100, seconds=0.3, runs=1, tell=told.append, grow_s=0.2)
    )
    assert growth.payments >= 1_500
    assert list(growth.runs) == [NEW, OLD]
    assert all(runs[0].outcomes["201"] > 0 for runs in growth.runs.values())
    page = io.StringIO()
    show(growth, Console(file=page, width=120))
    assert "× the CPU time of a new bank's" in page.getvalue()
