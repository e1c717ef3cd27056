"""Weak passwords: those that a stranger would try first, as NIST SP 800-63B has it.

Length counts, and what the password is made of does not; but it must not be one of the commonest, one character over and
over, or what anybody knows of the customer: the document, the name. `common_passwords.txt` has the commonest; where it
comes from, and its licence, stand beside it.
"""

import re
import unicodedata
from functools import cache
from importlib.resources import files

from ciranda.identity import Document

LENGTH_MIN, LENGTH_MAX = 8, 128
DIFFERENT_MIN = 4
NAME_PART_MIN = 3

_PUNCTUATION = re.compile(r"[\W_]")
"""What a name or document may be written with; it makes no secret of it."""


def is_weak(password: str, document: Document, name: str) -> bool:
    return (
        not LENGTH_MIN <= len(password) <= LENGTH_MAX
        or len(set(password.casefold())) < DIFFERENT_MIN
        or document.lower() in _plain(password)
        or password.casefold() in _common()
        or _is_little(password, name)
    )


def _is_little(password: str, name: str) -> bool:
    """Whether hardly anything is left of it without the customer's name; or what is left is a common one."""
    parts = sorted({_plain(part) for part in name.split()} | {_plain(name)}, key=len, reverse=True)
    rest = _plain(password)
    for part in parts:
        if len(part) >= NAME_PART_MIN:
            rest = rest.replace(part, "")
    return rest != _plain(password) and (len(rest) < LENGTH_MIN or rest in _common())


def _plain(text: str) -> str:
    """Without accents, punctuation and capitals."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return _PUNCTUATION.sub("", letters).casefold()


@cache
def _common() -> frozenset[str]:
    text = files("ciranda.node").joinpath("common_passwords.txt").read_text("ascii")
    return frozenset(text.split("\n"))
