"""The banks that tests are given, and their logs when a test fails."""

from collections.abc import Generator, Iterator

import pytest

from tests.system.consortium import RUNNING, Consortium, consortium


@pytest.fixture(scope="session")
def session_circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    with consortium(tmp_path_factory.mktemp("circle") / "banks", banks=5) as banks:
        yield banks


@pytest.fixture(scope="module")
def circle(session_circle: Consortium) -> Iterator[Consortium]:
    """Five banks that all files share. A test leaves them running."""
    yield session_circle
    session_circle.check_logs()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for banks in RUNNING:
            report.sections += [(f"log of {bank.slug}", bank.tail()) for bank in banks.banks]
    return report
