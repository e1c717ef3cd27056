"""Bookings against the simplest book that there is: a dict of integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ciranda.identity import VAULT, AccountId, EndToEndId, Ispb, clearing, make_address
from ciranda.instant import Instant
from ciranda.ledger.account import Account, AccountKind, clearing_account, customers_account, vault
from ciranda.ledger.booking import Book, Booking, Shortage
from ciranda.ledger.trial_balance import TrialBalance, assert_whole

BANK, PEER = Ispb("10000001"), Ispb("10000002")
PAYMENT = EndToEndId("E10000001202611230514abcDEF12345")
ANA, BIA = (AccountId(make_address(BANK, "0001", number)) for number in ("1", "2"))
LIMIT, CEILING = 150, 1_000


def opened() -> dict[AccountId, Account]:
    customers = [
        replace(customers_account(make_address(BANK, "0001", number), AccountKind.INDIVIDUAL, (), None, Instant(0)),
                ceiling=CEILING)
        for number in ("1", "2")
    ]  # fmt: skip
    own = [vault(Instant(0)), clearing_account(PEER, LIMIT, Instant(0))]
    return {account.id: account for account in (*customers, *own)}


def booking(debit: AccountId, credit: AccountId, amount: int) -> Booking:
    return Booking(debit=debit, credit=credit, amount=amount, source=debit, target=credit)


def pay(book: Book, debit: AccountId, credit: AccountId, amount: int) -> None:
    paid = booking(debit, credit, amount)
    assert book.place(paid) is None
    book.post(paid, PAYMENT, Instant(0))


class NaiveBook:
    """Balances, and the list of what was promised."""

    def __init__(self) -> None:
        self.balances = dict.fromkeys(opened(), 0)
        self.promised: list[Booking] = []

    def held(self, id: AccountId) -> int:
        return sum(one.amount for one in self.promised if one.debit == id)

    def incoming(self, id: AccountId) -> int:
        return sum(one.amount for one in self.promised if one.credit == id)

    def shortage(self, wanted: Booking) -> Shortage | None:
        floor = {VAULT: -(10**30), clearing(PEER): -LIMIT}.get(wanted.debit, 0)
        ceiling = CEILING if wanted.credit in (ANA, BIA) else 10**30
        if self.balances[wanted.debit] - self.held(wanted.debit) - wanted.amount < floor:
            return Shortage.UNDER_FLOOR
        if self.balances[wanted.credit] + self.incoming(wanted.credit) + wanted.amount > ceiling:
            return Shortage.OVER_CEILING
        return None


names = st.sampled_from(sorted(opened()))
acts = st.lists(
    st.tuples(
        st.sampled_from(["place", "place", "place", "post", "release"]), names, names, st.integers(1, 600)
    )
)


@given(acts)
def test_no_history_of_bookings_differs_from_adding_up_integers(
    history: list[tuple[str, AccountId, AccountId, int]],
) -> None:
    """PROTOCOL I1: sums to zero, nobody under the floor, held is the sum of what is placed."""
    accounts, naive = opened(), NaiveBook()
    book = Book(accounts.get)
    for act, debit, credit, amount in history:
        if act == "place" and debit != credit:
            wanted = booking(debit, credit, amount)
            expected = naive.shortage(wanted)
            assert book.place(wanted) is expected
            if expected is None:
                naive.promised.append(wanted)
        elif act == "post" and naive.promised:
            one = naive.promised.pop(amount % len(naive.promised))
            book.post(one, EndToEndId(f"{PAYMENT}{len(book.entries)}"), Instant(amount))
            naive.balances[one.debit] -= one.amount
            naive.balances[one.credit] += one.amount
        elif act == "release" and naive.promised:
            book.release(naive.promised.pop(amount % len(naive.promised)))
        for id in accounts:
            now = book[id]
            assert (now.balance, now.held, now.incoming) == (
                naive.balances[id],
                naive.held(id),
                naive.incoming(id),
            )
            assert now.available >= 0
            assert now.room >= 0
        assert sum(book[id].balance for id in accounts) == 0
        assert_whole(accounts, book.changed)
    assert accounts == opened()
    for id in accounts:
        lines = [entry for entry in book.entries if entry.account == id]
        assert [line.previous for line in lines] == [None, *(line.payment for line in lines)][: len(lines)]
        assert book[id].latest == (lines[-1].payment if lines else None)
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        assert [line.balance for line in lines] == [
            sum(x.amount for x in lines[: n + 1]) for n in range(len(lines))
        ]
        assert book[id].entries == len(lines)
        assert book[id].balance == sum(line.amount for line in lines)


def test_a_posted_booking_writes_one_line_on_each_side() -> None:
    book = Book(opened().get)
    pay(book, VAULT, ANA, 100)
    pay(book, ANA, BIA, 30)
    lines = [
        (line.account, line.number, line.amount, line.balance, line.counterpart) for line in book.entries
    ]
    assert lines == [
        (VAULT, 1, -100, -100, ANA),
        (ANA, 1, 100, 100, VAULT),
        (ANA, 2, -30, 70, BIA),
        (BIA, 1, 30, 30, ANA),
    ]


def test_a_line_names_the_other_end_wherever_it_is_kept() -> None:
    book = Book(opened().get)
    far = AccountId(make_address(PEER, "0001", "9"))
    pay(book, VAULT, ANA, 100)
    out = Booking(debit=ANA, credit=clearing(PEER), amount=10, source=ANA, target=far)
    book.place(out)
    book.post(out, PAYMENT, Instant(0))
    assert [line.counterpart for line in book.entries[2:]] == [far, ANA]


def test_what_is_promised_to_one_payment_is_not_there_for_another() -> None:
    book = Book(opened().get)
    pay(book, VAULT, ANA, 100)
    assert book.place(booking(ANA, BIA, 60)) is None
    assert book.place(booking(ANA, BIA, 41)) is Shortage.UNDER_FLOOR
    assert book.place(booking(ANA, BIA, 40)) is None


def test_money_that_is_only_on_its_way_cannot_be_spent() -> None:
    book = Book(opened().get)
    pay(book, VAULT, ANA, 100)
    book.place(booking(ANA, BIA, 100))
    assert book.place(booking(BIA, ANA, 1)) is Shortage.UNDER_FLOOR


@pytest.mark.parametrize("end", ["post", "release"])
def test_what_was_never_placed_is_neither_posted_nor_released(end: str) -> None:
    book = Book(opened().get)
    pay(book, VAULT, ANA, 100)
    with pytest.raises(AssertionError, match="only a placed booking"):
        book.post(booking(ANA, BIA, 1), PAYMENT, Instant(0)) if end == "post" else book.release(
            booking(ANA, BIA, 1)
        )


def test_an_account_that_was_not_read_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="was not read"):
        Book(lambda id: None).place(booking(ANA, BIA, 1))


# The trial balance.


def test_a_whole_book_sums_to_zero() -> None:
    balance = TrialBalance(customers=100, vault=-130, clearing={PEER: 30}, held=0, accounts=2)
    assert balance.sum == 0


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"balance": 1}, "makes or loses 1"),
        ({"held": 1}, "under its floor"),
        ({"held": -1}, "holds less than nothing"),
        ({"incoming": -1}, "expects less than nothing"),
    ],
)
def test_a_change_that_is_not_whole_is_stopped_before_it_is_written(wrong: dict[str, int], why: str) -> None:
    """PROTOCOL I1."""
    before = opened()
    with pytest.raises(AssertionError, match=why):
        assert_whole(before, {ANA: replace(before[ANA], **wrong)})


def test_a_new_account_does_not_bring_money_along() -> None:
    new = replace(opened()[ANA], balance=5)
    with pytest.raises(AssertionError, match="makes or loses 5"):
        assert_whole({}, {ANA: new})


def test_a_balance_over_the_ceiling_is_stopped_before_it_is_written() -> None:
    before = opened()
    changed = {
        ANA: replace(before[ANA], balance=CEILING + 1),
        VAULT: replace(before[VAULT], balance=-CEILING - 1),
    }
    with pytest.raises(AssertionError, match="over its ceiling"):
        assert_whole(before, changed)


def test_a_peer_whose_limit_was_lowered_below_what_it_owes_may_still_pay_it_back() -> None:
    owing = replace(clearing_account(PEER, 10, Instant(0)), balance=-100)
    back = {clearing(PEER): replace(owing, balance=-60), ANA: replace(opened()[ANA], balance=0)}
    assert_whole({clearing(PEER): owing, ANA: replace(opened()[ANA], balance=40)}, back)
