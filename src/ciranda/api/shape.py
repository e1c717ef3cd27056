"""What text looks like in bodies and queries, as the OpenAPI document tells it.

Nothing is checked here: `body` and `page` do that, with a sentence for each mistake. The document must take all that
they take; it can say less than they do only where JSON Schema has no words, as for check digits.
"""

from typing import Annotated, Any, NamedTuple

from msgspec import Meta

_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_DAY = r"(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_MOMENT = f"^{_DAY}[Tt ]{_TIME}$"
_PUNCTUATION = "[ ./-]*"
_END_TO_END_ID = "E[0-9A-Z]{8}[0-9]{12}[a-zA-Z0-9]{11}"

ADDRESS = {
    "type": "string",
    "format": "account-address",
    "pattern": r"^[0-9A-Z]{8}\.[0-9]{4}\.[0-9]{2,20}$",
    "description": "ispb.branch.number, the last digit being a check digit",
}
ISPB = {"type": "string", "pattern": "^[0-9A-Z]{8}$"}
KEY = {"type": "string", "pattern": "^[!-~]{1,64}$"}
CODE = {"type": "string", "pattern": "^([0-9]{6}|[A-Za-z2-7]{4}(-[A-Za-z2-7]{4}){3})$"}
TEXT = {"type": "string"}


def _shape(**words: Any) -> Meta:
    return Meta(extra_json_schema=words)


Address = Annotated[str, _shape(**ADDRESS)]
Ispb = Annotated[str, _shape(**ISPB)]
Key = Annotated[str, _shape(**KEY)]
Code = Annotated[str, _shape(**CODE)]
Document = Annotated[
    str,
    _shape(
        format="cpf-or-cnpj",
        pattern=f"^{_PUNCTUATION}(([0-9]{_PUNCTUATION}){{11}}"
        f"|([0-9A-Za-z]{_PUNCTUATION}){{12}}([0-9]{_PUNCTUATION}){{2}})$",
        description="CPF or CNPJ, with or without punctuation; check digits must fit",
    ),
]
Moment = Annotated[str, _shape(pattern=_MOMENT, description="a time of RFC 3339")]
Expiry = Annotated[
    str,
    _shape(
        format="future-date-time", pattern=_MOMENT, description="a time of RFC 3339 that is still to come"
    ),
]
Name = Annotated[
    str, _shape(minLength=1, maxLength=120, pattern=rf"^[^{_CONTROL}]*[^{_CONTROL}\s][^{_CONTROL}]*$")
]
Email = Annotated[str, _shape(maxLength=254, pattern=rf"^[^@\s{_CONTROL}]+@[^@\s{_CONTROL}]+$")]
Phone = Annotated[str, _shape(pattern=r"^\+?[0-9 ()-]{4,30}$")]
Description = Annotated[str, _shape(maxLength=140, pattern=f"^[^{_CONTROL}]*$")]
Reference = Annotated[str, _shape(pattern="^[A-Za-z0-9]{1,35}$")]
Password = Annotated[str, _shape(pattern=f"^[^{_CONTROL}]*$")]
FreshPassword = Annotated[
    str,
    _shape(
        minLength=8,
        maxLength=128,
        format="strong-password",
        pattern=f"^[^{_CONTROL}]*$",
        description="not a common one, and not the customer's document or name",
    ),
]
MandateToken = Annotated[str, _shape(pattern="^[ -~]{1,256}$")]
OperatorName = Annotated[str, _shape(pattern="^[a-z][a-z0-9-]{1,31}$", description="any but root")]
TokenHash = Annotated[str, _shape(pattern="^[0-9a-f]{64}$")]


class Parameter(NamedTuple):
    """Of a query."""

    meaning: str
    schema: dict[str, Any]


PAYMENT_CURSOR = f"^{_END_TO_END_ID}$"
PROPOSAL_CURSOR = "^[0-9a-f]{28}$"
ENTRY_CURSOR = "^[1-9][0-9]{0,17}$"
HEAD_CURSOR = ENTRY_CURSOR
ENTRY_NUMBER = "^(0|[1-9][0-9]{0,17})$"
USE_CURSOR = rf"^[0-9]{{1,18}}\.{_END_TO_END_ID}$"
APPROVAL_CURSOR = "^[0-9]{1,15}-[0-9A-Za-z]{1,64}$"


def limit(of_what: str, most: int = 1_000) -> Parameter:
    return Parameter(
        f"at most so many {of_what}, 1 to {most}; 50 if not given",
        {"type": "integer", "minimum": 1, "maximum": most},
    )


def cursor(pattern: str) -> Parameter:
    return Parameter("the `next_cursor` of the page before", {"type": "string", "pattern": pattern})
