"""Coming to a decision with other witnesses: fresh ballots, and this bank's own acceptance (PROTOCOL 4 to 6).

As a witness this bank answers its own attempts by the same rules as everyone else's.
"""

from msgspec.structs import replace

from ciranda.agreement.ballot import outranking
from ciranda.agreement.message import Accepted
from ciranda.agreement.witness import Register, asked, majority, proposed
from ciranda.engine.input import Accept, TakeBallot
from ciranda.engine.record import Record
from ciranda.engine.reply import BallotTaken, Known
from ciranda.engine.settling import settle
from ciranda.engine.view import Step, View, Writes
from ciranda.instant import Instant


def take_ballot(view: View, order: TakeBallot) -> Step:
    """The ballot is higher than any that this bank has used or seen, and is written down before it is used."""
    record = view.records.get(order.id)
    if record is None or record.state.decided:
        return Step(writes=Writes(), reply=Known(record=record))
    seen = max((ballot for ballot in (record.promised, order.seen) if ballot is not None), default=None)
    ballot = outranking(seen, view.bank.ispb, order.nonce)
    register, _ = asked(register_of(record), record.id, ballot)
    taken = with_register(record, register)
    return Step(writes=Writes(records={taken.id: taken}), reply=BallotTaken(ballot=ballot, record=taken))


def accept(view: View, order: Accept, now: Instant) -> Step:
    """The reply's record is decided, if this made a majority; if not, a higher ballot was in the way."""
    record = view.records.get(order.id)
    if record is None or record.state.decided:
        return Step(writes=Writes(), reply=Known(record=record))
    assert record.header is not None, "what has witnesses has a header"
    witnesses, accepted = record.header.witnesses, order.others
    if view.bank.ispb in witnesses:
        register, said = proposed(register_of(record), record.id, order.ballot, order.decision)
        if isinstance(said, Accepted):
            record = with_register(record, register)
            accepted += 1
    if accepted < majority(len(witnesses)):
        return Step(writes=Writes(records={record.id: record}), reply=Known(record=record))
    writes, record = settle(view, record, order.decision, None, now)
    return Step(writes=writes, reply=Known(record=record))


def register_of(record: Record) -> Register:
    """This bank's row of the payment's register."""
    return Register(
        promised=record.promised,
        accepted=record.accepted,
        decision=record.decision,
        refusal=record.refusal,
    )


def with_register(record: Record, register: Register) -> Record:
    return replace(record, promised=register.promised, accepted=register.accepted)
