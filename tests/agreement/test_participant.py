"""The participant's table: what is in it, and that nothing else can happen (PROTOCOL section 3)."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciranda.agreement.participant import TABLE, Effect, Event, Say, State, follow
from ciranda.refusal import Violation

ABLE, UNABLE, COMMIT, ABORT = Event
UNKNOWN, AWAITING, PREPARED, COMMITTED, ABORTED = State

VIOLATIONS = {
    # Nobody could have decided commit without our yes.
    (UNKNOWN, COMMIT),
    # What was never begun is not known to any other bank.
    (AWAITING, ABLE),
    (AWAITING, UNABLE),
    (AWAITING, COMMIT),
    (AWAITING, ABORT),
    # Two decisions on one payment.
    (COMMITTED, ABORT),
    (ABORTED, COMMIT),
}


def test_what_is_not_in_the_table_is_a_violation() -> None:
    """PROTOCOL 3.1."""
    assert set(product(State, Event)) - set(TABLE) == VIOLATIONS
    for state, event in VIOLATIONS:
        with pytest.raises(Violation, match=state):
            follow(state, event)


def test_the_protocol_shows_the_same_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "PROTOCOL.md").read_text()
    states = "|".join(state.value for state in State)
    rows = re.findall(rf"^\| ({states}) \| ([^|]+) \| ({states}) \| (\w+) \| ([^|]+) \|$", page, re.MULTILINE)
    assert rows == [
        (state.value, event.value, after.value, effect.value, say.value)
        for (state, event), (after, effect, say) in TABLE.items()
    ]


def test_a_bank_that_said_yes_never_says_no_until_told_to_abort() -> None:
    """PROTOCOL 3.2."""
    for event in (ABLE, UNABLE):
        assert follow(PREPARED, event) == (PREPARED, Effect.NONE, Say.YES)
    assert follow(PREPARED, ABORT) == (ABORTED, Effect.RELEASE, Say.DONE)
    assert follow(ABORTED, ABLE) == (ABORTED, Effect.NONE, Say.NO)


def test_an_abort_that_overtook_the_prepare_is_remembered() -> None:
    state, effect, _ = follow(UNKNOWN, ABORT)
    assert (state, effect) == (ABORTED, Effect.NONE)
    assert follow(state, ABLE) == (ABORTED, Effect.NONE, Say.NO)


@given(st.lists(st.sampled_from(Event)))
def test_in_any_history_bookings_are_placed_once_and_ended_once_and_a_decision_stands(
    events: list[Event],
) -> None:
    """PROTOCOL I8, 3.6."""
    state, effects, decided = UNKNOWN, list[Effect](), None
    for event in events:
        try:
            state, effect, say = follow(state, event)
        except Violation:
            continue
        if effect is not Effect.NONE:
            effects.append(effect)
        if decided is not None:
            assert state is decided
        if state.decided:
            decided = state
        if event in (ABLE, UNABLE):
            assert (say is Say.NO) is (state is ABORTED)
    assert effects in ([], [Effect.PLACE], [Effect.PLACE, Effect.POST], [Effect.PLACE, Effect.RELEASE])
    assert (Effect.POST in effects) is (state is COMMITTED)
