"""What a bank answers. Amounts are in centavos, times RFC 3339 text in UTC.

Fields that a newer bank adds are passed over, so that an older client goes on working.
"""

from typing import Generic, TypeVar

import msgspec

from ciranda.payment import Kind, Status

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Some of a longer list; `next_cursor` asks for the rest, and is None at its end."""

    items: list[Item]
    next_cursor: str | None


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    ispb: str
    name: str
    reachable: bool


class BankCard(msgspec.Struct, frozen=True, kw_only=True):
    """A bank's own introduction."""

    ispb: str
    name: str
    consortium: str
    currency: str
    peers: list[Peer]


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    document: str
    name: str
    kind: str | None = None
    """`person` or `company`, where the bank says so."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: str


class ListedSession(msgspec.Struct, frozen=True, kw_only=True):
    """Where one is logged in."""

    id: str
    created_at: str
    used_at: str
    """To some minutes."""
    expires_at: str
    address: str | None
    """The network that it was begun from."""
    agent: str | None
    current: bool


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    """`off`, `unconfirmed` or `on`."""
    since: str | None
    payments_from: int
    """Payments need a code when they bring what was paid without one in a day to this."""
    at_login: bool
    recovery_codes_left: int


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    secret: str
    uri: str
    """`otpauth://…`, for a QR code."""


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    recovery_codes: list[str]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    kind: str
    holders: list[Customer]
    signatures: str | None
    status: str
    balance: int
    held: int
    available: int
    opened_at: str


class ListedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as one bank lists it: its own, or a linked one of another bank."""

    address: str
    kind: str
    holders: list[Customer]
    signatures: str | None
    status: str
    balance: int | None
    """None, as `held` and `available`: its bank cannot be asked now, or its mandate does not let one read."""
    held: int | None
    available: int | None
    opened_at: str
    bank: str | None = None
    """The bank's name, where accounts of several banks are listed."""
    linked: bool = False
    reachable: bool = True


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    payment: str
    amount: int
    """Signed: negative is a debit."""
    balance: int
    counterpart: str | None
    """None: the vault."""
    description: str | None
    reference: str | None
    booked_at: str


class Payee(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    bank: str
    """The bank's name."""
    name: str
    """Masked."""
    kind: str


class PaymentRefusal(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    iso: str
    detail: str
    bank: str


class PaidTransfer(msgspec.Struct, frozen=True, kw_only=True):
    source: str | None
    """None: the vault, in a deposit."""
    target: str | None
    """None: the vault, in a withdrawal."""
    amount: int


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    document: str
    """Masked, like the name, for those who share no account with this holder."""
    name: str
    at: str


class Approvals(msgspec.Struct, frozen=True, kw_only=True):
    """Whose signatures are there, of what needs those of all holders."""

    asked_by: Customer
    asked_at: str
    expires_at: str
    approved: list[Signed]
    missing: list[Customer]
    refused_by: Customer | None


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Kind
    status: Status
    transfers: list[PaidTransfer]
    """At a participant, its own part only."""
    amount: int
    description: str | None
    reference: str | None
    created_at: str
    decided_at: str | None = None
    refusal: PaymentRefusal | None = None
    witnesses: list[str] | None = None
    """The banks that keep a copy of the decision, of a payment between banks."""
    approvals: Approvals | None = None
    """If it needs or needed the signatures of all holders."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one payment of a batch."""

    key: str
    id: str | None
    status: Status
    refusal: PaymentRefusal | None = None


class Mandate(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    account: str
    initiator: str
    payer: str
    scopes: list[str]
    per_payment: int | None
    total: int | None
    created_at: str
    expires_at: str
    revoked_at: str | None
    used: int
    approved_at: str | None
    """None while not all holders have signed who must."""
    status: str
    """`awaiting_approval`, `given` or `ended`."""
    approvals: Approvals | None = None
    per_day: int | None = None
    used_today: int = 0
    starts_at: str | None = None
    paused_at: str | None = None
    token: str | None = None
    """Only in the answer to whoever gave it."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that used a mandate. One that was refused is not counted as used."""

    payment: str
    amount: int
    status: Status
    used_at: str
    description: str | None
    reference: str | None


class Raise(msgspec.Struct, frozen=True, kw_only=True):
    """A higher limit that was chosen, and does not act yet."""

    limit: str
    """`per_transfer`, `per_day` or `per_night`."""
    amount: int
    acts_at: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What may leave an account; None is no limit."""

    account: str
    enforced: bool
    """False: its bank keeps no limits."""
    per_transfer: int | None
    per_day: int | None
    per_night: int | None
    raises: list[Raise]
    spent_today: int
    spent_tonight: int | None
    """None by day."""


class Awaiting(msgspec.Struct, frozen=True, kw_only=True):
    """What needs one's own signature: a payment or a mandate."""

    id: str
    kind: str
    payment: Payment | None = None
    mandate: Mandate | None = None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    bank: str
    """The bank's name."""
    scopes: list[str]
    created_at: str


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    customers: int
    vault: int
    clearing: dict[str, int]

    @property
    def sum(self) -> int:
        """What is to be zero in every bank (I1)."""
        return self.customers + self.vault + sum(self.clearing.values())


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    settled: int
    refused: int
    in_doubt: int


class InDoubt(msgspec.Struct, frozen=True, kw_only=True):
    """A payment whose decision the bank does not know."""

    id: str
    state: str
    since: str
    coordinator: str
    witnesses: list[str]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    balances: Balances
    sum: int
    held: int
    accounts: int
    payments: Counts
    in_doubt: list[InDoubt]


class KnownPayment(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    digest: str | None
    status: Status


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What this bank and a peer owe each other: positive, this bank owes; negative, the peer does."""

    ispb: str
    name: str
    balance: int
    limit: int
    reachable: bool


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: str
    cash_limit: int | None
    expires_at: str
    """When the operator's token ends."""
    added_by: str
    added_at: str
    ended_at: str | None
    token: str | None = None
    """Only in the answer that gave it, and only if the bank drew it."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What one operator wants done, and a second one must approve."""

    id: str
    status: str
    action: str
    subject: str
    terms: dict[str, str | int | None]
    by: str
    proposed_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None
    outcome: str | None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """How far a bank's chain went, as it signed it and another bank holds the copy."""

    bank: str
    holder: str
    number: int
    hash: str
    """In hexadecimal."""
    at: str
    public_key: str
    """In base64."""
    signature: str
    """In base64."""


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A head that its bank's chain does not bear out any more."""

    head: Head
    shown: str | None
    """What the chain has there, in hexadecimal; None if it does not reach so far."""
    seen_at: str


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator did or tried."""

    id: str
    at: str
    operator: str
    action: str
    subject: str
    terms: dict[str, str | int | None]
    outcome: str
