"""Every answer of a bank that runs is one that its OpenAPI document tells of, whoever asks whatever."""

import re
from collections.abc import Iterator

import pytest

from tests.openapi.conformance import CALLERS, Callers, callers_of, conformance
from tests.system.answers import found
from tests.system.consortium import consortium


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    # Banks of their own: the operator's calls block accounts and set limits.
    with consortium(tmp_path_factory.mktemp("openapi") / "banks", banks=2) as circle:
        yield callers_of(circle.banks[0])


SHORT = ("--phases", "coverage,fuzzing", "--max-examples", "2", "--no-shrink", "--generation-deterministic")
PUBLIC = ("--include-path-regex", "^/(health|metrics|v1/bank|v1/customers$|v1/sessions)")
"""The rest is 401 for nobody: tests/api/test_who_may.py asks all of it."""


@pytest.mark.parametrize("who", CALLERS)
def test_schemathesis_finds_no_answer_that_the_document_does_not_tell_of(callers: Callers, who: str) -> None:
    run = conformance(callers, who, *SHORT, *(PUBLIC if who == "nobody" else ()))
    assert run.returncode == 0, run.stdout + run.stderr
    tried = re.search(r"(\d+) generated", run.stdout)
    assert tried is not None
    assert int(tried[1]) > 100, run.stdout


def test_no_money_was_lost_or_made_by_it(callers: Callers) -> None:
    audit = callers.bank.audit()
    assert audit["sum"] == 0
    assert found(callers.bank.call("GET", "/health/ready")) == {"status": "ready"}
