"""What can happen to a bank: a closed list. Each is decided on by itself, in the order of arrival.

Time, ids, salts and nonces are given, never drawn: the engine is a function.
"""

from typing import Literal

import msgspec

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import AgreementQuestion, Decision
from ciranda.engine.approval import Subject
from ciranda.engine.key import Claim
from ciranda.engine.limits import Span
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.operator import Role
from ciranda.identity import AccountId, Address, Document, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.ledger.account import AccountKind, Signatures
from ciranda.payment import Kind, Transfer
from ciranda.refusal import Refusal

GRACE_MS = 2_000
"""How long past its deadline a payment is left to its coordinator (PROTOCOL section 6)."""

POSTPONED_MAX_MS = 15_000
"""For how long recovery ever postpones a payment. What is due later than any honest row can be was written by a clock
that has been put back since."""


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """A client's order to this bank. What stays inside the bank is booked at once; the rest is prepared."""

    id: EndToEndId
    kind: Kind
    claim: Claim | None
    """None when it is begun because the last holder has signed: the key was used when it was asked for."""
    caller: Document | None
    """The customer whose session asks; None for the operator."""
    transfers: tuple[Transfer, ...]
    tokens: tuple[str | None, ...]
    """The mandate's token for each transfer, where one was given or linked."""
    salts: tuple[str, ...]
    description: str | None
    reference: str | None
    deadline: Instant
    unreachable: frozenset[Ispb]
    """Members known to be down (PROTOCOL 1.3 and 5.8)."""
    sealed: bytes | None = None
    """The tokens again, encrypted, where some came: kept if the payment has to wait for signatures."""


class Decide(msgspec.Struct, frozen=True, kw_only=True):
    """The coordinator decides alone: abort, or as the only witness either. What is decided stands."""

    id: EndToEndId
    decision: Decision
    refusal: Refusal | None


class TakeBallot(msgspec.Struct, frozen=True, kw_only=True):
    """Recovery needs a ballot that was never used (PROTOCOL 4.1). A witness promises it to itself at once."""

    id: EndToEndId
    nonce: int
    seen: Ballot | None
    """The highest ballot that another bank has shown for this payment."""


class Accept(msgspec.Struct, frozen=True, kw_only=True):
    """This bank's own proposal, after `others` other witnesses accepted it under `ballot`.

    If this bank is a witness it accepts too, and if that makes a majority the decision is applied, in one write.
    """

    id: EndToEndId
    ballot: Ballot
    decision: Decision
    others: int


class Learn(msgspec.Struct, frozen=True, kw_only=True):
    """Our own attempt or recovery heard the decision from `said_by`."""

    id: EndToEndId
    decision: Decision
    refusal: Refusal | None
    said_by: Ispb


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """`bank` acknowledged the decision."""

    id: EndToEndId
    bank: Ispb


class Postpone(msgspec.Struct, frozen=True, kw_only=True):
    """Recovery did what it could for now, or takes the payment for itself until `due`."""

    id: EndToEndId
    due: Instant


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the consortium, whose signature was checked, asks."""

    sender: Ispb
    question: AgreementQuestion


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """A holder signs what awaits the signatures of all."""

    subject: Subject
    id: str
    caller: Document
    begin: Begin | None
    """For a payment, what begins it if nobody's signature is missing any more: as if it were asked for now."""


class Decline(msgspec.Struct, frozen=True, kw_only=True):
    """A holder does not want it: that is the end of it."""

    subject: Subject
    id: str
    caller: Document


class Expire(msgspec.Struct, frozen=True, kw_only=True):
    """The holders' time may be over."""

    subject: Subject
    id: str


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True):
    claim: Claim | None
    caller: Document
    address: Address
    """A fresh one."""
    kind: AccountKind
    holders: tuple[Document, ...]
    signatures: Signatures | None


class ChangeAccount(msgspec.Struct, frozen=True, kw_only=True):
    account: AccountId
    change: Literal["block", "unblock", "close"]


class GiveMandate(msgspec.Struct, frozen=True, kw_only=True):
    claim: Claim | None
    mandate: Mandate


class RevokeMandate(msgspec.Struct, frozen=True, kw_only=True):
    caller: Document
    id: str


class PauseMandate(msgspec.Struct, frozen=True, kw_only=True):
    caller: Document
    id: str
    paused: bool
    """False: it is resumed."""


class SetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """A holder chooses limits; those that are not given stay as they are."""

    caller: Document
    account: Address
    amounts: dict[Span, int]


class MakeLink(msgspec.Struct, frozen=True, kw_only=True):
    claim: Claim | None
    link: Link


class RemoveLink(msgspec.Struct, frozen=True, kw_only=True):
    owner: Document
    account: Address


# What operators do.


class SetCreditLimit(msgspec.Struct, frozen=True, kw_only=True):
    """From here on `peer` may owe this bank `limit` at most, whatever the settings say."""

    peer: Ispb
    limit: int


class AddOperator(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: Role
    cash_limit: int | None
    token_hash: bytes
    expires_at: Instant
    founding: bool
    """Fewer than two admins were ever named: there is nobody yet who could approve another one."""


class RenewToken(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's token is another one from here on."""

    name: str
    token_hash: bytes
    expires_at: Instant


class EndOperator(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class ResetSecondFactor(msgspec.Struct, frozen=True, kw_only=True):
    """The customer has lost their device and all recovery codes: they have no second factor any more, and no session."""

    document: Document


Deed = Begin | ChangeAccount | SetCreditLimit | ResetSecondFactor | AddOperator | RenewToken | EndOperator
"""What an operator does, or proposes to a second one."""


class Approve(msgspec.Struct, frozen=True, kw_only=True):
    proposal: str


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    proposal: str


class Trespass(msgspec.Struct, frozen=True, kw_only=True):
    """An operator called what is not theirs to call, and was turned away: it is only recorded."""

    route: str


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """A deed in an operator's name: whether they may do it is decided with it, and it is recorded with its effect."""

    id: str
    """A fresh one, for the action's record, and for the proposal if it becomes one."""
    by: str
    deed: Deed | Approve | Reject | Trespass


Input = (
    Begin
    | Decide
    | TakeBallot
    | Accept
    | Learn
    | Told
    | Postpone
    | Heard
    | Sign
    | Decline
    | Expire
    | OpenAccount
    | ChangeAccount
    | GiveMandate
    | RevokeMandate
    | PauseMandate
    | SetLimits
    | MakeLink
    | RemoveLink
    | Act
)
