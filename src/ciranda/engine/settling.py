"""A decision, applied: the bookings are posted or released, once.

Whoever brings the decision (the coordinator's own attempt, a peer that tells it, our own recovery), the row of the
participant's table is the same.
"""

from msgspec.structs import replace

from ciranda.agreement.message import Decision
from ciranda.agreement.participant import Effect, Event, State, follow
from ciranda.engine.counting import give_back
from ciranda.engine.placing import booked
from ciranda.engine.record import Record, bookings_of
from ciranda.engine.view import View, Writes
from ciranda.identity import Ispb
from ciranda.instant import Instant, later
from ciranda.ledger.booking import Book
from ciranda.refusal import Code, Refusal

TELL_AGAIN_MS = 2_000
"""How long the first telling has before recovery tells again."""


def settle(
    view: View, record: Record, decision: Decision, refusal: Refusal | None, now: Instant
) -> tuple[Writes, Record]:
    """What the decision changes here, and the record after it. Raises Violation if it contradicts what is decided."""
    event = Event.COMMIT if decision is Decision.COMMIT else Event.ABORT
    state, effect, _ = follow(record.state, event)
    if state is record.state:
        return Writes(), record
    why = refusal or Refusal(code=Code.ABORTED, bank=view.bank.ispb)
    untold = others(record, view.bank.ispb) if record.coordinated_by(view.bank.ispb) else ()
    settled = replace(
        record,
        state=state,
        decided_at=now,
        refusal=why if state is State.ABORTED else None,
        untold=untold,
        due=later(now, TELL_AGAIN_MS) if untold else None,
    )
    writes = Writes()
    book = Book(view.accounts.get)
    match effect:
        case Effect.POST:
            for booking in bookings_of(record.clauses, view.bank.ispb):
                book.post(booking, record.id, now)
            writes = booked(book)
        case Effect.RELEASE:
            for booking in bookings_of(record.clauses, view.bank.ispb):
                book.release(booking)
            writes = booked(book)
            give_back(view, record, writes)
        case Effect.NONE | Effect.PLACE:
            pass
    writes.records = {settled.id: settled}
    return writes, settled


def others(record: Record, bank: Ispb) -> tuple[Ispb, ...]:
    """The other banks of the payment: each of them must hear the decision."""
    if record.header is None:
        return ()
    return tuple(sorted(record.header.banks - {bank}))
