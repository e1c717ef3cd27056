"""The audit's three checks, on books that were cooked for it."""

from ciranda.cli.books import Book, Decisions, Looks, Verdict
from ciranda.client import Audit, Balances, Counts, KnownPayment
from ciranda.payment import Status


def book(
    ispb: str, peer: str, owes: int, *, customers: int = 0, in_doubt: int = 0, sum: int | None = None
) -> Book:
    """A bank's book, balanced unless `sum` says otherwise."""
    vault = -customers - owes
    return Book(
        ispb=ispb,
        name=ispb,
        audit=Audit(
            balances=Balances(customers=customers, vault=vault, clearing={peer: owes}),
            sum=0 if sum is None else sum,
            held=0,
            accounts=1,
            payments=Counts(settled=0, refused=0, in_doubt=in_doubt),
            in_doubt=[],
        ),
        positions=[],
    )


def looks(*seen: list[Book]) -> Looks:
    made = Looks()
    for books in seen:
        made.see(books)
    return made


def verdict(made: Looks) -> Verdict:
    (pair,) = made.pairs
    return pair.verdict


def test_positions_that_mirror_each_other_hold_at_the_first_look() -> None:
    made = looks([book("A", "B", 10), book("B", "A", -10)])
    assert verdict(made) is Verdict.HOLDS
    assert made.clear


def test_positions_that_differ_once_are_looked_at_again() -> None:
    made = looks([book("A", "B", 10), book("B", "A", 0)])
    assert verdict(made) is Verdict.MOVING
    assert not made.clear


def test_positions_that_differ_twice_in_the_same_way_are_a_finding() -> None:
    wrong = [book("A", "B", 10), book("B", "A", 0)]
    made = looks(wrong, wrong)
    assert verdict(made) is Verdict.BROKEN
    assert made.clear


def test_positions_that_differ_twice_in_different_ways_are_still_moving() -> None:
    made = looks([book("A", "B", 10), book("B", "A", 0)], [book("A", "B", 20), book("B", "A", -10)])
    assert verdict(made) is Verdict.MOVING


def test_positions_are_no_finding_while_anything_is_in_doubt() -> None:
    wrong = [book("A", "B", 10), book("B", "A", 0, in_doubt=1)]
    assert verdict(looks(wrong, wrong, wrong)) is Verdict.MOVING


def test_a_look_with_doubt_does_not_count_towards_a_finding() -> None:
    doubtful = [book("A", "B", 10), book("B", "A", 0, in_doubt=1)]
    made = looks(doubtful, [book("A", "B", 10), book("B", "A", 0)])
    assert verdict(made) is Verdict.MOVING


def test_positions_that_came_to_rest_hold() -> None:
    made = looks(
        [book("A", "B", 10), book("B", "A", 0, in_doubt=1)], [book("A", "B", 10), book("B", "A", -10)]
    )
    assert verdict(made) is Verdict.HOLDS


def test_positions_that_agree_while_anything_is_in_doubt_must_agree_twice() -> None:
    running = [book("A", "B", 10, in_doubt=1), book("B", "A", -10)]
    assert verdict(looks(running)) is Verdict.MOVING
    assert verdict(looks(running, running)) is Verdict.HOLDS


def test_a_bank_whose_balances_do_not_sum_to_zero_twice_is_a_finding() -> None:
    wrong = [book("A", "B", 0, sum=1), book("B", "A", 0)]
    once = looks(wrong)
    assert once.unbalanced == []
    assert not once.clear
    twice = looks(wrong, wrong)
    assert twice.unbalanced == ["A"]
    assert twice.clear


def test_a_bank_that_claims_a_sum_of_zero_is_added_up_all_the_same() -> None:
    cooked = book("A", "B", 0, customers=100)
    balances = Balances(customers=100, vault=-99, clearing={})
    audit = Audit(balances=balances, sum=0, held=0, accounts=1, payments=cooked.audit.payments, in_doubt=[])
    wrong = [Book(ispb="A", name="A", audit=audit, positions=[])]
    assert looks(wrong, wrong).unbalanced == ["A"]


def contradictions(*heard: tuple[str, str, Status, str | None]) -> list[tuple[str, str, str]]:
    decisions = Decisions()
    for bank, id, status, digest in heard:
        decisions.hear(bank, KnownPayment(id=id, status=status, digest=digest))
    return [(found.payment, found.one, found.other) for found in decisions.contradictions]


def test_a_payment_settled_here_and_refused_there_is_a_contradiction() -> None:
    assert contradictions(
        ("A", "E1", Status.SETTLED, "d"), ("B", "E1", Status.PENDING, "d"), ("C", "E1", Status.REFUSED, "d")
    ) == [("E1", "A", "C")]


def test_a_decision_heard_after_a_pending_one_still_counts() -> None:
    assert contradictions(
        ("A", "E1", Status.PENDING, "d"), ("B", "E1", Status.REFUSED, "d"), ("C", "E1", Status.SETTLED, "d")
    ) == [("E1", "B", "C")]


def test_a_payment_pending_here_and_decided_there_is_none() -> None:
    assert contradictions(("A", "E1", Status.PENDING, "d"), ("B", "E1", Status.SETTLED, "d")) == []


def test_a_payment_with_two_digests_is_a_contradiction() -> None:
    assert contradictions(("A", "E1", Status.SETTLED, "d"), ("B", "E1", Status.SETTLED, "e")) == [
        ("E1", "A", "B")
    ]


def test_a_payment_whose_digest_a_bank_does_not_know_yet_is_none() -> None:
    assert contradictions(("A", "E1", Status.AWAITING_APPROVAL, None), ("B", "E1", Status.SETTLED, "d")) == []


def test_every_payment_is_counted_once() -> None:
    decisions = Decisions()
    for bank in "ABC":
        decisions.hear(bank, KnownPayment(id="E1", status=Status.SETTLED, digest="d"))
    assert decisions.payments == 1
