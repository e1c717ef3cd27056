"""Whatever reads what came over the network is fed nonsense by some test: a parser that nobody has classified fails here.

Found in the source are: decoders of JSON, and functions that say of themselves that they read text (`parse_…`).
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "src" / "ciranda"

AT_THE_DOOR = "tests/api/test_any_input.py::test_any_bytes_are_a_body_or_a_bad_request"
BATCHES = "tests/wire/test_messages.py::test_any_damage_to_a_batch_leaves_a_batch_or_malformed"
TEXTS = "tests/values/test_identity.py::test_any_text_is_read_or_refused_and_nothing_worse"
CLIENT = "tests/cli/test_client.py::test_whatever_stands_in_an_answer_the_caller_gets_one_of_two_errors"

FUZZED = {
    "client/bank.py:_ask_two": CLIENT,
    "client/bank.py:_read": CLIENT,
    "client/bank.py:_problem": CLIENT,
    "wire/messages.py:_decode_questions": BATCHES,
    "wire/messages.py:_decode_answers": BATCHES,
    "wire/signature.py:verify_request": "tests/wire/test_signature.py::test_any_headers_are_refused_with_one_exception",
    "wire/signature.py:verify_response": "tests/wire/test_signature.py::test_an_answer_is_refused_when_it_is",
    "identity.py:parse_ispb": TEXTS,
    "identity.py:parse_address": TEXTS,
    "identity.py:parse_end_to_end_id": TEXTS,
    "identity.py:parse_document": TEXTS,
    "instant.py:parse_rfc3339": "tests/api/test_any_input.py::test_any_value_in_any_place_of_a_body_is_answered",
    "api/origin.py:address_of": "tests/api/test_any_input.py::test_any_header_is_answered",
    "api/code.py:code_of": "tests/api/test_any_input.py::test_any_header_is_answered",
    "api/caller.py:token_of": "tests/api/test_any_input.py::test_any_header_is_answered",
    "api/once.py:of": "tests/api/test_any_input.py::test_any_header_is_answered",
    "api/page.py:query": "tests/api/test_any_input.py::test_any_query_is_answered",
    "api/protocol.py:data_received": "tests/api/test_connections.py::test_any_bytes_on_a_connection_are_answered_or_hung_up_on",
    "chain.py:_decode": "tests/values/test_chain.py::test_any_bytes_are_contents_or_a_value_error",
    "cli/chains.py:_heads": "tests/cli/test_chains.py::test_heads_that_are_none_and_heads_without_the_chain_are_refused",
    "settings.py:load": "tests/cli/test_settings.py::test_any_bytes_are_a_roster_or_refused_with_one_sentence",
}
"""Each by its file and name, with the test that feeds it. Those that no rule below finds are named to be complete."""

LOCAL = {
    "storage/rows.py": "what this bank wrote to its own database",
    "node/node.py": "the same",
    "node/linking.py": "the same",
    "cli/sessions.py": "a file of the person's own",
    "cli/amount.py": "typed by the person at the terminal",
    "bench": "figures of this machine",
    "simulator": "what the simulator made",
}


def parsers(source: str) -> list[str]:
    """The names under which one module decodes JSON or says that it reads text."""
    found: list[str] = []

    def walk(node: ast.AST, within: str) -> None:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                within = name
                if name.startswith("parse_"):
                    found.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]) if not within:
                within = name
            case ast.Call(func=ast.Attribute(attr="Decoder")):
                found.append(within)
            case ast.Call(func=ast.Attribute(attr="decode" | "loads", value=value)) if ast.unparse(value) in (
                "msgspec.json",
                "json",
            ):
                found.append(within)
        for inner in ast.iter_child_nodes(node):
            walk(inner, within)

    walk(ast.parse(source), "")
    return list(dict.fromkeys(found))


def all_parsers() -> set[str]:
    return {
        f"{file.relative_to(HOUSE)}:{name}"
        for file in HOUSE.rglob("*.py")
        if not any(str(file.relative_to(HOUSE)).startswith(local) for local in LOCAL)
        for name in parsers(file.read_text())
    }


def test_every_parser_that_meets_the_network_is_fed_nonsense() -> None:
    # The decoders of bodies are found by their test itself.
    assert {parser for parser in all_parsers() if not _of_a_body(parser)} <= set(FUZZED)
    assert sum(map(_of_a_body, all_parsers())) >= 17


def _of_a_body(parser: str) -> bool:
    file, _, name = parser.partition(":")
    return file.startswith("api/") and (name.startswith("_") or name == "payment_decoder")


@pytest.mark.parametrize("parser", FUZZED)
def test_what_is_classified_is_there_and_so_is_its_test(parser: str) -> None:
    file, _, name = parser.partition(":")
    assert f"{name} =" in (text := (HOUSE / file).read_text()) or f"def {name}(" in text
    test_file, _, test = FUZZED[parser].partition("::")
    assert f"def {test}(" in (ROOT / test_file).read_text()


def test_the_test_of_bodies_is_there() -> None:
    file, _, test = AT_THE_DOOR.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("_new = msgspec.json.Decoder(New)", "_new"),
        ("def read(body):\n    return msgspec.json.decode(body, type=New)", "read"),
        ("async def read(body):\n    return json.loads(body)", "read"),
        ("def parse_colour(text): ...", "parse_colour"),
    ],
)
def test_a_new_parser_is_seen(source: str, name: str) -> None:
    assert parsers(source) == [name]
