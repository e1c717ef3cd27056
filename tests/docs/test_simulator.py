"""SIMULATOR.md says which scenarios, settings and checkers there are, and there are no others."""

import re
import tomllib
from typing import Any, get_args

import msgspec
import pytest

from ciranda.simulator.checkers import CHECKERS
from ciranda.simulator.faults import AnyFault
from ciranda.simulator.scenario import Consortium, Scenario, Storm, load, read, shipped
from ciranda.simulator.workloads import AnyWorkload
from ciranda.simulator.world import CALM_S
from tests.docs import pages

SIMULATOR = "docs/SIMULATOR.md"


def toml(value: Any) -> str:
    """The value as one would write it."""
    match value:
        case tuple():
            return f"[{', '.join(toml(item) for item in value)}]"
        case str():
            return f'"{value}"'
        case _:
            return repr(value)


def settings(kind: type[msgspec.Struct], shared: str = "") -> dict[str, str]:
    """The settings of a struct with their defaults. `shared`: the one that the page names for all kinds at once."""
    return {
        field.encode_name: "" if field.default is msgspec.NODEFAULT else toml(field.default)
        for field in msgspec.structs.fields(kind)
        if field.encode_name != shared
    }


def told(heading: str) -> list[list[str]]:
    """The rows of the table in a section, without their last cells."""
    return [[cell.strip("`") for cell in row[:-1]] for row in pages.rows(pages.section(SIMULATOR, heading))]


@pytest.mark.parametrize(("heading", "kind"), [("### [consortium]", Consortium), ("### [storm]", Storm)])
def test_every_setting_of_a_scenario_is_in_its_table_with_its_default(
    heading: str, kind: type[msgspec.Struct]
) -> None:
    assert dict(told(heading)) == settings(kind)


def test_a_scenario_has_no_other_parts() -> None:
    parts = {field.encode_name for field in msgspec.structs.fields(Scenario)}
    assert parts == {"name", "about", "consortium", "storm", "workload", "fault"}


@pytest.mark.parametrize(
    ("heading", "kinds", "shared"),
    [("### [[workload]]", AnyWorkload, "share"), ("### [[fault]]", AnyFault, "chance")],
)
def test_every_kind_is_in_its_table_with_every_setting_and_its_default(
    heading: str, kinds: Any, shared: str
) -> None:
    expected = []
    for kind in sorted(get_args(kinds), key=lambda kind: str(kind.__struct_config__.tag)):
        tag = kind.__struct_config__.tag
        expected += [[tag, "", ""], *([tag, *one] for one in sorted(settings(kind, shared).items()))]
        assert settings(kind)[shared] == "1.0"
    assert told(heading) == expected
    assert f"Each has `{shared}`, 1.0 unless" in pages.section(SIMULATOR, heading)


def test_the_example_of_a_scenario_can_be_read() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", pages.text(SIMULATOR), re.DOTALL | re.MULTILINE)
    assert read(example).name == tomllib.loads(example)["name"]


def test_every_scenario_is_listed_with_what_it_is_about() -> None:
    rows = pages.rows(pages.section(SIMULATOR, "## Scenarios"))
    assert {row[0].strip("`"): row[1] for row in rows} == {name: load(name).about for name in shipped()}


def test_every_checker_is_listed_in_order_with_sentences_that_are_written() -> None:
    rows = pages.rows(pages.section(SIMULATOR, "## Checkers"))
    assert [row[0].strip("`") for row in rows] == [checker.name for checker in CHECKERS]
    written = set(re.findall(r"\*\*(\d\.\d|I\d)\*\*", pages.text("docs/PROTOCOL.md")))
    assert {sentence for row in rows for sentence in row[1].split(", ")} <= written
    named = pages.named(pages.section(SIMULATOR, "## Checkers"))
    for path in (pages.ROOT / "src/ciranda/simulator").rglob("*.py"):
        ended = set(re.findall(r"(?:\.fail|Failure)\(\s*\"([a-z ]+)\"", path.read_text()))
        assert ended <= named, path


def test_every_invariant_names_its_checkers() -> None:
    names = {checker.name for checker in CHECKERS}
    rows = {
        row[0].strip("*"): row[2]
        for row in pages.rows(pages.section("docs/PROTOCOL.md", "## 7. What must hold"))
    }
    watched: dict[str, set[str]] = {}
    for row in pages.rows(pages.section(SIMULATOR, "## Checkers")):
        for sentence in row[1].split(", "):
            watched.setdefault(sentence, set()).add(row[0].strip("`"))
    for invariant, where in rows.items():
        said = set(re.findall(r"\*([a-z ]+)\*", where))
        assert said <= names
        assert said >= watched[invariant], invariant


def test_the_calm_lasts_as_long_as_it_says() -> None:
    assert f"Within {CALM_S:.0f} virtual seconds" in pages.text(SIMULATOR)
