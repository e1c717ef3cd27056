"""The coordinator's attempt: when it decides, and what (PROTOCOL 5.3)."""

from hypothesis import given
from hypothesis import strategies as st

from ciranda.agreement.coordinator import Attempt
from ciranda.agreement.message import Decision, Vote
from ciranda.identity import EndToEndId, Ispb
from ciranda.refusal import Code, Refusal

ID = EndToEndId("E10000001202611230514abcDEF12345")
A, B, C = (Ispb(f"1000000{digit}") for digit in "123")


def yes() -> Vote:
    return Vote(id=ID, refusal=None)


def no(bank: Ispb, code: Code = Code.INSUFFICIENT_FUNDS) -> Vote:
    return Vote(id=ID, refusal=Refusal(code=code, bank=bank))


def test_commit_needs_the_yes_of_every_bank() -> None:
    attempt = Attempt([A, B])
    decisions = []
    for bank in (A, A, B):
        attempt.voted(bank, yes())
        decisions.append(attempt.decision)
    assert decisions == [None, None, Decision.COMMIT]
    assert attempt.refusal is None


def test_the_first_no_decides_abort_and_its_reason_is_given() -> None:
    attempt = Attempt([A, B])
    attempt.voted(B, no(B))
    attempt.voted(A, no(A, Code.ZERO_AMOUNT))
    assert attempt.decision is Decision.ABORT
    assert attempt.refusal == Refusal(code=Code.INSUFFICIENT_FUNDS, bank=B)


def test_a_bank_that_refuses_cannot_say_that_another_one_did() -> None:
    attempt = Attempt([A, B])
    attempt.voted(B, no(A))
    assert attempt.refusal == Refusal(code=Code.INSUFFICIENT_FUNDS, bank=B)


def test_a_vote_that_does_not_come_decides_abort() -> None:
    attempt = Attempt([A, B])
    attempt.voted(A, yes())
    attempt.unheard(B, Code.DEADLINE_PASSED)
    attempt.voted(B, yes())
    assert attempt.decision is Decision.ABORT
    assert attempt.refusal == Refusal(code=Code.DEADLINE_PASSED, bank=B)


def test_once_commit_is_chosen_the_deadline_changes_nothing() -> None:
    attempt = Attempt([A])
    attempt.voted(A, yes())
    attempt.unheard(A, Code.DEADLINE_PASSED)
    attempt.voted(A, no(A))
    assert (attempt.decision, attempt.refusal) == (Decision.COMMIT, None)


def test_the_vote_of_a_bank_that_was_not_asked_counts_for_nothing() -> None:
    attempt = Attempt([A])
    attempt.voted(C, no(C))
    attempt.voted(B, yes())
    assert attempt.decision is None


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["yes", "no", "unheard"]))))
def test_an_attempt_decides_at_most_once_and_commits_only_with_every_yes(
    votes: list[tuple[Ispb, str]],
) -> None:
    attempt, first, said = Attempt([A, B, C]), None, set[Ispb]()
    for bank, vote in votes:
        if vote == "unheard":
            attempt.unheard(bank, Code.DEADLINE_PASSED)
        else:
            attempt.voted(bank, yes() if vote == "yes" else no(bank))
        if vote == "yes":
            said.add(bank)
        if first is None and attempt.decision is not None:
            first = attempt.decision
            assert (first is Decision.ABORT) is (vote != "yes")
            assert first is Decision.ABORT or said == {A, B, C}
        assert attempt.decision is first
