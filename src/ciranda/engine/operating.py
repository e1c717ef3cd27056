"""What operators do: whether they may, whether a second one must agree, the deed itself, and the record of it.

All of it is one step, so that no deed is without its record and no record without its deed. What a guard has let
through is looked at again here: an operator who was ended a moment ago does nothing more.
"""

from typing import assert_never

from msgspec.structs import replace

from ciranda.engine.action import Action, Terms
from ciranda.engine.counter import change_account
from ciranda.engine.input import (
    Act,
    AddOperator,
    Approve,
    Begin,
    ChangeAccount,
    Deed,
    EndOperator,
    Reject,
    RenewToken,
    ResetSecondFactor,
    SetCreditLimit,
    Trespass,
)
from ciranda.engine.key import Claim, used
from ciranda.engine.operator import ROOT, Operator, Right, Role, root
from ciranda.engine.paying import begin
from ciranda.engine.proposal import LASTS_MS, Proposal, ProposalStatus
from ciranda.engine.reply import (
    AccountMade,
    DenialCode,
    Denied,
    OperatorMade,
    Paid,
    Proposed,
    Removed,
    Reply,
)
from ciranda.engine.view import Step, View, Writes
from ciranda.identity import VAULT, clearing
from ciranda.instant import Instant, later
from ciranda.payment import Kind

DONE = "done"


def act(view: View, order: Act, now: Instant) -> Step:
    actor = _actor(view, order.by)
    denial = _denial(view, actor, order.deed, now)
    if denial is not None:
        step = Step(writes=Writes(), reply=Denied(code=denial))
        return _recorded(step, order, terms_of(order.deed), denial.value, now)
    match order.deed:
        case Approve():
            return _approve(view, order, order.deed, now)
        case Reject():
            return _reject(view, order, order.deed, now)
        case Trespass():
            raise AssertionError("a trespass is always denied")
        case Begin() if (made := _made(view, _claim(order.deed))) is not None:
            if made in view.records:
                return begin(view, order.deed, now)
            return Step(writes=Writes(), reply=Proposed(id=made))
        case _ if _needs_second(view, order.by, order.deed):
            return _propose(order, order.deed, now)
        case _:
            step = _do(view, order.deed, order.by, now)
            return _recorded(step, order, terms_of(order.deed), outcome_of(step.reply), now)


# Who may.


def _denial(
    view: View, actor: Operator | None, deed: Deed | Approve | Reject | Trespass, now: Instant
) -> DenialCode | None:
    if actor is None or not actor.alive(now):
        return DenialCode.UNAUTHENTICATED
    right = right_for(deed, actor.name)
    if right is not None and not actor.may(right, view.bank.two_person):
        return DenialCode.FORBIDDEN
    match deed:
        case Begin() if not actor.may_hand(_amount(deed)):
            return DenialCode.OVER_CASH_LIMIT
        case AddOperator(founding=True) if actor.name != ROOT or deed.role is not Role.ADMIN:
            return DenialCode.FORBIDDEN
        case Trespass():
            return DenialCode.FORBIDDEN
        case _:
            return None


def right_for(deed: Deed | Approve | Reject | Trespass, by: str) -> Right | None:
    """What the deed needs; None for what is everybody's own."""
    match deed:
        case Begin():
            return Right.CASH
        case ChangeAccount() | ResetSecondFactor():
            return Right.ACCOUNTS
        case SetCreditLimit():
            return Right.PEERS
        case RenewToken(name=name) if name == by:
            return None
        case AddOperator() | EndOperator() | RenewToken():
            return Right.OPERATORS
        case Approve():
            return Right.APPROVE
        case Reject() | Trespass():
            return None
        case _:
            assert_never(deed)


def _may_approve(second: Operator, deed: Deed) -> bool:
    """Whose word makes two of one: for cash also an operator's, for a peer's limit also an admin's."""
    match deed:
        case Begin():
            teller = second.role is Role.TELLER and second.may_hand(_amount(deed))
            return teller or second.role is Role.OPERATOR
        case ChangeAccount() | ResetSecondFactor():
            return second.role is Role.OPERATOR
        case SetCreditLimit():
            return second.role in (Role.OPERATOR, Role.ADMIN)
        case AddOperator() | RenewToken() | EndOperator():
            return second.role is Role.ADMIN
        case _:
            assert_never(deed)


def _needs_second(view: View, by: str, deed: Deed) -> bool:
    rule = view.bank.two_person
    if rule is None:
        return False
    match deed:
        case Begin():
            return deed.kind is Kind.WITHDRAWAL and _amount(deed) > rule.withdrawals_above
        case ChangeAccount():
            return deed.change == "unblock"
        case SetCreditLimit():
            account = view.accounts.get(clearing(deed.peer))
            return account is not None and deed.limit > -account.floor
        case ResetSecondFactor():
            # Who is it that says they lost it? One person's word opens no customer's account.
            return True
        case AddOperator():
            return not deed.founding
        case RenewToken():
            # A new token for somebody else would let one person be two.
            return deed.name != by
        case EndOperator():
            return False
        case _:
            assert_never(deed)


# Two people.


def _propose(order: Act, deed: Deed, now: Instant) -> Step:
    proposal = Proposal(
        id=order.id,
        deed=deed,
        by=order.by,
        proposed_at=now,
        expires_at=later(now, LASTS_MS),
        status=ProposalStatus.AWAITING_APPROVAL,
    )
    writes = Writes(proposals={proposal.id: proposal})
    if isinstance(deed, Begin):
        claim = _claim(deed)
        writes.keys = {(claim.scope, claim.key): used(claim, proposal.id, None, now)}
    terms = {**terms_of(deed), "proposal": proposal.id}
    step = Step(writes=writes, reply=Proposed(id=proposal.id))
    return _recorded(step, order, terms, ProposalStatus.AWAITING_APPROVAL.value, now)


def _approve(view: View, order: Act, approve: Approve, now: Instant) -> Step:
    """Does what was proposed, with every check made afresh; that it cannot be done is an end of it too."""
    proposal = view.proposals.get(approve.proposal)
    denial = _approval_denial(view, order, proposal, now)
    if proposal is None or denial is not None:
        return _turned_down(order, proposal, denial or DenialCode.NOT_FOUND, now)
    if proposal.status is not ProposalStatus.AWAITING_APPROVAL:
        # The same person says it again, perhaps because the first answer was lost.
        return Step(writes=Writes(), reply=Proposed(id=proposal.id))
    done = _do(view, deed_of(proposal), proposal.by, now)
    outcome = outcome_of(done.reply)
    status = ProposalStatus.DONE if outcome == DONE else ProposalStatus.FAILED
    return _decided(order, proposal, done.writes, status, outcome, now)


def _approval_denial(view: View, order: Act, proposal: Proposal | None, now: Instant) -> DenialCode | None:
    if proposal is None:
        return DenialCode.NOT_FOUND
    if proposal.by == order.by:
        return DenialCode.SECOND_OPERATOR_REQUIRED
    second = _actor(view, order.by)
    if second is None or not _may_approve(second, proposal.deed):
        return DenialCode.FORBIDDEN
    if proposal.status in (ProposalStatus.DONE, ProposalStatus.FAILED) and proposal.decided_by == order.by:
        return None
    if proposal.status_at(now) is not ProposalStatus.AWAITING_APPROVAL:
        return DenialCode.PROPOSAL_CLOSED
    first = _actor(view, proposal.by)
    right = right_for(proposal.deed, proposal.by)
    if first is None or first.ended_at is not None:
        # Who may not ask any more has not asked.
        return DenialCode.PROPOSAL_CLOSED
    if right is not None and not first.may(right, view.bank.two_person):
        return DenialCode.PROPOSAL_CLOSED
    return None


def _reject(view: View, order: Act, reject: Reject, now: Instant) -> Step:
    """Whoever could approve it may refuse it, and whoever proposed it may take it back."""
    proposal = view.proposals.get(reject.proposal)
    if proposal is None:
        return _turned_down(order, None, DenialCode.NOT_FOUND, now)
    actor = _actor(view, order.by)
    if proposal.by != order.by and (actor is None or not _may_approve(actor, proposal.deed)):
        return _turned_down(order, proposal, DenialCode.FORBIDDEN, now)
    if proposal.status is ProposalStatus.REJECTED and proposal.decided_by == order.by:
        return Step(writes=Writes(), reply=Proposed(id=proposal.id))
    if proposal.status_at(now) is not ProposalStatus.AWAITING_APPROVAL:
        return _turned_down(order, proposal, DenialCode.PROPOSAL_CLOSED, now)
    return _decided(order, proposal, Writes(), ProposalStatus.REJECTED, None, now)


def _decided(
    order: Act, proposal: Proposal, writes: Writes, status: ProposalStatus, outcome: str | None, now: Instant
) -> Step:
    writes.proposals = {
        proposal.id: replace(proposal, status=status, decided_by=order.by, decided_at=now, outcome=outcome)
    }
    step = Step(writes=writes, reply=Proposed(id=proposal.id))
    return _recorded(step, order, _terms_of_decision(proposal), outcome or DONE, now)


def _turned_down(order: Act, proposal: Proposal | None, code: DenialCode, now: Instant) -> Step:
    step = Step(writes=Writes(), reply=Denied(code=code))
    terms = {} if proposal is None else _terms_of_decision(proposal)
    return _recorded(step, order, terms, code.value, now)


def deed_of(proposal: Proposal) -> Deed:
    """What is done when the proposal is approved. The key of the request leads to the proposal, so the payment that
    comes of it has one of its own, and that is used once."""
    deed = proposal.deed
    if not isinstance(deed, Begin):
        return deed
    return replace(deed, claim=Claim(scope="proposals", key=proposal.id, body=_claim(deed).body))


# The deeds.


def _do(view: View, deed: Deed, by: str, now: Instant) -> Step:
    match deed:
        case Begin():
            return begin(view, deed, now)
        case ChangeAccount():
            return change_account(view, deed)
        case SetCreditLimit():
            return _set_credit_limit(view, deed)
        case ResetSecondFactor():
            return _reset_second_factor(view, deed)
        case AddOperator():
            return _add_operator(view, deed, by, now)
        case RenewToken():
            return _renew_token(view, deed)
        case EndOperator():
            return _end_operator(view, deed, now)
        case _:
            assert_never(deed)


def _set_credit_limit(view: View, order: SetCreditLimit) -> Step:
    account = view.accounts.get(clearing(order.peer))
    if account is None:
        return _denied(DenialCode.NOT_FOUND)
    changed = replace(account, floor=-order.limit)
    writes = Writes(accounts={changed.id: changed}, limits={order.peer: order.limit})
    return Step(writes=writes, reply=AccountMade(account=changed))


def _reset_second_factor(view: View, order: ResetSecondFactor) -> Step:
    if order.document not in view.customers:
        return _denied(DenialCode.NOT_FOUND)
    return Step(writes=Writes(unguarded=[order.document]), reply=Removed())


def _add_operator(view: View, order: AddOperator, by: str, now: Instant) -> Step:
    if order.name in view.operators:
        return _denied(DenialCode.OPERATOR_EXISTS)
    operator = Operator(
        name=order.name,
        role=order.role,
        cash_limit=order.cash_limit,
        token_hash=order.token_hash,
        expires_at=order.expires_at,
        added_by=by,
        added_at=now,
        ended_at=None,
    )
    return Step(writes=Writes(named={operator.name: operator}), reply=OperatorMade(operator=operator))


def _renew_token(view: View, order: RenewToken) -> Step:
    operator = view.operators.get(order.name)
    if operator is None or operator.ended_at is not None:
        return _denied(DenialCode.NOT_FOUND)
    renewed = replace(operator, token_hash=order.token_hash, expires_at=order.expires_at)
    return Step(writes=Writes(operators={renewed.name: renewed}), reply=OperatorMade(operator=renewed))


def _end_operator(view: View, order: EndOperator, now: Instant) -> Step:
    operator = view.operators.get(order.name)
    if operator is None:
        return _denied(DenialCode.NOT_FOUND)
    if operator.ended_at is not None:
        return Step(writes=Writes(), reply=Removed())
    return Step(writes=Writes(operators={operator.name: replace(operator, ended_at=now)}), reply=Removed())


# The record.


def _recorded(step: Step, order: Act, terms: Terms, outcome: str, now: Instant) -> Step:
    action, subject = named(order.deed)
    step.writes.actions = [
        Action(
            id=order.id,
            at=now,
            operator=order.by,
            action=action,
            subject=subject,
            terms=terms,
            outcome=outcome,
        )
    ]
    return step


def named(deed: Deed | Approve | Reject | Trespass) -> tuple[str, str]:
    """What it is called, and what it is done to."""
    match deed:
        case Begin(transfers=(transfer, *_)):
            return deed.kind.value, transfer.target if transfer.source == VAULT else transfer.source
        case Begin():
            raise AssertionError("a payment has a transfer")
        case ChangeAccount():
            return deed.change, deed.account
        case SetCreditLimit():
            return "set_limit", deed.peer
        case ResetSecondFactor():
            return "reset_second_factor", deed.document
        case AddOperator():
            return "add_operator", deed.name
        case RenewToken():
            return "renew_token", deed.name
        case EndOperator():
            return "end_operator", deed.name
        case Approve():
            return "approve", deed.proposal
        case Reject():
            return "reject", deed.proposal
        case Trespass():
            return "trespass", deed.route
        case _:
            assert_never(deed)


def terms_of(deed: Deed | Approve | Reject | Trespass) -> Terms:
    """How: what a second person has to know before they agree. Never a token: its hash is what they compare."""
    match deed:
        case Begin():
            return {"amount": _amount(deed), "payment": deed.id, "description": deed.description}
        case SetCreditLimit():
            return {"limit": deed.limit}
        case AddOperator():
            return {
                "role": deed.role.value,
                "cash_limit": deed.cash_limit,
                "token_hash": deed.token_hash.hex(),
                "expires_at": deed.expires_at,
            }
        case RenewToken():
            return {"token_hash": deed.token_hash.hex(), "expires_at": deed.expires_at}
        case _:
            return {}


def _terms_of_decision(proposal: Proposal) -> Terms:
    action, subject = named(proposal.deed)
    return {"proposed": action, "subject": subject, "by": proposal.by, **terms_of(proposal.deed)}


def outcome_of(reply: Reply) -> str:
    match reply:
        case Denied(code=code):
            return code.value
        case Paid(record=record) if record.refusal is not None:
            return record.refusal.code.value
        case _:
            return DONE


# Details.


def _actor(view: View, name: str) -> Operator | None:
    """Root is known by its token alone, and that was looked at before."""
    return root(b"") if name == ROOT else view.operators.get(name)


def _amount(order: Begin) -> int:
    return sum(transfer.amount for transfer in order.transfers)


def _claim(cash: Begin) -> Claim:
    assert cash.claim is not None, "cash is asked for under a key"
    return cash.claim


def _made(view: View, claim: Claim) -> str | None:
    key = view.keys.get((claim.scope, claim.key))
    return None if key is None else key.made


def _denied(code: DenialCode) -> Step:
    return Step(writes=Writes(), reply=Denied(code=code))
