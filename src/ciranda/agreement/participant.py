"""The participant's rules: a table of every allowed (state, event), and nothing else (PROTOCOL section 3).

What is not in the table cannot happen between honest banks. A coordinator lives by the same table: its own bookings
are placed when it begins, and posted or released by the decision.
"""

from enum import StrEnum

from ciranda.refusal import Violation


class State(StrEnum):
    UNKNOWN = "unknown"
    AWAITING_APPROVAL = "awaiting_approval"
    """Asked for at this bank, and not begun: no other bank has heard of it, and nothing is held."""
    PREPARED = "prepared"
    """Our bookings are placed, and only the decision releases them."""
    COMMITTED = "committed"
    ABORTED = "aborted"

    @property
    def decided(self) -> bool:
        return self in (State.COMMITTED, State.ABORTED)


class Event(StrEnum):
    PREPARE_ABLE = "prepare, and we are able"
    PREPARE_UNABLE = "prepare, and we are not able, or the deadline has passed"
    COMMIT = "the decision is commit"
    ABORT = "the decision is abort"


class Effect(StrEnum):
    """What happens to our bookings."""

    NONE = "none"
    PLACE = "place"
    POST = "post"
    RELEASE = "release"


class Say(StrEnum):
    YES = "yes"
    NO = "no, why"
    DONE = "done"


TABLE: dict[tuple[State, Event], tuple[State, Effect, Say]] = {
    (State.UNKNOWN, Event.PREPARE_ABLE): (State.PREPARED, Effect.PLACE, Say.YES),
    (State.UNKNOWN, Event.PREPARE_UNABLE): (State.ABORTED, Effect.NONE, Say.NO),
    # The decision overtook the Prepare: remember it, or the late Prepare would be promised for nothing.
    (State.UNKNOWN, Event.ABORT): (State.ABORTED, Effect.NONE, Say.DONE),
    (State.PREPARED, Event.PREPARE_ABLE): (State.PREPARED, Effect.NONE, Say.YES),
    # A yes is a promise, even if today we could not (PROTOCOL 3.2).
    (State.PREPARED, Event.PREPARE_UNABLE): (State.PREPARED, Effect.NONE, Say.YES),
    (State.PREPARED, Event.COMMIT): (State.COMMITTED, Effect.POST, Say.DONE),
    (State.PREPARED, Event.ABORT): (State.ABORTED, Effect.RELEASE, Say.DONE),
    (State.COMMITTED, Event.PREPARE_ABLE): (State.COMMITTED, Effect.NONE, Say.YES),
    (State.COMMITTED, Event.PREPARE_UNABLE): (State.COMMITTED, Effect.NONE, Say.YES),
    (State.COMMITTED, Event.COMMIT): (State.COMMITTED, Effect.NONE, Say.DONE),
    (State.ABORTED, Event.PREPARE_ABLE): (State.ABORTED, Effect.NONE, Say.NO),
    (State.ABORTED, Event.PREPARE_UNABLE): (State.ABORTED, Effect.NONE, Say.NO),
    (State.ABORTED, Event.ABORT): (State.ABORTED, Effect.NONE, Say.DONE),
}


def follow(state: State, event: Event) -> tuple[State, Effect, Say]:
    """The row of the table. Raises Violation where there is none."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise Violation(f"{event}, but the payment is {state} here") from None
