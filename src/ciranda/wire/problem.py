"""Problems: what a client is told when something is not done (RFC 9457), each code in one table."""

import msgspec

from ciranda.refusal import DETAIL as REFUSAL_DETAIL
from ciranda.refusal import Code

STATUS: dict[str, int] = {
    "bad_request": 400,
    "idempotency_key_required": 400,
    "unauthenticated": 401,
    "wrong_credentials": 401,
    "forbidden": 403,
    "over_cash_limit": 403,
    "second_factor_required": 403,
    "second_operator_required": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "document_taken": 409,
    "account_exists": 409,
    "already_decided": 409,
    "operator_exists": 409,
    "proposal_closed": 409,
    "second_factor_exists": 409,
    "too_large": 413,
    "balance_not_zero": 422,
    "idempotency_mismatch": 422,
    "invalid_document": 422,
    "invalid_holders": 422,
    "limits_off": 422,
    "weak_password": 422,
    **{code.value: 422 for code in Code},
    "too_many_attempts": 429,
    "overloaded": 503,
    "unavailable": 503,
}

DETAIL: dict[str, str] = {
    **{code.value: text for code, text in REFUSAL_DETAIL.items()},
    "bad_request": "The request is not well formed.",
    "idempotency_key_required": "This call needs an Idempotency-Key header.",
    "unauthenticated": "No valid token came with the request.",
    "wrong_credentials": "Document or password is wrong.",
    "forbidden": "You may not use this call.",
    "over_cash_limit": "This is more cash than you may take or hand out at once.",
    "second_factor_required": "This needs a fresh code of your second factor, in the header Second-Factor.",
    "second_operator_required": "You proposed this yourself; somebody else must approve it.",
    "not_found": "There is nothing here, or it is not yours to see.",
    "method_not_allowed": "There is no such method here.",
    "too_slow": "The request did not come in time.",
    "document_taken": "A customer with this document exists already.",
    "second_factor_exists": "Your second factor is switched on already.",
    "account_exists": "You have an individual account in this bank already.",
    "already_decided": "All holders have approved this already: it can no longer be refused.",
    "operator_exists": "There is, or was, an operator of this name.",
    "proposal_closed": "This proposal was decided on, has expired, or comes from somebody who may not ask it any more.",
    "too_large": "The request is too large.",
    "balance_not_zero": "The account still has money in it or on its way.",
    "idempotency_mismatch": "This Idempotency-Key was used before, with another body.",
    "invalid_document": "This is not a valid CPF or CNPJ.",
    "invalid_holders": "A joint account has two or more different customers of this bank, you among them.",
    "limits_off": "This bank keeps no limits.",
    "weak_password": "The password has 8 to 128 characters, and is not easily guessed: no common one, not your document or name.",
    "too_many_attempts": "Too many attempts that failed; try again later.",
    "overloaded": "Too much is under way; nothing was recorded; try again.",
    "unavailable": "The bank cannot do this now; try again.",
}


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every answer that is not a success; media type `application/problem+json`."""

    type: str
    """A URN that is unique to the code."""
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] | None = None
    """What is wrong with the request, field by field."""
    iso: str | None = None
    """The ISO 20022 reason code of a refusal."""
    payment: str | None = None
    """The id of the payment that was refused."""
    bank: str | None = None
    """The bank whose refusal it is."""


def problem(
    code: str,
    detail: str | None = None,
    *,
    errors: tuple[FieldError, ...] | None = None,
    iso: str | None = None,
    payment: str | None = None,
    bank: str | None = None,
) -> Problem:
    return Problem(
        type=f"urn:ciranda:problem:{code}",
        title=code.replace("_", " ").capitalize(),
        status=STATUS[code],
        detail=detail or DETAIL[code],
        code=code,
        errors=errors,
        iso=iso,
        payment=payment,
        bank=bank,
    )
