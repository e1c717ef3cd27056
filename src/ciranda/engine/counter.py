"""What is asked for at the counter: accounts, mandates, limits, links. No money moves here."""

from typing import assert_never

from msgspec.structs import replace

from ciranda.engine.approval import WAIT_MS, Approval, Subject
from ciranda.engine.input import (
    ChangeAccount,
    GiveMandate,
    MakeLink,
    OpenAccount,
    PauseMandate,
    RemoveLink,
    RevokeMandate,
    SetLimits,
)
from ciranda.engine.key import Claim, Key, used
from ciranda.engine.mandate import Mandate
from ciranda.engine.reply import (
    AccountMade,
    DenialCode,
    Denied,
    LimitsSet,
    LinkMade,
    MandateMade,
    Removed,
    Reply,
)
from ciranda.engine.view import Step, View, Writes
from ciranda.engine.waiting import is_full, leave, never_given, parties, wait
from ciranda.identity import AccountId, Document, kind_of
from ciranda.instant import Instant, later
from ciranda.ledger.account import AccountKind, AccountStatus, customers_account


def open_account(view: View, order: OpenAccount, now: Instant) -> Step:
    """One individual account for each person in this bank, not counting closed ones; any number of the others."""
    key = _used(view, order.claim)
    if key is not None:
        opened = view.accounts.get(AccountId(key.made or ""))
        if opened is None:
            return _repeated(key)
        as_opened = customers_account(
            order.address, opened.kind, opened.holders, opened.signatures, opened.opened_at
        )
        return Step(writes=Writes(), reply=AccountMade(account=replace(as_opened, id=opened.id)))
    caller = view.customers[order.caller]
    person = kind_of(order.caller) == "person"
    match order.kind:
        case AccountKind.INDIVIDUAL:
            present = None if caller.individual is None else view.accounts[caller.individual]
            exists = present is not None and present.status is not AccountStatus.CLOSED
            wrong_kind = not person
        case AccountKind.BUSINESS:
            wrong_kind, exists = person, False
        case _:
            wrong_kind, exists = False, False
    if wrong_kind:
        return _denied(order.claim, DenialCode.WRONG_ACCOUNT_KIND, now)
    if order.kind is AccountKind.JOINT and (
        len(set(order.holders)) < 2
        or len(set(order.holders)) != len(order.holders)
        or order.caller not in order.holders
        or view.missing_holders(order.holders)
    ):
        return _denied(order.claim, DenialCode.INVALID_HOLDERS, now)
    if exists:
        return _denied(order.claim, DenialCode.ACCOUNT_EXISTS, now)
    account = customers_account(order.address, order.kind, order.holders, order.signatures, now)
    writes = Writes(opened={account.id: account})
    if order.kind is AccountKind.INDIVIDUAL:
        writes.customers = {caller.document: replace(caller, individual=order.address)}
    return _made(order.claim, account.id, writes, AccountMade(account=account), now)


def change_account(view: View, order: ChangeAccount) -> Step:
    account = view.accounts.get(order.account)
    if account is None:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    if account.status is AccountStatus.CLOSED and order.change != "close":
        return Step(writes=Writes(), reply=Denied(code=DenialCode.CLOSED_ACCOUNT))
    match order.change:
        case "block":
            status = AccountStatus.BLOCKED
        case "unblock":
            status = AccountStatus.OPEN
        case "close":
            # Not even with something on its way to it: a promised credit must find its account (PROTOCOL 3.2).
            if not account.idle:
                return Step(writes=Writes(), reply=Denied(code=DenialCode.BALANCE_NOT_ZERO))
            status = AccountStatus.CLOSED
        case _:
            assert_never(order.change)
    changed = replace(account, status=status)
    return Step(writes=Writes(accounts={changed.id: changed}), reply=AccountMade(account=changed))


def give_mandate(view: View, order: GiveMandate, now: Instant) -> Step:
    key = _used(view, order.claim)
    if key is not None:
        given = view.mandates.get(key.made or "")
        if given is None:
            return _repeated(key)
        approval = view.approvals.get(given.id)
        if approval is None:
            as_given = replace(given, used=0, revoked_at=None, paused_at=None)
            return Step(writes=Writes(), reply=MandateMade(mandate=as_given))
        over = approval.ended_at is not None and approval.missing
        return Step(writes=Writes(), reply=never_given(approval) if over else MandateMade(mandate=given))
    mandate = order.mandate
    account = view.accounts.get(mandate.account)
    if account is None or mandate.giver not in account.holders:
        return _denied(order.claim, DenialCode.NOT_FOUND, now)
    if account.status is AccountStatus.CLOSED:
        return _denied(order.claim, DenialCode.CLOSED_ACCOUNT, now)
    if not view.bank.deals_with(mandate.initiator):
        return _denied(order.claim, DenialCode.UNKNOWN_BANK, now)
    # One holder's word is not enough to pay, so it is not enough to let another bank pay.
    signers = parties(view, [account.id])
    if is_full(view, signers):
        return _denied(order.claim, DenialCode.LIMIT_EXCEEDED, now)
    mandate = replace(mandate, approved_at=None if signers else now)
    writes = Writes()
    if signers:
        expires_at = min(mandate.expires_at, later(now, WAIT_MS))
        writes = wait(view, mandate.id, Subject.MANDATE, mandate.giver, signers, expires_at, now)
    writes.mandates = {mandate.id: mandate}
    return _made(order.claim, mandate.id, writes, MandateMade(mandate=mandate), now)


def revoke_mandate(view: View, order: RevokeMandate, now: Instant) -> Step:
    """What all holders signed, any of them may end."""
    mandate, approval = view.mandates.get(order.id), view.approvals.get(order.id)
    if mandate is None or not _gave(order.caller, mandate, approval):
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    if mandate.revoked_at is not None:
        return Step(writes=Writes(), reply=Removed())
    writes = Writes()
    if approval is not None and approval.ended_at is None:
        writes = leave(view, approval, order.caller, now)
    writes.mandates = {mandate.id: replace(mandate, revoked_at=now)}
    return Step(writes=writes, reply=Removed())


def pause_mandate(view: View, order: PauseMandate, now: Instant) -> Step:
    """While it is paused it allows nothing; what was promised under it stands. What all holders signed, any of them
    may pause, and resume."""
    mandate, approval = view.mandates.get(order.id), view.approvals.get(order.id)
    if mandate is None or not _gave(order.caller, mandate, approval) or mandate.revoked_at is not None:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    if order.paused == (mandate.paused_at is not None):
        return Step(writes=Writes(), reply=MandateMade(mandate=mandate))
    mandate = replace(mandate, paused_at=now if order.paused else None)
    return Step(writes=Writes(mandates={mandate.id: mandate}), reply=MandateMade(mandate=mandate))


def _gave(caller: Document, mandate: Mandate, approval: Approval | None) -> bool:
    return caller in ((mandate.giver,) if approval is None else approval.holders)


def set_limits(view: View, order: SetLimits, now: Instant) -> Step:
    """Any holder, also of an account that needs all their signatures: what a limit allows, they must still sign."""
    account = view.accounts.get(order.account)
    if account is None or order.caller not in account.holders:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    if account.status is AccountStatus.CLOSED:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.CLOSED_ACCOUNT))
    if view.bank.limits is None:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.LIMITS_OFF))
    defaults = view.bank.limits.for_kind(account.kind)
    before = view.chosen[account.id]
    changed = {
        span.value: before.of(span).set_to(amount, now, defaults.of(span))
        for span, amount in order.amounts.items()
    }
    limits = replace(before, **changed)
    writes = Writes(chosen={account.id: limits} if limits != before else {})
    return Step(writes=writes, reply=LimitsSet(limits=limits))


def make_link(view: View, order: MakeLink, now: Instant) -> Step:
    link = order.link
    key = _used(view, order.claim)
    if key is not None:
        kept = view.links.get((link.owner, link.account))
        return _repeated(key) if kept is None else Step(writes=Writes(), reply=LinkMade(link=kept))
    writes = Writes(links={(link.owner, link.account): link})
    return _made(order.claim, link.account, writes, LinkMade(link=link), now)


def remove_link(view: View, order: RemoveLink) -> Step:
    if (order.owner, order.account) not in view.links:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    return Step(writes=Writes(links={(order.owner, order.account): None}), reply=Removed())


def mismatched(view: View, claim: Claim | None) -> bool:
    """Whether the key was used before, with another body."""
    key = _used(view, claim)
    return key is not None and claim is not None and key.body != claim.body


def _used(view: View, claim: Claim | None) -> Key | None:
    return None if claim is None else view.keys.get((claim.scope, claim.key))


def _repeated(key: Key) -> Step:
    """The same "no" as before."""
    code = DenialCode(key.denial) if key.denial else DenialCode.NOT_FOUND
    return Step(writes=Writes(), reply=Denied(code=code))


def _denied(claim: Claim | None, code: DenialCode, now: Instant) -> Step:
    step = Step(writes=Writes(), reply=Denied(code=code))
    return _with_key(step, claim, None, code, now)


def _made(claim: Claim | None, made: str, writes: Writes, reply: Reply, now: Instant) -> Step:
    return _with_key(Step(writes=writes, reply=reply), claim, made, None, now)


def _with_key(
    step: Step, claim: Claim | None, made: str | None, denial: DenialCode | None, now: Instant
) -> Step:
    if claim is not None:
        step.writes.keys = {(claim.scope, claim.key): used(claim, made, denial, now)}
    return step
