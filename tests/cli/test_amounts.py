"""Amounts as people type them: read exactly, or refused; never guessed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciranda.cli.amount import parse_amount
from ciranda.money import AMOUNT_MAX, spell


@pytest.mark.parametrize(
    ("typed", "centavos"),
    [
        ("10", 1000),
        ("10,50", 1050),
        ("10.50", 1050),
        ("10,5", 1050),
        ("0,01", 1),
        ("0.29", 29),
        ("1.234,56", 123456),
        ("1,234.56", 123456),
        ("1.234.567", 123456700),
        ("1.234.567,89", 123456789),
        ("1,234,567.89", 123456789),
        ("1234,56", 123456),
        ("R$ 10,00", 1000),
        (" 7 ", 700),
        ("10000000000000", AMOUNT_MAX),
    ],
)
def test_an_amount_is_read_as_it_is_meant(typed: str, centavos: int) -> None:
    assert parse_amount(typed) == centavos


@pytest.mark.parametrize("typed", ["1.234", "1,234", "100.000", "999,999"])
def test_what_could_be_thousands_or_decimals_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        parse_amount(typed)


@pytest.mark.parametrize("typed", ["0.001", "1.2345", "1234.567", "1.234,567", "0,999"])
def test_more_than_two_decimals_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="more than two decimals"):
        parse_amount(typed)


@pytest.mark.parametrize("typed", ["0", "0,00", "10000000000000,01", "99999999999999999999"])
def test_nothing_and_too_much_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        parse_amount(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-5",
        "+5",
        "5.",
        ".5",
        ",5",
        "1e3",
        "nan",
        "inf",
        "1_000",
        "12.34,56",
        "1.23.456",
        "1..2",
        "１０",
        "9" * 5000,
    ],
)
def test_what_is_not_an_amount_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_amount(typed)


@given(st.integers(1, AMOUNT_MAX))
def test_what_is_shown_can_be_typed_again(centavos: int) -> None:
    assert parse_amount(spell(centavos)) == centavos


@given(st.integers(1, AMOUNT_MAX))
def test_a_decimal_number_is_read_exactly(centavos: int) -> None:
    assert parse_amount(str(Decimal(centavos).scaleb(-2))) == centavos


@given(st.text(alphabet="0123456789.,R$ -e", max_size=12))
def test_any_text_is_an_amount_or_refused_with_a_sentence(typed: str) -> None:
    try:
        read: int | str = parse_amount(typed)
    except ValueError as error:
        read = str(error)
    assert read if isinstance(read, str) else 1 <= read <= AMOUNT_MAX
