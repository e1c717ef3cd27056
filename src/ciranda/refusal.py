"""Refusals: a bank's reasoned "no" to a payment. A result, never an exception.

The list is closed, and its order is the law: of several reasons, the first one in this list is given (PROTOCOL 3.3).
A `Violation` is another thing: a peer did what an honest peer cannot do.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from ciranda.identity import Ispb


class Code(StrEnum):
    """Why a payment was refused, in order of precedence."""

    ZERO_AMOUNT = "zero_amount"
    SAME_ACCOUNT = "same_account"
    UNKNOWN_BANK = "unknown_bank"
    NOT_PERMITTED = "not_permitted"
    UNKNOWN_ACCOUNT = "unknown_account"
    BLOCKED_ACCOUNT = "blocked_account"
    CLOSED_ACCOUNT = "closed_account"
    WRONG_ACCOUNT_KIND = "wrong_account_kind"
    MANDATE_EXCEEDED = "mandate_exceeded"
    LIMIT_EXCEEDED = "limit_exceeded"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    BALANCE_EXCEEDED = "balance_exceeded"
    PEER_LIMIT_EXCEEDED = "peer_limit_exceeded"
    BANK_UNREACHABLE = "bank_unreachable"
    DEADLINE_PASSED = "deadline_passed"
    ABORTED = "aborted"


PRECEDENCE: dict[Code, int] = {code: place for place, code in enumerate(Code)}

ISO: dict[Code, str] = {
    Code.ZERO_AMOUNT: "AM01",
    Code.SAME_ACCOUNT: "AG03",
    Code.UNKNOWN_BANK: "RC10",
    Code.NOT_PERMITTED: "DS0G",
    Code.UNKNOWN_ACCOUNT: "AC03",
    Code.BLOCKED_ACCOUNT: "AC06",
    Code.CLOSED_ACCOUNT: "AC07",
    Code.WRONG_ACCOUNT_KIND: "AC14",
    Code.MANDATE_EXCEEDED: "AM02",
    Code.LIMIT_EXCEEDED: "AM02",
    Code.INSUFFICIENT_FUNDS: "AM04",
    Code.BALANCE_EXCEEDED: "AM02",
    Code.PEER_LIMIT_EXCEEDED: "AM23",
    Code.BANK_UNREACHABLE: "AB09",
    Code.DEADLINE_PASSED: "AB03",
    Code.ABORTED: "ED05",
}
"""The reason codes of ISO 20022 (external code set, status reason)."""

DETAIL: dict[Code, str] = {
    Code.ZERO_AMOUNT: "The amount must be at least one centavo.",
    Code.SAME_ACCOUNT: "Source and target are the same account.",
    Code.UNKNOWN_BANK: "No bank of the consortium has this ISPB.",
    Code.NOT_PERMITTED: "You have no permission to debit this source.",
    Code.UNKNOWN_ACCOUNT: "The account does not exist.",
    Code.BLOCKED_ACCOUNT: "The account is blocked.",
    Code.CLOSED_ACCOUNT: "The account is closed.",
    Code.WRONG_ACCOUNT_KIND: "The account is of a kind that cannot take part in this payment.",
    Code.MANDATE_EXCEEDED: "The mandate does not allow this amount.",
    Code.LIMIT_EXCEEDED: "The holder's limit does not allow this amount.",
    Code.INSUFFICIENT_FUNDS: "The account has not enough money available.",
    Code.BALANCE_EXCEEDED: "The account's balance would pass the maximum.",
    Code.PEER_LIMIT_EXCEEDED: "The credit limit between the two banks is reached.",
    Code.BANK_UNREACHABLE: "A bank of this payment cannot be reached now.",
    Code.DEADLINE_PASSED: "A bank of this payment did not answer in time.",
    Code.ABORTED: "The payment was undone.",
}
"""One sentence for the customer, the same for everyone who is told: it reveals no balance and no name."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The recorded reason of a payment that did not happen; never computed again."""

    code: Code
    bank: Ispb
    """The bank whose refusal it is; or the one that could not be reached, or did not answer in time."""

    @property
    def iso(self) -> str:
        return ISO[self.code]

    @property
    def detail(self) -> str:
        return DETAIL[self.code]


def first(refusals: Iterable[Refusal]) -> Refusal | None:
    """The refusal that is given, of several that hold."""
    return min(refusals, key=lambda refusal: PRECEDENCE[refusal.code], default=None)


class Violation(Exception):
    """A peer did what no honest peer does. Nothing changes; it is recorded and shown to the operator."""
