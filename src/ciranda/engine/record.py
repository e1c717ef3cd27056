"""What one bank keeps of one payment, for ever (PROTOCOL 3.6)."""

import msgspec

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.header import Header
from ciranda.agreement.message import Decision
from ciranda.agreement.participant import State
from ciranda.engine.spent import Spent
from ciranda.identity import VAULT, Document, EndToEndId, Ispb, bank_of, clearing, coordinator_of
from ciranda.instant import Instant
from ciranda.ledger.booking import Booking
from ciranda.payment import Kind, Status, Transfer
from ciranda.refusal import Refusal

_DECISIONS = {State.COMMITTED: Decision.COMMIT, State.ABORTED: Decision.ABORT}


class Clause(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One transfer of a payment, as this bank knows it, and the mandate of ours that allows it."""

    transfer: Transfer
    mandate: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    id: EndToEndId
    kind: Kind
    state: State
    clauses: tuple[Clause, ...]
    """All transfers, at the coordinator; elsewhere those that concern this bank."""
    payer: Document | None
    """The customer of the coordinator who asked for it; None if an operator did."""
    description: str | None
    reference: str | None
    created_at: Instant
    decided_at: Instant | None = None
    refusal: Refusal | None = None
    digest: str | None = None
    """None for a payment that never left this bank."""
    header: Header | None = None
    promised: Ballot | None = None
    """The highest ballot that this bank promised as a witness, or used itself."""
    accepted: tuple[Ballot, Decision] | None = None
    untold: tuple[Ispb, ...] = ()
    """The banks that have not yet acknowledged the decision."""
    due: Instant | None = None
    """When recovery looks at it again; None once nothing is left to do."""
    counted: tuple[Spent, ...] = ()
    """What it was counted as against limits and daily mandates of ours, when it was placed."""

    @property
    def amount(self) -> int:
        return sum(clause.transfer.amount for clause in self.clauses)

    @property
    def status(self) -> Status:
        match self.state:
            case State.COMMITTED:
                return Status.SETTLED
            case State.ABORTED:
                return Status.REFUSED
            case State.AWAITING_APPROVAL:
                return Status.AWAITING_APPROVAL
            case _:
                return Status.PENDING

    @property
    def decision(self) -> Decision | None:
        """None while it is not decided, or not known here to be."""
        return _DECISIONS.get(self.state)

    def coordinated_by(self, bank: Ispb) -> bool:
        return coordinator_of(self.id) == bank


def booking_of(transfer: Transfer, bank: Ispb) -> Booking | None:
    """The booking that `bank` makes for a transfer (PROTOCOL 3.5); None if it holds neither account."""
    source, target = transfer.source, transfer.target
    ours_from = source == VAULT or bank_of(source) == bank
    ours_to = target == VAULT or bank_of(target) == bank
    if not (ours_from or ours_to):
        return None
    return Booking(
        debit=source if ours_from else clearing(bank_of(source)),
        credit=target if ours_to else clearing(bank_of(target)),
        amount=transfer.amount,
        source=source,
        target=target,
    )


def bookings_of(clauses: tuple[Clause, ...], bank: Ispb) -> list[Booking]:
    return [booking for clause in clauses if (booking := booking_of(clause.transfer, bank)) is not None]


def mandates_used(clauses: tuple[Clause, ...]) -> dict[str, int]:
    """How much the payment takes under each of our mandates, over all its transfers (PROTOCOL 3.4)."""
    used: dict[str, int] = {}
    for clause in clauses:
        if clause.mandate is not None:
            used[clause.mandate] = used.get(clause.mandate, 0) + clause.transfer.amount
    return used
