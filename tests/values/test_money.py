"""Money: whole centavos, spelled as a Brazilian writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciranda.money import AMOUNT_MAX, BALANCE_MAX, OWN_BALANCE_MAX, spell


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "R$ 0,00"),
        (5, "R$ 0,05"),
        (-5, "-R$ 0,05"),
        (123_456, "R$ 1.234,56"),
        (-100_000_000, "-R$ 1.000.000,00"),
        (99_999, "R$ 999,99"),
        (AMOUNT_MAX, "R$ 10.000.000.000.000,00"),
    ],
)
def test_an_amount_is_spelled_as_a_brazilian_writes_it(amount: int, text: str) -> None:
    assert spell(amount) == text


def test_another_currency_is_named() -> None:
    assert spell(123_456, "EUR") == "EUR 1.234,56"


@given(st.integers(-OWN_BALANCE_MAX, OWN_BALANCE_MAX))
def test_a_spelled_amount_still_says_every_centavo(amount: int) -> None:
    digits = spell(amount).replace("R$ ", "").replace(".", "").replace(",", "")
    assert int(digits) == amount


def test_every_sum_fits_a_64_bit_column() -> None:
    assert AMOUNT_MAX < BALANCE_MAX < OWN_BALANCE_MAX < 2**63
    assert BALANCE_MAX + AMOUNT_MAX < 2**63
    assert OWN_BALANCE_MAX + AMOUNT_MAX < 2**63
