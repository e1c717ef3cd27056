"""The holders' word on what awaits them: all approve and it begins, one refuses and it ends, nobody does and it expires.

Whatever happens first is what happened: each input is decided on over the same row, and once the wait is over the others
find it over.
"""

from msgspec.structs import replace

from ciranda.agreement.participant import State
from ciranda.engine.approval import Approval, Signed, Subject
from ciranda.engine.input import Decline, Expire, Sign
from ciranda.engine.paying import start
from ciranda.engine.record import Clause
from ciranda.engine.reply import DenialCode, Denied, MandateMade, Paid, Reply
from ciranda.engine.view import Step, View, Writes
from ciranda.engine.waiting import leave, never_given
from ciranda.identity import Document, EndToEndId
from ciranda.instant import Instant
from ciranda.refusal import Code, Refusal


def sign(view: View, order: Sign, now: Instant) -> Step:
    approval = view.approvals.get(order.id)
    if approval is None or approval.subject is not order.subject or order.caller not in approval.holders:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    if approval.ended_at is not None:
        return Step(writes=Writes(), reply=_present(view, approval))
    if now >= approval.expires_at:
        return _end(view, approval, None, now)
    if order.caller in approval.missing:
        approval = replace(approval, approved=(*approval.approved, Signed(holder=order.caller, at=now)))
    if not approval.missing:
        return _signed(view, approval, order, now)
    return Step(writes=Writes(approvals={approval.id: approval}), reply=_present(view, approval))


def decline(view: View, order: Decline, now: Instant) -> Step:
    """Also for a holder who approved before, and for the asker: until all have signed anyone may think again."""
    approval = view.approvals.get(order.id)
    if approval is None or approval.subject is not order.subject or order.caller not in approval.holders:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    if approval.ended_at is None:
        return _end(view, approval, order.caller if now < approval.expires_at else None, now)
    if not approval.missing:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.ALREADY_DECIDED))
    return Step(writes=Writes(), reply=_as_it_is(view, approval))


def expire(view: View, order: Expire, now: Instant) -> Step:
    approval = view.approvals.get(order.id)
    if approval is None:
        return Step(writes=Writes(), reply=Denied(code=DenialCode.NOT_FOUND))
    if approval.ended_at is not None or now < approval.expires_at:
        return Step(writes=Writes(), reply=_as_it_is(view, approval))
    return _end(view, approval, None, now)


def _signed(view: View, approval: Approval, order: Sign, now: Instant) -> Step:
    """The last holder has signed: what was asked for is done as if it were asked for now."""
    writes = leave(view, approval, None, now)
    if approval.subject is Subject.MANDATE:
        mandate = replace(view.mandates[approval.id], approved_at=now)
        writes.mandates = {mandate.id: mandate}
        return Step(writes=writes, reply=MandateMade(mandate=mandate))
    assert order.begin is not None, "whoever approves a payment brings what is needed to begin it"
    asked = view.records[order.begin.id]
    assert asked.state is State.AWAITING_APPROVAL, "it has not begun before"
    assert asked.payer == order.begin.caller, "it is begun for whoever asked for it"
    assert tuple(clause.transfer for clause in asked.clauses) == order.begin.transfers, (
        "what was signed is paid"
    )
    begun = start(view, order.begin, now, signed=True)
    assert isinstance(begun.reply, Paid), "an order is answered with a payment"
    record = replace(begun.reply.record, created_at=asked.created_at)
    begun.writes.records = {record.id: record}
    writes.merge(begun.writes)
    return Step(writes=writes, reply=Paid(record=record, begun=True))


def _end(view: View, approval: Approval, refused_by: Document | None, now: Instant) -> Step:
    """It will not happen: a holder refused, or the time is over."""
    writes = leave(view, approval, refused_by, now)
    if approval.subject is Subject.MANDATE:
        mandate = replace(view.mandates[approval.id], revoked_at=now)
        writes.mandates = {mandate.id: mandate}
        denied = Denied(code=DenialCode.DEADLINE_PASSED) if refused_by is None else None
        return Step(writes=writes, reply=denied or MandateMade(mandate=mandate))
    asked = view.records[EndToEndId(approval.id)]
    assert asked.state is State.AWAITING_APPROVAL, "it has not begun"
    code = Code.DEADLINE_PASSED if refused_by is None else Code.NOT_PERMITTED
    record = replace(
        asked,
        state=State.ABORTED,
        clauses=tuple(Clause(transfer=clause.transfer) for clause in asked.clauses),
        decided_at=now,
        refusal=Refusal(code=code, bank=view.bank.ispb),
    )
    writes.records = {record.id: record}
    return Step(writes=writes, reply=Paid(record=record))


def _present(view: View, approval: Approval) -> Reply:
    """What whoever wants it is told: of a mandate that some holder did not want, why there is none."""
    if approval.subject is Subject.MANDATE and approval.ended_at is not None and approval.missing:
        return never_given(approval)
    return _as_it_is(view, approval)


def _as_it_is(view: View, approval: Approval) -> Reply:
    if approval.subject is Subject.MANDATE:
        return MandateMade(mandate=view.mandates[approval.id])
    return Paid(record=view.records[EndToEndId(approval.id)])
