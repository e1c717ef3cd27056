"""The references say what the product has, and the product has what they say."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from typer.core import TyperGroup
from typer.main import get_command

from ciranda import settings
from ciranda.agreement.participant import TABLE
from ciranda.api.app import ROUTES
from ciranda.api.openapi import document
from ciranda.cli.main import app as commands
from ciranda.node.attempts import AttemptRules
from ciranda.node.passwords import PasswordCost
from ciranda.node.people import SessionRules
from ciranda.node.second_factors import SecondFactorRules
from ciranda.refusal import ISO, PRECEDENCE, Code
from ciranda.wire.problem import STATUS
from ciranda.wire.signature import PATH
from tests.docs import diagrams, pages

API, CLI, OPERATING, PROTOCOL = (f"docs/{name}.md" for name in ("API", "CLI", "OPERATING", "PROTOCOL"))

SOURCES = {
    path: path.read_text() for folder in ("src", "tests") for path in (pages.ROOT / folder).rglob("*.py")
}


@pytest.fixture(scope="module")
def api() -> Litestar:
    with warnings.catch_warnings():
        # How path parameters are declared changes with Litestar 3, and pyproject.toml asks for an earlier one.
        warnings.filterwarnings("ignore", message=".*declared using deprecated inferred style")
        return Litestar(ROUTES, openapi_config=None, logging_config=None)


# The API.


def test_every_route_has_its_section_and_every_section_its_route(api: Litestar) -> None:
    routes = {
        f"{method} {route.path_format}"
        for route in api.routes
        for method in getattr(route, "methods", [])
        if method in ("GET", "POST", "PUT", "DELETE")
    }
    assert set(re.findall(r"^### `([A-Z]+ /\S+)`$", pages.text(API), re.MULTILINE)) == routes
    assert f"POST {PATH}" in pages.text(API)


def test_every_field_of_every_body_and_answer_is_named(api: Litestar) -> None:
    shapes: dict[str, Any] = document(api)["components"]["schemas"]
    fields = {field for shape in shapes.values() for field in shape.get("properties", {})}
    assert not fields - pages.named(pages.text(API))


def test_every_word_that_a_field_may_hold_is_named(api: Litestar) -> None:
    shapes: dict[str, Any] = document(api)["components"]["schemas"]
    words = {
        word
        for shape in shapes.values()
        for field in shape.get("properties", {}).values()
        for kind in [field, field.get("items", {}), *field.get("anyOf", [])]
        for word in kind.get("enum", [])
        if word is not None
    }
    assert not words - pages.named(pages.text(API))


def test_every_code_stands_in_the_table_of_problems_with_its_status() -> None:
    told = {
        (code.strip("`"), int(status))
        for status, code, _ in pages.rows(pages.section(API, "### Problems"))
        if code.startswith("`")
    }
    refusals = {code.value for code in Code}
    assert told == {(code, status) for code, status in STATUS.items() if code not in refusals}


def test_every_refusal_stands_in_its_order_with_its_iso_code() -> None:
    told = [tuple(row[:3]) for row in pages.rows(pages.section(API, "### Refusals"))]
    assert told == [(str(PRECEDENCE[code] + 1), f"`{code.value}`", ISO[code]) for code in Code]


# The command line.


def _paths(group: TyperGroup, above: str = "ciranda") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        path = f"{above} {name}"
        found |= _paths(command, path) if isinstance(command, TyperGroup) else {path: command}
    return found


def _all_commands() -> dict[str, Any]:
    group = get_command(commands)
    assert isinstance(group, TyperGroup)
    return _paths(group)


def test_every_command_has_its_section_with_an_example_and_every_section_its_command() -> None:
    told = re.findall(r"^### `(ciranda [a-z -]+)`$", pages.text(CLI), re.MULTILINE)
    assert set(told) == set(_all_commands())
    for command in told:
        assert f"\n{command}" in pages.section(CLI, f"### `{command}`"), command


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_command_in_a_document_exists_with_its_options(page: Any) -> None:
    known = _all_commands()
    for block in pages.shell(page):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.split("#")[0].split()
            if not words or words[0].rpartition("/")[2] != "ciranda":
                continue
            path = max(
                (p for p in known if f"ciranda {' '.join(words[1:])} ".startswith(f"{p} ")), default=None
            )
            assert path is not None, line
            options = {
                option
                for parameter in known[path].params
                for option in [*parameter.opts, *parameter.secondary_opts]
            }
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert used <= options, line


def test_every_variable_of_the_environment_is_in_the_reference() -> None:
    read = {
        name
        for path, source in SOURCES.items()
        if "src" in path.parts
        for name in re.findall(r"\bCIRANDA_[A-Z_]+\b", source)
    }
    told = {row[0].strip("`") for row in pages.rows(pages.section(CLI, "## What all commands share"))}
    assert read == {name for name in told if name.startswith("CIRANDA_")}


# Operating.


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [
        ("### consortium.toml", (settings._ConsortiumFile, settings._BankEntry)),
        (
            "### bank.toml",
            (
                settings._BankFile,
                PasswordCost,
                SessionRules,
                AttemptRules,
                SecondFactorRules,
                settings._Chain,
            ),
        ),
        ("### Limits", (settings._Limits,)),
        ("### The table [tls]", (settings._TlsTable,)),
        ("### The table [peer_tls]", (settings._PeerTlsTable,)),
    ],
)
def test_every_setting_is_in_its_table_with_its_default(heading: str, kinds: tuple[Any, ...]) -> None:
    told = {
        (row[0].strip("`[]").removeprefix("limits."), row[1].strip("`"))
        for row in pages.rows(pages.section(OPERATING, heading))
    }
    for kind in kinds:
        for field in msgspec.structs.fields(kind):
            default = "" if field.default is msgspec.NODEFAULT else str(field.default)
            if field.default is None or field.name in ("credit_limits", "trusted_proxies", "companies"):
                assert field.name in {name for name, _ in told}
            else:
                assert (field.name, default) in told
    fields = {field.name for kind in kinds for field in msgspec.structs.fields(kind)}
    assert {name for name, _ in told} == fields


def test_every_metric_and_every_log_event_is_in_the_reference() -> None:
    told = pages.named(pages.section(OPERATING, "## Monitoring"))
    for path, source in SOURCES.items():
        if "src" in path.parts:
            assert (
                set(
                    re.findall(
                        r"\b(?:log\.(?:info|warning|error|exception|critical)|traces\.note)\(\s*\"(\w+)\"",
                        source,
                    )
                )
                <= told
            ), path
    metrics = SOURCES[pages.ROOT / "src/ciranda/api/health.py"]
    for kind, name in re.findall(
        r"\b(Counter|Gauge|Histogram)(?:MetricFamily)?\(\s*\"(ciranda_\w+)\"", metrics
    ):
        assert (f"{name}_total" if kind == "Counter" else name) in told


# The protocol.


def test_the_participants_table_is_the_codes() -> None:
    table = pages.section(PROTOCOL, "## 3. Participant")
    assert pages.rows(table) == [
        [state, event, after, effect, say] for (state, event), (after, effect, say) in TABLE.items()
    ]


@pytest.mark.parametrize(
    ("heading", "drawn"), [("## 3. Participant", diagrams.participant), ("## 4. Witness", diagrams.witness)]
)
def test_a_diagram_is_drawn_from_the_code(heading: str, drawn: Callable[[], str]) -> None:
    assert pages.diagrams(pages.section(PROTOCOL, heading)) == [drawn()], f"it should be:\n{drawn()}"


def test_every_sentence_that_code_or_tests_cite_is_written() -> None:
    written = set(re.findall(r"^- \*\*(\d\.\d)\*\*", pages.text(PROTOCOL), re.MULTILINE))
    written |= set(re.findall(r"^\| \*\*(I\d)\*\*", pages.text(PROTOCOL), re.MULTILINE))
    written |= set(re.findall(r"^## (\d)\. ", pages.text(PROTOCOL), re.MULTILINE))
    for path, source in SOURCES.items():
        for cited in re.findall(
            r"PROTOCOL (?:sections? )?((?:\d(?:\.\d)?|I\d)(?:(?:, | and | to )\d(?:\.\d)?|, I\d)*)", source
        ):
            assert set(re.split(r", | and | to ", cited)) <= written, f"{path}: {cited}"


def test_the_sentences_of_each_section_are_numbered_without_a_gap() -> None:
    for section in "1234568":
        found = re.findall(rf"^- \*\*{section}\.(\d+)\*\*", pages.text(PROTOCOL), re.MULTILINE)
        assert found == [str(number + 1) for number in range(len(found))]
    assert len(re.findall(r"^- \*\*\d", pages.text(PROTOCOL), re.MULTILINE)) == 47
