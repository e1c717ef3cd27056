"""The centre: one thing happens to the bank, and this says what is to be written, and only then answered.

`decide` looks at what was read and changes nothing. The one way in for money, from wherever it comes.
"""

from typing import assert_never

from msgspec.structs import replace

from ciranda.agreement.message import Violated, payment_of
from ciranda.engine.answering import answer
from ciranda.engine.approving import decline, expire, sign
from ciranda.engine.concluding import accept, take_ballot
from ciranda.engine.counter import (
    change_account,
    give_mandate,
    make_link,
    mismatched,
    open_account,
    pause_mandate,
    remove_link,
    revoke_mandate,
    set_limits,
)
from ciranda.engine.input import (
    Accept,
    Act,
    Begin,
    ChangeAccount,
    Decide,
    Decline,
    Expire,
    GiveMandate,
    Heard,
    Input,
    Learn,
    MakeLink,
    OpenAccount,
    PauseMandate,
    Postpone,
    RemoveLink,
    RevokeMandate,
    SetLimits,
    Sign,
    TakeBallot,
    Told,
)
from ciranda.engine.needs import claim_of
from ciranda.engine.operating import act
from ciranda.engine.paying import begin
from ciranda.engine.record import Record
from ciranda.engine.reply import Answered, DenialCode, Denied, Known
from ciranda.engine.settling import settle
from ciranda.engine.view import Step, View, ViolationSeen, Writes
from ciranda.instant import Instant
from ciranda.refusal import Violation


def decide(view: View, input: Input, now: Instant) -> Step:
    if mismatched(view, claim_of(input)):
        return Step(writes=Writes(), reply=Denied(code=DenialCode.IDEMPOTENCY_MISMATCH))
    match input:
        case Begin():
            return begin(view, input, now)
        case Heard():
            return _heard(view, input, now)
        case Decide() | Learn():
            return _decided(view, input, now)
        case TakeBallot():
            return take_ballot(view, input)
        case Accept():
            return accept(view, input, now)
        case Told():
            return _told(view, input)
        case Postpone():
            return _postponed(view, input)
        case Sign():
            return sign(view, input, now)
        case Decline():
            return decline(view, input, now)
        case Expire():
            return expire(view, input, now)
        case OpenAccount():
            return open_account(view, input, now)
        case ChangeAccount():
            return change_account(view, input)
        case GiveMandate():
            return give_mandate(view, input, now)
        case RevokeMandate():
            return revoke_mandate(view, input, now)
        case PauseMandate():
            return pause_mandate(view, input, now)
        case SetLimits():
            return set_limits(view, input, now)
        case MakeLink():
            return make_link(view, input, now)
        case RemoveLink():
            return remove_link(view, input)
        case Act():
            return act(view, input, now)
        case _:
            assert_never(input)


def _heard(view: View, heard: Heard, now: Instant) -> Step:
    try:
        return answer(view, heard, now)
    except Violation as violation:
        payment = payment_of(heard.question)
        seen = ViolationSeen(peer=heard.sender, payment=payment, reason=str(violation))
        return Step(writes=Writes(violations=[seen]), reply=Answered(answer=Violated(reason=str(violation))))


def _decided(view: View, input: Decide | Learn, now: Instant) -> Step:
    record = view.records.get(input.id)
    if record is None:
        return Step(writes=Writes(), reply=Known(record=None))
    if record.state.decided:
        # What is already decided stands, also against an attempt that holds every yes (PROTOCOL 5.5).
        return Step(writes=_evidence(record, input), reply=Known(record=record))
    writes, record = settle(view, record, input.decision, input.refusal, now)
    return Step(writes=writes, reply=Known(record=record))


def _evidence(record: Record, input: Decide | Learn) -> Writes:
    """Somebody says of a decided payment that it was decided otherwise: one of us is wrong, and an operator must see."""
    if isinstance(input, Decide) or input.decision is record.decision:
        return Writes()
    reason = f"says that it was decided to {input.decision}, and here it is {record.state}"
    return Writes(violations=[ViolationSeen(peer=input.said_by, payment=record.id, reason=reason)])


def _told(view: View, told: Told) -> Step:
    record = view.records.get(told.id)
    if record is None or told.bank not in record.untold:
        return Step(writes=Writes(), reply=Known(record=record))
    untold = tuple(bank for bank in record.untold if bank != told.bank)
    record = replace(record, untold=untold, due=record.due if untold else None)
    return Step(writes=Writes(records={record.id: record}), reply=Known(record=record))


def _postponed(view: View, postpone: Postpone) -> Step:
    record = view.records.get(postpone.id)
    if record is None or record.due is None:
        return Step(writes=Writes(), reply=Known(record=record))
    record = replace(record, due=postpone.due)
    return Step(writes=Writes(records={record.id: record}), reply=Known(record=record))
