"""The banks that tests are given, and their logs when a test fails."""

from collections.abc import Generator, Iterator

import pytest

from tests.system.consortium import RUNNING, Consortium, consortium


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Five banks, shared by a file's tests, which leave them running and give back no money."""
    with consortium(tmp_path_factory.mktemp("circle") / "banks", banks=5) as banks:
        yield banks


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for banks in RUNNING:
            report.sections += [(f"log of {bank.slug}", bank.tail()) for bank in banks.banks]
    return report
