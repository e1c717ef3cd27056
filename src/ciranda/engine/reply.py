"""What comes of an input, once it is durable."""

from enum import StrEnum

import msgspec

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import Answer
from ciranda.engine.limits import Limits
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.operator import Operator
from ciranda.engine.record import Record
from ciranda.ledger.account import Account


class DenialCode(StrEnum):
    """Why something other than a payment was not done."""

    NOT_FOUND = "not_found"
    ACCOUNT_EXISTS = "account_exists"
    WRONG_ACCOUNT_KIND = "wrong_account_kind"
    INVALID_HOLDERS = "invalid_holders"
    NOT_PERMITTED = "not_permitted"
    UNKNOWN_BANK = "unknown_bank"
    CLOSED_ACCOUNT = "closed_account"
    LIMIT_EXCEEDED = "limit_exceeded"
    DEADLINE_PASSED = "deadline_passed"
    ALREADY_DECIDED = "already_decided"
    BALANCE_NOT_ZERO = "balance_not_zero"
    LIMITS_OFF = "limits_off"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    OVER_CASH_LIMIT = "over_cash_limit"
    SECOND_OPERATOR_REQUIRED = "second_operator_required"
    OPERATOR_EXISTS = "operator_exists"
    PROPOSAL_CLOSED = "proposal_closed"


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    code: DenialCode


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """A payment's record, as it now stands. Its id is the order's own, unless the key had been used before."""

    record: Record
    begun: bool = False
    """Whether it was this very input that began it, and nobody else goes on with it."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The payment's record after a decision, an acknowledgement or a postponement; None if it is not known."""

    record: Record | None


class BallotTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh ballot, and the record with what this bank, if it is a witness, had accepted before."""

    ballot: Ballot
    record: Record


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a peer's question."""

    answer: Answer


class AccountMade(msgspec.Struct, frozen=True, kw_only=True):
    account: Account


class MandateMade(msgspec.Struct, frozen=True, kw_only=True):
    mandate: Mandate


class LimitsSet(msgspec.Struct, frozen=True, kw_only=True):
    limits: Limits


class LinkMade(msgspec.Struct, frozen=True, kw_only=True):
    link: Link


class OperatorMade(msgspec.Struct, frozen=True, kw_only=True):
    operator: Operator


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal was made, or decided on; it stands in the database."""

    id: str


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """It is gone, or ended."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A mistake of ours, or a value that the database refuses: nothing of this input was done."""

    reason: str


Reply = (
    Denied
    | Paid
    | Known
    | BallotTaken
    | Answered
    | AccountMade
    | MandateMade
    | LimitsSet
    | LinkMade
    | OperatorMade
    | Proposed
    | Removed
    | Failed
)
