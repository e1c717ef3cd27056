"""What must hold over the books of all banks (PROTOCOL section 7): I1, I2 and I4, as functions of what the banks say.

The banks are asked one after the other while payments go on, so what they say need not fit together at once. What looks
wrong is asked again: only what is wrong twice in the same way, with nothing in doubt, is a finding.
"""

from enum import StrEnum

import msgspec

from ciranda.client import Audit, KnownPayment, Position
from ciranda.payment import Status


class Verdict(StrEnum):
    HOLDS = "holds"
    BROKEN = "broken"
    MOVING = "moving"
    """It cannot be told yet: payments between the two are under way."""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """One bank's book, at one moment."""

    ispb: str
    name: str
    audit: Audit
    positions: list[Position]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two banks, and what each says that it owes the other. The two figures must sum to zero (I4)."""

    one: str
    other: str
    one_says: int
    other_says: int
    at_rest: bool
    """Neither bank had a payment in doubt."""
    agreed: int
    """In how many looks the two figures summed to zero."""
    verdict: Verdict


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of which two banks say different things (I2)."""

    payment: str
    one: str
    other: str
    what: str


class Looks:
    """Looks at all books, one after another, until they have shown what holds and what does not."""

    def __init__(self) -> None:
        self.books: list[Book] = []
        self.unbalanced: list[str] = []
        """Banks whose balances did not sum to zero (I1) in two looks."""
        self._suspects: list[str] = []
        self._pairs: dict[tuple[str, str], Pair] = {}

    @property
    def pairs(self) -> list[Pair]:
        return list(self._pairs.values())

    @property
    def clear(self) -> bool:
        """Whether a further look would tell nothing new."""
        moving = any(pair.verdict is Verdict.MOVING for pair in self.pairs)
        return not moving and set(self._suspects) == set(self.unbalanced)

    def see(self, books: list[Book]) -> None:
        suspects = [book.ispb for book in books if not _balanced(book)]
        self.unbalanced = [ispb for ispb in suspects if ispb in self._suspects]
        self._suspects = suspects
        for place, one in enumerate(books):
            for other in books[place + 1 :]:
                earlier = self._pairs.get((one.ispb, other.ispb))
                # What held once holds: a difference that is there stays there.
                if earlier is None or earlier.verdict is not Verdict.HOLDS:
                    self._pairs[one.ispb, other.ispb] = _compared(one, other, earlier)
        self.books = books


def _balanced(book: Book) -> bool:
    """By the bank's own account and by ours."""
    return book.audit.sum == 0 and book.audit.balances.sum == 0


def _compared(one: Book, other: Book, earlier: Pair | None) -> Pair:
    one_says = one.audit.balances.clearing.get(other.ispb, 0)
    other_says = other.audit.balances.clearing.get(one.ispb, 0)
    # A payment in doubt does not say which banks it is between: any of them may be the difference.
    at_rest = one.audit.payments.in_doubt == other.audit.payments.in_doubt == 0
    agreed = (earlier.agreed if earlier else 0) + (one_says + other_says == 0)
    if one_says + other_says == 0:
        # While payments run, a difference and what is under way could cancel out: by chance, but not twice.
        verdict = Verdict.HOLDS if at_rest or agreed > 1 else Verdict.MOVING
    elif at_rest and earlier and earlier.at_rest and _same(earlier, one_says, other_says):
        verdict = Verdict.BROKEN
    else:
        verdict = Verdict.MOVING
    return Pair(
        one=one.ispb,
        other=other.ispb,
        one_says=one_says,
        other_says=other_says,
        at_rest=at_rest,
        agreed=agreed,
        verdict=verdict,
    )


def _same(earlier: Pair, one_says: int, other_says: int) -> bool:
    return (earlier.one_says, earlier.other_says) == (one_says, other_says)


class Decisions:
    """Gathers what all banks say of all payments, and finds where two of them contradict each other (I2).

    Of each payment one bank's word is remembered: the digest, and the decision as soon as any bank knows it. A payment
    may be pending in one bank and decided in another, but it is never settled here and refused there.
    """

    def __init__(self) -> None:
        self.contradictions: list[Contradiction] = []
        self._digests: dict[str, tuple[str, str]] = {}
        self._decided: dict[str, tuple[Status, str]] = {}
        self._known: set[str] = set()

    @property
    def payments(self) -> int:
        return len(self._known)

    def hear(self, bank: str, payment: KnownPayment) -> None:
        self._known.add(payment.id)
        if payment.digest is not None:
            digest, other = self._digests.setdefault(payment.id, (payment.digest, bank))
            if digest != payment.digest:
                self._contradict(payment.id, other, bank, f"digest {digest}, and digest {payment.digest}")
        if payment.status in (Status.SETTLED, Status.REFUSED):
            status, other = self._decided.setdefault(payment.id, (payment.status, bank))
            if status is not payment.status:
                self._contradict(payment.id, other, bank, f"{status}, and {payment.status}")

    def _contradict(self, payment: str, one: str, other: str, what: str) -> None:
        self.contradictions.append(Contradiction(payment=payment, one=one, other=other, what=what))
