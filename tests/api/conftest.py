"""The banks that these tests call."""

from collections.abc import Iterator

import pytest

from tests.api.bank import Door, Pair, pair


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two banks, shared by a file's tests."""
    with pair(tmp_path_factory.mktemp("banks")) as made:
        yield made


@pytest.fixture
def bank(banks: Pair) -> Door:
    return banks.here
