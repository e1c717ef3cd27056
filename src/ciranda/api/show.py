"""How accounts and payments look from outside: the same everywhere they are shown."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from ciranda.agreement.message import AccountShown
from ciranda.engine.approval import Approval
from ciranda.engine.customer import Customer
from ciranda.engine.record import Record
from ciranda.identity import VAULT, AccountId, Document
from ciranda.instant import rfc3339
from ciranda.ledger.account import Account
from ciranda.node.mask import masked, masked_document
from ciranda.refusal import Refusal


class HolderView(msgspec.Struct, frozen=True, kw_only=True):
    document: str
    name: str


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    kind: Literal["individual", "business", "joint"]
    holders: list[HolderView]
    signatures: Literal["any", "all"] | None
    status: Literal["open", "blocked", "closed"]
    balance: int | None
    """In minor units; null if the account is at another bank that does not show it now."""
    held: int | None
    available: int | None
    opened_at: str
    bank: str | UnsetType = UNSET
    """The name of the account's bank; with `everywhere=true` only, like the two below."""
    linked: bool | UnsetType = UNSET
    reachable: bool | UnsetType = UNSET


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    source: str | None
    """Null in a deposit."""
    target: str | None
    """Null in a withdrawal."""
    amount: int


class RefusalView(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    iso: str
    detail: str
    bank: str


class SignedView(msgspec.Struct, frozen=True, kw_only=True):
    document: str
    """Masked, like the name, for those who share no account of the payment with this holder."""
    name: str
    at: str


class ApprovalsView(msgspec.Struct, frozen=True, kw_only=True):
    """Of what needs the signatures of all holders: whose are there."""

    asked_by: HolderView
    asked_at: str
    expires_at: str
    approved: list[SignedView]
    missing: list[HolderView]
    refused_by: HolderView | None


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Literal["payment", "deposit", "withdrawal"]
    status: Literal["awaiting_approval", "pending", "settled", "refused"]
    transfers: list[TransferView]
    amount: int
    description: str | None
    reference: str | None
    created_at: str
    decided_at: str | UnsetType = UNSET
    refusal: RefusalView | UnsetType = UNSET
    witnesses: list[str] | UnsetType = UNSET
    """The banks that keep a copy of the decision; of a payment between banks only."""
    approvals: ApprovalsView | UnsetType = UNSET
    """If it needs or needed the signatures of all holders; for those holders, and the operator."""


def account_view(account: Account, holders: dict[Document, Customer]) -> AccountView:
    return AccountView(
        address=account.id,
        kind=account.kind.value,  # type: ignore[arg-type]
        holders=[HolderView(document=one, name=holders[one].name) for one in account.holders],
        signatures=account.signatures,
        status=account.status.value,
        balance=account.balance,
        held=account.held,
        available=account.available,
        opened_at=rfc3339(account.opened_at),
    )


def shown_view(account: AccountShown, bank: str, reachable: bool) -> AccountView:
    """An account at another bank."""
    return AccountView(
        address=account.account,
        kind=account.kind,  # type: ignore[arg-type]
        holders=[HolderView(document=document, name=name) for document, name in account.holders],
        signatures=account.signatures,  # type: ignore[arg-type]
        status=account.status,  # type: ignore[arg-type]
        balance=account.balance,
        held=account.held,
        available=account.available,
        opened_at=rfc3339(account.opened_at),
        bank=bank,
        linked=True,
        reachable=reachable,
    )


def payment_view(record: Record) -> PaymentView:
    return PaymentView(
        id=record.id,
        kind=record.kind._value_,
        status=record.status._value_,
        transfers=[
            TransferView(
                source=outside(clause.transfer.source),
                target=outside(clause.transfer.target),
                amount=clause.transfer.amount,
            )
            for clause in record.clauses
        ],
        amount=record.amount,
        description=record.description,
        reference=record.reference,
        created_at=rfc3339(record.created_at),
        decided_at=UNSET if record.decided_at is None else rfc3339(record.decided_at),
        refusal=UNSET if record.refusal is None else refusal_view(record.refusal),
        witnesses=UNSET if record.header is None else list(record.header.witnesses),
    )


def approvals_view(
    approval: Approval, customers: dict[Document, Customer], viewer: Document | None
) -> ApprovalsView:
    """`viewer`: one of those who sign, or None for the operator."""
    shared = set(approval.holders) if viewer is None else approval.shares(viewer)

    def who(document: Document) -> HolderView:
        name = customers[document].name
        if document in shared:
            return HolderView(document=document, name=name)
        return HolderView(document=masked_document(document), name=masked(name))

    return ApprovalsView(
        asked_by=who(approval.asker),
        asked_at=rfc3339(approval.asked_at),
        expires_at=rfc3339(approval.expires_at),
        approved=[
            SignedView(document=shown.document, name=shown.name, at=rfc3339(one.at))
            for one in approval.approved
            for shown in [who(one.holder)]
        ],
        missing=[who(document) for document in approval.missing],
        refused_by=None if approval.refused_by is None else who(approval.refused_by),
    )


def refusal_view(refusal: Refusal) -> RefusalView:
    return RefusalView(code=refusal.code.value, iso=refusal.iso, detail=refusal.detail, bank=refusal.bank)


def outside(account: AccountId) -> str | None:
    """The vault has no address."""
    return None if account == VAULT else account
