"""Who and what: banks (ISPB), accounts, payments (EndToEndId), and people and companies (CPF, CNPJ).

Each is text that was parsed once, at the edge; inside the house its type says that it is well formed.
Every `parse_…` raises ValueError with a sentence fit for the person who typed it.
"""

import re
from operator import mul
from typing import Literal, NewType

from stdnum.br import cnpj, cpf
from stdnum.exceptions import ValidationError

from ciranda.instant import Instant, minute_stamp

Ispb = NewType("Ispb", str)
EndToEndId = NewType("EndToEndId", str)
Document = NewType("Document", str)

AccountId = NewType("AccountId", str)
"""The name of an account inside one bank's book: a customer's address, or one of the bank's own."""

Address = NewType("Address", AccountId)
"""A customer's account, anywhere in the consortium: `ispb.branch.number`."""

VAULT = AccountId("vault")

_ISPB = re.compile(r"[0-9A-Z]{8}")
_ADDRESS = re.compile(r"([0-9A-Z]{8})\.([0-9]{4})\.([0-9]{2,20})")
_END_TO_END_ID = re.compile(r"E([0-9A-Z]{8})([0-9]{12})([a-zA-Z0-9]{11})")
_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9) * 3
_OF_ZEROS = [ord("0") * sum(_WEIGHTS[:length]) for length in range(len(_WEIGHTS) + 1)]
"""What so many digits weigh too much, as they are added up by their ASCII codes."""
_PUNCTUATION = str.maketrans("", "", " .-/")

ALPHANUMERICS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def parse_ispb(text: str) -> Ispb:
    if not _ISPB.fullmatch(text):
        raise ValueError("an ISPB is 8 characters, digits or capital letters")
    return Ispb(text)


def clearing(peer: Ispb) -> AccountId:
    """The clearing account that shows what `peer` owes this bank."""
    return AccountId(f"clearing.{peer}")


def check_digit(branch: str, number: str) -> str:
    """The check digit of an account: modulus 11 over the branch and the number without its last digit.

    From the right the digits weigh 2, 3 … 9, 2, 3 …; the digit is 11 - (sum mod 11), where 10 and 11 become 0.
    """
    digits = (branch + number).encode()[::-1]
    total = sum(map(mul, digits, _WEIGHTS)) - _OF_ZEROS[len(digits)]
    digit = 11 - total % 11
    return "0" if digit > 9 else str(digit)


def make_address(bank: Ispb, branch: str, number: str) -> Address:
    """The address of account `number`, given without its check digit."""
    return Address(AccountId(f"{bank}.{branch}.{number}{check_digit(branch, number)}"))


def parse_address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if not match:
        raise ValueError("an account's address is ispb.branch.number, such as 10000001.0001.1234563")
    _, branch, number = match.groups()
    if check_digit(branch, number[:-1]) != number[-1]:
        raise ValueError("the check digit does not fit: one of the account's digits is mistyped")
    return Address(AccountId(text))


def bank_of(address: AccountId) -> Ispb:
    return address[:8]  # type: ignore[return-value]  # asked a dozen times for each payment


def make_end_to_end_id(bank: Ispb, now: Instant, tail: str) -> EndToEndId:
    """`tail`: 11 characters of `ALPHANUMERICS` that make the id unique (PROTOCOL 1.1)."""
    return EndToEndId(f"E{bank}{minute_stamp(now)}{tail}")


def parse_end_to_end_id(text: str) -> EndToEndId:
    if not _END_TO_END_ID.fullmatch(text):
        raise ValueError("a payment's id is E, an ISPB, 12 digits of time and 11 letters or digits")
    return EndToEndId(text)


def coordinator_of(payment: EndToEndId) -> Ispb:
    """The bank whose client asked for the payment: the id names it."""
    return Ispb(payment[1:9])


def parse_document(text: str) -> Document:
    """A CPF or CNPJ, with or without punctuation; its check digits hold and its digits are not all the same."""
    if not text.isascii():
        # Looked at before `upper`, which makes plain capitals of some odd letters.
        raise ValueError("neither a valid CPF nor a valid CNPJ")
    bare = text.translate(_PUNCTUATION).upper()
    if len(set(bare)) < 2:
        raise ValueError("a document is a CPF or a CNPJ, and its digits are not all the same")
    try:
        return Document(cpf.validate(bare) if len(bare) == 11 else cnpj.validate(bare))
    except ValidationError as error:
        raise ValueError("neither a valid CPF nor a valid CNPJ") from error


def kind_of(document: Document) -> Literal["person", "company"]:
    return "person" if len(document) == 11 else "company"
