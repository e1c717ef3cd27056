"""CPF and CNPJ numbers with right check digits, each new; and the check digit of an account's number."""

import itertools
import string
from collections.abc import Iterator

_serial = itertools.count(1)


def cpf() -> str:
    """A person's number that no test has used yet."""
    body = f"{100_000_000 + next(_serial) * 7_919:09d}"
    for _ in range(2):
        weighted = sum(int(digit) * weight for weight, digit in enumerate(reversed(body), start=2))
        body += str(_rest(weighted))
    return body


def cnpj(letters: bool = False) -> str:
    """A company's number that no test has used yet."""
    body = f"{'A3' if letters else '11'}{next(_serial):06d}{'Z9XW' if letters else '0001'}"
    for _ in range(2):
        weighted = sum((ord(sign) - ord("0")) * weight for weight, sign in _from_the_right(body))
        body += str(_rest(weighted))
    return body


def address(ispb: str, branch: str, number: str) -> str:
    """An account's address; the check digit goes after `number`."""
    weighted = sum(int(digit) * weight for weight, digit in _from_the_right(branch + number))
    return f"{ispb}.{branch}.{number}{_rest(weighted)}"


def with_wrong_check_digit(number: str) -> str:
    """The same document or address, mistyped in its last digit."""
    assert number[-1] in string.digits
    return number[:-1] + str((int(number[-1]) + 1) % 10)


def _from_the_right(signs: str) -> Iterator[tuple[int, str]]:
    """Each sign with its weight: 2, 3, … 9, 2, 3, …"""
    return zip(itertools.cycle(range(2, 10)), reversed(signs), strict=False)


def _rest(weighted: int) -> int:
    return (11 - weighted % 11) % 11 % 10
