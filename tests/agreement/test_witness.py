"""The register of a payment's decision: what was decided by a majority never changes (PROTOCOL section 4)."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciranda.agreement.ballot import Ballot, outranking
from ciranda.agreement.message import Accepted, Decided, Decision, Outbid, Promised
from ciranda.agreement.witness import Register, asked, majority, proposed
from ciranda.identity import EndToEndId, Ispb
from ciranda.refusal import Code, Refusal, Violation

PAYMENT = EndToEndId("E10000001202611230514abcDEF12345")
A, B, C = (Ispb(f"1000000{digit}") for digit in "123")
COMMIT, ABORT = Decision

ballots = st.builds(Ballot, st.integers(0, 4), st.sampled_from([A, B, C]), st.integers(0, 3))
questions = st.tuples(st.sampled_from(["ask", "propose"]), ballots, st.sampled_from(Decision))


def test_ballots_are_ordered_by_round_then_bank_then_nonce() -> None:
    """PROTOCOL 4.1."""
    ordered = [Ballot(0, C, 9), Ballot(1, A, 7), Ballot(1, B, 1), Ballot(1, B, 2), Ballot(2, A, 0)]
    assert all(low < high for low, high in pairwise(ordered))


@given(st.none() | ballots, st.integers(0, 2**64 - 1))
def test_a_fresh_ballot_outranks_all_that_was_seen_and_is_never_of_round_0(
    seen: Ballot | None, nonce: int
) -> None:
    """PROTOCOL 4.1."""
    fresh = outranking(seen, B, nonce)
    assert fresh.round > 0
    assert seen is None or (fresh > seen and fresh.round > seen.round)
    assert (fresh.bank, fresh.nonce) == (B, nonce)


def test_an_empty_register_promises_and_tells_that_nothing_was_accepted() -> None:
    """PROTOCOL 4.2 and 4.6."""
    register, said = asked(Register(), PAYMENT, Ballot(1, B, 1))
    assert said == Promised(id=PAYMENT, ballot=Ballot(1, B, 1), accepted=None)
    assert register.promised == Ballot(1, B, 1)


def test_a_lower_ballot_is_outbid_and_changes_nothing() -> None:
    """PROTOCOL 4.2 and 4.3."""
    register, _ = asked(Register(), PAYMENT, Ballot(2, B, 1))
    low = Ballot(1, C, 1)
    outbid = Outbid(id=PAYMENT, ballot=Ballot(2, B, 1))
    assert asked(register, PAYMENT, low) == (register, outbid)
    assert proposed(register, PAYMENT, low, ABORT) == (register, outbid)


def test_the_promise_rises_with_the_acceptance() -> None:
    """PROTOCOL 4.3: its careless form breaks agreement in 19 steps."""
    register, said = proposed(Register(), PAYMENT, Ballot(3, B, 1), COMMIT)
    assert said == Accepted(id=PAYMENT, ballot=Ballot(3, B, 1))
    assert register.promised == Ballot(3, B, 1)
    _, late = asked(register, PAYMENT, Ballot(2, C, 1))
    assert late == Outbid(id=PAYMENT, ballot=Ballot(3, B, 1))


def test_a_later_ballot_is_told_what_was_accepted() -> None:
    """PROTOCOL 4.2."""
    register, _ = proposed(Register(), PAYMENT, Ballot(0, A, 1), COMMIT)
    _, said = asked(register, PAYMENT, Ballot(1, B, 1))
    assert said == Promised(id=PAYMENT, ballot=Ballot(1, B, 1), accepted=(Ballot(0, A, 1), COMMIT))


def test_two_decisions_under_one_ballot_are_a_violation() -> None:
    """PROTOCOL 4.3."""
    register, said = proposed(Register(), PAYMENT, Ballot(1, B, 1), COMMIT)
    assert proposed(register, PAYMENT, Ballot(1, B, 1), COMMIT) == (register, said)
    with pytest.raises(Violation, match="one ballot"):
        proposed(register, PAYMENT, Ballot(1, B, 1), ABORT)


@given(st.sampled_from(Decision), questions)
def test_a_witness_that_knows_the_decision_answers_with_it_to_everything(
    decision: Decision, question: tuple[str, Ballot, Decision]
) -> None:
    """PROTOCOL 4.5."""
    refusal = Refusal(code=Code.ABORTED, bank=A) if decision is ABORT else None
    register = Register(decision=decision, refusal=refusal)
    kind, ballot, other = question
    after, said = (
        asked(register, PAYMENT, ballot) if kind == "ask" else proposed(register, PAYMENT, ballot, other)
    )
    assert after == register
    assert said == Decided(id=PAYMENT, decision=decision, refusal=refusal)


@given(st.lists(questions))
def test_promises_only_rise_and_nothing_is_accepted_under_a_ballot_that_was_not_promised(
    history: list[tuple[str, Ballot, Decision]],
) -> None:
    """PROTOCOL 4.2 and 4.3."""
    register = Register()
    for kind, ballot, decision in history:
        before = register
        try:
            register, said = (
                asked(register, PAYMENT, ballot)
                if kind == "ask"
                else proposed(register, PAYMENT, ballot, decision)
            )
        except Violation:
            continue
        assert register.promised is not None
        assert before.promised is None or register.promised >= before.promised
        if isinstance(said, Outbid):
            assert register == before
            assert said.ballot > ballot
        else:
            assert register.promised == ballot
        if register.accepted is not None:
            assert register.accepted[0] <= register.promised
        # The same question again: the same answer.
        if isinstance(said, Accepted):
            assert proposed(register, PAYMENT, ballot, decision) == (register, said)


def test_a_majority_is_more_than_half() -> None:
    """PROTOCOL 4.4: any two majorities have a witness in common."""
    assert [majority(count) for count in (1, 3, 5, 7)] == [1, 2, 3, 4]
    for count in (1, 3, 5):
        halves = [set(one) for one in combinations(range(count), majority(count))]
        assert all(one & other for one in halves for other in halves)


class Attempt:
    """One attempt to come to a decision: round 0 proposes commit, every other asks first (PROTOCOL 5.3, 6.1, 6.2)."""

    def __init__(self, ballot: Ballot) -> None:
        self.ballot = ballot
        self.promises: dict[int, tuple[Ballot, Decision] | None] = {}
        self.decision = COMMIT if ballot.round == 0 else None

    def step(
        self, witness: int, registers: list[Register], accepted: set[tuple[Ballot, Decision, int]]
    ) -> None:
        if self.decision is None:
            registers[witness], said = asked(registers[witness], PAYMENT, self.ballot)
            if isinstance(said, Promised):
                self.promises[witness] = said.accepted
            if len(self.promises) >= majority(len(registers)):
                before = max((one for one in self.promises.values() if one is not None), default=None)
                self.decision = ABORT if before is None else before[1]
        else:
            registers[witness], answer = proposed(registers[witness], PAYMENT, self.ballot, self.decision)
            if isinstance(answer, Accepted):
                accepted.add((self.ballot, self.decision, witness))


@settings(max_examples=300)
@given(
    st.sampled_from([3, 3, 5]),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 9)), min_size=10, max_size=80),
)
def test_a_decision_once_accepted_by_a_majority_never_changes(
    count: int, history: list[tuple[int, int, int]]
) -> None:
    """PROTOCOL 4.4: attempts of any banks, interleaved in any way, some given up for a fresh ballot."""
    registers = [Register() for _ in range(count)]
    attempts = [Attempt(Ballot(0, A, 0)), *(Attempt(Ballot(1, bank, 1)) for bank in (A, B, C))]
    accepted: set[tuple[Ballot, Decision, int]] = set()
    nonce = 1
    for which, witness, patience in history:
        attempt = attempts[which]
        attempt.step(witness % count, registers, accepted)
        if patience == 0 and which > 0:
            nonce += 1
            highest = max((r.promised for r in registers if r.promised is not None), default=None)
            attempts[which] = Attempt(outranking(highest, attempt.ballot.bank, nonce))
        decided = {
            decision
            for ballot, decision, _ in accepted
            if sum(one[:2] == (ballot, decision) for one in accepted) >= majority(count)
        }
        assert len(decided) <= 1
