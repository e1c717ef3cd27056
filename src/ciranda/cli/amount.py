"""Amounts as people type them: `10`, `10,50`, `10.50`, `1.234,56`. Exact, and never guessed.

The comma and the point both serve as decimal sign somewhere. Two of different kind tell which is which; a single one
with one or two digits after it is the decimal sign. `1.234` could be one thousand or one and a bit: it is refused.
"""

import re

from ciranda.cli.speech import say
from ciranda.money import AMOUNT_MAX

_PLAIN = re.compile(r"([0-9]{1,20})(?:[.,]([0-9]{1,2}))?")
_GROUPED = re.compile(
    r"([0-9]{1,3}(?:\.[0-9]{3})+),([0-9]{1,2})"  # 1.234,56
    r"|([0-9]{1,3}(?:,[0-9]{3})+)\.([0-9]{1,2})"  # 1,234.56
    r"|([0-9]{1,3}(?:(?:\.[0-9]{3}){2,}|(?:,[0-9]{3}){2,}))"  # 1.234.567
)
_AMBIGUOUS = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
_TOO_FINE = re.compile(r"[0-9][0-9.]*,[0-9]{3,}|[0-9][0-9,]*\.[0-9]{3,}")


def parse_amount(text: str) -> int:
    """The amount in centavos. Raises ValueError with a sentence fit for the person who typed it."""
    bare = text.strip().removeprefix("R$").strip()
    if _AMBIGUOUS.fullmatch(bare):
        whole = bare.replace(".", "").replace(",", "")
        raise ValueError(
            say(
                "{text} is ambiguous: write {whole} or {whole},00 for whole units",
                text=repr(text),
                whole=whole,
            )
        )
    if match := _PLAIN.fullmatch(bare):
        units, decimals = match.groups()
    elif match := _GROUPED.fullmatch(bare):
        units, decimals = _parts(match)
    elif _TOO_FINE.fullmatch(bare):
        raise ValueError(
            say("{text} has more than two decimals, and money ends at the centavo", text=repr(text))
        )
    else:
        raise ValueError(say("{text} is not an amount, such as 10, 10,50 or 1.234,56", text=repr(text)))
    amount = int(re.sub("[.,]", "", units)) * 100 + int((decimals or "").ljust(2, "0"))
    if not 1 <= amount <= AMOUNT_MAX:
        raise ValueError(
            say("{text} is out of bounds: from 0,01 to {most}", text=repr(text), most=AMOUNT_MAX // 100)
        )
    return amount


def _parts(match: re.Match[str]) -> tuple[str, str | None]:
    given = [part for part in match.groups() if part is not None]
    return given[0], given[1] if len(given) == 2 else None
