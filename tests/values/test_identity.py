"""Who and what: the bank's names for banks, accounts, payments and people are well formed, or are refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.br import cnpj, cpf

from ciranda.identity import (
    Address,
    EndToEndId,
    Ispb,
    bank_of,
    check_digit,
    clearing,
    coordinator_of,
    kind_of,
    make_address,
    make_end_to_end_id,
    parse_address,
    parse_document,
    parse_end_to_end_id,
    parse_ispb,
)
from ciranda.instant import Instant

BANK = Ispb("10000001")
numbers = st.text("0123456789", min_size=1, max_size=19)
branches = st.text("0123456789", min_size=4, max_size=4)
ispbs = st.from_regex(r"[0-9A-Z]{8}", fullmatch=True).map(Ispb)


def remainder(digits: str) -> int:
    """Modulus 11 of a number, spelled out: from the right the digits weigh 2, 3 … 9, 2, 3 …"""
    return sum(int(digit) * (2 + place % 8) for place, digit in enumerate(reversed(digits))) % 11


# ISPB


@pytest.mark.parametrize("text", ["10000001", "ABCDEFGH", "0A0B0C0D"])
def test_an_ispb_is_eight_digits_or_capital_letters(text: str) -> None:
    assert parse_ispb(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1000001",
        "100000011",
        "1000000a",
        "10000001\n",
        " 10000001",
        "１0000001",
        "1000000É",
        "1000\x0001",
    ],
)
def test_what_is_no_ispb_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="8 characters"):
        parse_ispb(text)


# Accounts


def test_the_documented_example_of_a_check_digit() -> None:
    assert check_digit("0001", "123456") == "3"
    assert make_address(BANK, "0001", "123456") == "10000001.0001.1234563"


@given(branches, numbers)
def test_ten_and_eleven_become_zero(branch: str, number: str) -> None:
    left = 11 - remainder(branch + number)
    assert check_digit(branch, number) == ("0" if left in (10, 11) else str(left))


@given(ispbs, branches, numbers)
def test_an_address_that_a_bank_makes_can_be_read_again(bank: Ispb, branch: str, number: str) -> None:
    address = make_address(bank, branch, number)
    assert parse_address(address) == address
    assert bank_of(address) == bank


@given(branches, numbers, st.data())
def test_a_wrong_digit_is_caught_unless_ten_and_eleven_stand_for_each_other(
    branch: str, number: str, data: st.DataObject
) -> None:
    """What modulus 11 really guarantees. A wrong digit always changes the remainder; but the remainders 0 and 1 both
    have the check digit 0, and only between those two is it not seen.
    """
    right = branch + number
    place = data.draw(st.integers(0, len(right) - 1))
    digit = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != right[place]]))
    wrong = right[:place] + digit + right[place + 1 :]
    assert remainder(right) != remainder(wrong)
    unseen = {remainder(right), remainder(wrong)} == {0, 1}
    assert (check_digit(right[:4], right[4:]) == check_digit(wrong[:4], wrong[4:])) is unseen


@given(branches, numbers, st.data())
def test_two_neighbours_exchanged_are_caught_unless_ten_and_eleven_stand_for_each_other(
    branch: str, number: str, data: st.DataObject
) -> None:
    """Neighbours' weights differ by 1 or, from 9 to 2, by 7: exchanging different digits changes the remainder."""
    right = branch + number
    place = data.draw(st.integers(0, len(right) - 2))
    wrong = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    if wrong == right:
        return
    assert remainder(right) != remainder(wrong)
    unseen = {remainder(right), remainder(wrong)} == {0, 1}
    assert (check_digit(right[:4], right[4:]) == check_digit(wrong[:4], wrong[4:])) is unseen


@given(numbers, st.sampled_from("123456789"))
def test_a_wrong_check_digit_is_always_caught(number: str, more: str) -> None:
    address = make_address(BANK, "0001", number)
    wrong = address[:-1] + str((int(address[-1]) + int(more)) % 10)
    with pytest.raises(ValueError, match="check digit"):
        parse_address(wrong)


def test_of_all_single_wrong_digits_at_most_two_in_a_hundred_are_not_seen() -> None:
    seen, unseen = 0, 0
    for number in range(0, 1_000_000, 97):
        right = f"{number:06d}"
        for place in range(6):
            for digit in "0123456789":
                wrong = right[:place] + digit + right[place + 1 :]
                if wrong != right:
                    same = check_digit("0001", wrong) == check_digit("0001", right)
                    seen, unseen = seen + (not same), unseen + same
    assert 0 < unseen / (seen + unseen) < 0.02


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vault",
        "clearing.10000002",
        "10000001.0001.3",
        "10000001.001.1234563",
        "10000001.0001.1234563\n",
        "10000001.0001.1234563 ",
        "10000001.0001.123456٣",
        "10000001.0001.123456³",
        "10000001.0001.１234563",
        "10000001.0001.-1234563",
        "10000001-0001-1234563",
        "10000001.0001.1234563\x00",
        "10000001.0001." + "1" * 21,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address is|check digit"):
        parse_address(text)


nearly = st.from_regex(r"E?[0-9A-Z]{7,9}\.?[0-9\u0663]{3,13}\.?[0-9a-zA-Z\u00b2]{1,21}\n?", fullmatch=True)


@given(st.text() | nearly)
def test_any_text_is_read_or_refused_and_nothing_worse(text: str) -> None:
    for parse in (parse_address, parse_ispb, parse_document, parse_end_to_end_id):
        with suppress(ValueError):
            assert isinstance(parse(text), str)


def test_no_customers_account_can_be_named_like_one_of_the_banks_own() -> None:
    for own in ("vault", clearing(BANK)):
        with pytest.raises(ValueError, match="address"):
            parse_address(own)


# EndToEndId


@given(ispbs, st.integers(0, 4 * 10**12).map(Instant), st.from_regex(r"[a-zA-Z0-9]{11}", fullmatch=True))
def test_a_payments_id_names_its_coordinator(bank: Ispb, now: Instant, tail: str) -> None:
    """PROTOCOL 1.1."""
    id = make_end_to_end_id(bank, now, tail)
    assert parse_end_to_end_id(id) == id
    assert coordinator_of(id) == bank
    assert len(id) == 32


def test_a_payments_id_tells_the_minute_in_utc() -> None:
    """PROTOCOL 1.1."""
    id = make_end_to_end_id(BANK, Instant(1_795_410_860_123), "abcDEF12345")
    assert id == "E10000001202611230514abcDEF12345"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "E10000001202611230514abcDEF1234",
        "E10000001202611230514abcDEF123456",
        "D10000001202611230514abcDEF12345",
        "E1000000a202611230514abcDEF12345",
        "E1000000120261123051xabcDEF12345",
        "E10000001202611230514abcDEF1234é",
        "E10000001202611230514abcDEF1234_",
        "E10000001٢02611230514abcDEF12345",
        "E10000001202611230514abcDEF12345\n",
    ],
)
def test_what_is_no_payments_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="payment's id"):
        parse_end_to_end_id(text)


# CPF and CNPJ


@pytest.mark.parametrize(
    ("text", "bare", "kind"),
    [
        ("529.982.247-25", "52998224725", "person"),
        ("52998224725", "52998224725", "person"),
        (" 529 982 247 25 ", "52998224725", "person"),
        ("11.222.333/0001-81", "11222333000181", "company"),
        ("12.ABC.345/01DE-35", "12ABC34501DE35", "company"),
        ("12.abc.345/01de-35", "12ABC34501DE35", "company"),
    ],
)
def test_a_document_is_read_with_or_without_punctuation(text: str, bare: str, kind: str) -> None:
    document = parse_document(text)
    assert (document, kind_of(document)) == (bare, kind)


@pytest.mark.parametrize("length", [11, 14])
@pytest.mark.parametrize("digit", "0123456789")
def test_a_document_of_one_repeated_digit_is_refused(length: int, digit: str) -> None:
    with pytest.raises(ValueError, match="CPF"):
        parse_document(digit * length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "529.982.247-24",
        "5299822472",
        "529982247250",
        "12.ABC.345/01DE-36",
        "12ABC34501DEAB",
        "52998224725\n",
        "52998224725\x00",
        "5２998224725",
        "٥٢٩٩٨٢٢٤٧٢٥",
        "5²998224725",
        "529.982.247–25",
        "529.982.247\u200b-25",
        "𝟓2998224725",
    ],
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CPF"):
        parse_document(text)


def test_a_letter_that_only_looks_like_an_ascii_one_is_refused() -> None:
    """`ſ` and `ı` become S and I when they are made capital: they are odd all the same."""
    for odd, plain in (("ſ", "S"), ("ı", "I")):
        body = f"12{plain}BC34501DE"
        whole = body + cnpj.calc_check_digits(body)
        assert parse_document(whole) == whole
        with pytest.raises(ValueError, match="CPF"):
            parse_document(whole.replace(plain, odd, 1))


@given(st.text("0123456789", min_size=9, max_size=9))
def test_a_cpf_is_accepted_exactly_with_its_own_check_digits(body: str) -> None:
    own = cpf._calc_check_digits(body)
    for last in range(100):
        text = f"{body}{last:02d}"
        right = text[-2:] == own and len(set(text)) > 1
        try:
            accepted = parse_document(text) == text
        except ValueError:
            accepted = False
        assert accepted is right


@given(
    st.from_regex(r"[0-9A-Z]{12}", fullmatch=True), st.integers(0, 11), st.sampled_from("0123456789ABCXYZ")
)
def test_a_cnpj_with_letters_is_accepted_with_its_own_check_digits(body: str, place: int, wrong: str) -> None:
    whole = body + cnpj.calc_check_digits(body)
    if len(set(whole)) == 1:
        return
    assert parse_document(whole) == whole
    assert kind_of(parse_document(whole)) == "company"
    other = body[:place] + wrong + body[place + 1 :]
    if cnpj.calc_check_digits(other) != whole[-2:]:
        with pytest.raises(ValueError, match="CPF"):
            parse_document(other + whole[-2:])


def test_types_are_text_so_that_they_travel_as_they_are() -> None:
    assert isinstance(Address(make_address(BANK, "0001", "1")), str)
    assert isinstance(EndToEndId(make_end_to_end_id(BANK, Instant(0), "a" * 11)), str)
