"""The closed list of refusals, in its order of precedence, as the API's reference gives it."""

import random
import re
from pathlib import Path

import pytest

from ciranda.identity import Ispb
from ciranda.refusal import DETAIL, ISO, PRECEDENCE, Code, Refusal, first

REFERENCE = Path(__file__).parents[2] / "docs" / "API.md"

ORDER = [
    ("zero_amount", "AM01"),
    ("same_account", "AG03"),
    ("unknown_bank", "RC10"),
    ("not_permitted", "DS0G"),
    ("unknown_account", "AC03"),
    ("blocked_account", "AC06"),
    ("closed_account", "AC07"),
    ("wrong_account_kind", "AC14"),
    ("mandate_exceeded", "AM02"),
    ("limit_exceeded", "AM02"),
    ("insufficient_funds", "AM04"),
    ("balance_exceeded", "AM02"),
    ("peer_limit_exceeded", "AM23"),
    ("bank_unreachable", "AB09"),
    ("deadline_passed", "AB03"),
    ("aborted", "ED05"),
]


def refusal(code: Code) -> Refusal:
    return Refusal(code=code, bank=Ispb("10000001"))


def test_the_list_its_order_and_its_iso_codes_are_as_agreed() -> None:
    """PROTOCOL 3.3."""
    assert [(code.value, ISO[code]) for code in Code] == ORDER


def test_the_reference_documents_the_same_list_in_the_same_order() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (\w{4}) \|", REFERENCE.read_text(), re.MULTILINE)
    assert rows == [(str(place), code, iso) for place, (code, iso) in enumerate(ORDER, 1)]


@pytest.mark.parametrize("code", Code)
def test_every_refusal_says_why_in_one_sentence(code: Code) -> None:
    assert DETAIL[code].endswith(".")
    assert refusal(code).detail == DETAIL[code]
    assert refusal(code).iso == ISO[code]


def test_of_several_reasons_the_first_in_the_list_is_given() -> None:
    """PROTOCOL 3.3."""
    dice = random.Random(1)
    for _ in range(200):
        codes = dice.sample(list(Code), dice.randint(1, len(Code)))
        given = first(map(refusal, codes))
        assert given is not None
        assert given.code == min(codes, key=[code for code, _ in ORDER].index)
    assert [code for code, _ in sorted(PRECEDENCE.items(), key=lambda item: item[1])] == list(Code)


def test_without_a_reason_nothing_is_refused() -> None:
    assert first([]) is None
