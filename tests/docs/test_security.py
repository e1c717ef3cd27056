"""Each line of the threat model names the files that keep it and the tests that try it, and they are there."""

import ast
import re
from functools import cache

import pytest

from tests.docs import pages

SECURITY = "docs/SECURITY.md"

LINES = [
    (threat.splitlines()[0], row)
    for threat in pages.text(SECURITY).split("\n## ")[1:]
    if "| wants |" in threat
    for row in pages.rows(threat)
]


@cache
def _names(file: str) -> set[str]:
    """What a file of tests defines at its top."""
    found = set()
    for node in ast.parse((pages.ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


def test_every_kind_of_attacker_has_lines() -> None:
    assert len({who for who, _ in LINES}) == 10
    assert len(LINES) > 50


@pytest.mark.parametrize(("who", "row"), LINES, ids=[f"{who}: {row[0]}" for who, row in LINES])
def test_a_line_says_what_stops_it_where_and_which_test_tries(who: str, row: list[str]) -> None:
    wants, stops, _what_does_not, where, tests = row
    assert wants
    assert stops
    files = pages.named(where)
    assert files
    assert all((pages.ROOT / file).is_file() for file in files), files
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
    assert named, "each line names its test"
    assert ", ".join(f"`{file}::{test}`" for file, test in named) == tests
    for file, test in named:
        assert test.startswith("test_")
        assert test in _names(file), f"{file} has no {test}"


def test_what_a_line_admits_is_not_left_out_everywhere() -> None:
    """A model in which everything is stopped was not thought through."""
    assert sum(1 for _, row in LINES if row[2]) > len(LINES) / 2
