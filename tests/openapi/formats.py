"""What JSON Schema has no words for: check digits, and times that are still to come. Schemathesis loads this file.

It needs nothing of the product, so that `schemathesis run` finds it in whatever environment it runs.
"""

import os
from collections.abc import Sequence
from typing import Any

import schemathesis
from hypothesis import strategies as st

ACCOUNTS = os.environ.get("ACCOUNTS", "").split()
"""Accounts that there are, for orders that have somebody to meet."""

digits = st.text("0123456789", min_size=1)


def _weighted(signs: str, weights: Sequence[int]) -> int:
    return sum(
        (ord(sign) - ord("0")) * weight for sign, weight in zip(reversed(signs), weights, strict=False)
    )


def _with_digit(signs: str, weights: Sequence[int]) -> str:
    return f"{signs}{(11 - _weighted(signs, weights) % 11) % 11 % 10}"


def _cpf(body: str) -> str:
    return _with_digit(_with_digit(body, range(2, 12)), range(2, 12))


def _cnpj(body: str) -> str:
    weights = [2, 3, 4, 5, 6, 7, 8, 9] * 2
    return _with_digit(_with_digit(body, weights), weights)


def _address(bank: str, branch: str, number: str) -> str:
    whole = _with_digit(branch + number, [2, 3, 4, 5, 6, 7, 8, 9] * 3)
    return f"{bank}.{branch}.{whole[4:]}"


def _is_mixed(text: str) -> bool:
    return len(set(text)) > 3


schemathesis.openapi.format(
    "account-address",
    st.one_of(
        *([st.sampled_from(ACCOUNTS)] if ACCOUNTS else []),
        st.builds(
            _address,
            st.from_regex("[0-9A-Z]{8}", fullmatch=True),
            st.from_regex("[0-9]{4}", fullmatch=True),
            st.from_regex("[0-9]{1,19}", fullmatch=True),
        ),
    ),
)
schemathesis.openapi.format(
    "cpf-or-cnpj",
    st.one_of(
        st.from_regex("[0-9]{9}", fullmatch=True).filter(_is_mixed).map(_cpf),
        st.from_regex("[0-9A-Z]{12}", fullmatch=True).filter(_is_mixed).map(_cnpj),
    ),
)
schemathesis.openapi.format(
    "strong-password", st.from_regex("[a-z]{6}-[A-Z]{6}-[0-9]{6}", fullmatch=True).filter(_is_mixed)
)
schemathesis.openapi.format(
    "future-date-time",
    st.from_regex(
        r"[3-8][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T(0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
        fullmatch=True,
    ),
)


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """JSON Schema calls 10.0 an integer. Here an amount with a decimal point is a mistake."""
    return _whole(body)


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {name: _whole(one) for name, one in value.items()}
    return value
