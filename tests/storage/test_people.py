"""What every store must keep of people, on SQLite and on PostgreSQL alike: sessions, attempts, second factors."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from ciranda.engine.attempts import Allowance
from ciranda.engine.input import Act, ResetSecondFactor
from ciranda.engine.key import Claim
from ciranda.engine.operator import ROOT
from ciranda.engine.reply import Removed
from ciranda.engine.second_factor import SecondFactor
from ciranda.instant import Instant
from ciranda.storage.people import SESSIONS_MAX
from tests.storage.book import ANA, BIA, NOW, Book, customer, deposit

ALLOWANCE = Allowance(free=3, drain_ms=60_000)


def signed_up(book: Book) -> None:
    assert book.wait(book.store.add_customer(customer(ANA), "", None, None))


def tokens(book: Book) -> list[bytes]:
    return [token for token, _ in book.wait(book.store.sessions_of(ANA))]


# Sessions.


def test_a_customers_sessions_are_listed_the_last_used_one_first(book: Book) -> None:
    signed_up(book)
    for token, used_at in ((b"a", NOW), (b"b", NOW + 2), (b"c", NOW + 1)):
        assert book.begin_session(token, used_at=used_at)
    assert tokens(book) == [b"b", b"c", b"a"]
    book.wait(book.store.note_use({b"a": Instant(NOW + 3), b"gone": NOW}))
    assert [(token, one.used_at) for token, one in book.wait(book.store.sessions_of(ANA))] == [
        (b"a", NOW + 3),
        (b"b", NOW + 2),
        (b"c", NOW + 1),
    ]
    assert book.wait(book.store.sessions_of(BIA)) == []


def test_a_session_is_ended_by_its_owner_alone(book: Book) -> None:
    signed_up(book)
    book.begin_session(b"a")
    id = b"a".hex()
    assert book.wait(book.store.session(b"a")) is not None
    assert not book.wait(book.store.end_session(BIA, id))
    assert book.wait(book.store.session(b"a")) is not None
    assert book.wait(book.store.end_session(ANA, id))
    assert book.wait(book.store.session(b"a")) is None
    assert not book.wait(book.store.end_session(ANA, id))


def test_all_sessions_but_one_are_ended_at_once(book: Book) -> None:
    signed_up(book)
    for token in (b"a", b"b", b"c"):
        book.begin_session(token)
        assert book.wait(book.store.session(token)) is not None
    book.wait(book.store.end_other_sessions(ANA, b"b"))
    assert tokens(book) == [b"b"]
    assert book.wait(book.store.session(b"a")) is None


def test_of_too_many_sessions_those_end_that_were_not_used_for_longest(book: Book) -> None:
    signed_up(book)
    for number in range(SESSIONS_MAX + 2):
        book.begin_session(b"%d" % number, used_at=Instant(NOW + number))
    kept = tokens(book)
    assert len(kept) == SESSIONS_MAX
    assert not {b"0", b"1"} & set(kept)


def test_a_new_password_ends_all_other_sessions_and_lets_none_begin_with_the_old_one(book: Book) -> None:
    signed_up(book)
    for token in (b"a", b"b"):
        book.begin_session(token)
    change = book.store.change_password
    assert not book.wait(change(ANA, "another", "new", b"a", "document"))
    assert sorted(tokens(book)) == [b"a", b"b"]
    assert book.wait(change(ANA, "", "new", b"a", "document"))
    assert tokens(book) == [b"a"]
    assert not book.begin_session(b"c", verified="")
    assert book.begin_session(b"c", verified="new")
    assert book.wait(book.store.credentials(ANA)).password_hash == "new"


def test_a_password_is_hashed_anew_with_the_session_that_it_begins(book: Book) -> None:
    signed_up(book)
    assert book.begin_session(b"a", verified="", rehashed="dearer")
    assert book.wait(book.store.credentials(ANA)).password_hash == "dearer"
    assert not book.begin_session(b"b", verified="", rehashed="dearer still")


def test_while_a_password_changes_no_session_begins_that_outlives_it(book: Book) -> None:
    signed_up(book)
    book.begin_session(b"mine")

    async def at_once() -> None:
        others = [book.beginning(b"other %d" % number) for number in range(8)]
        change = book.store.change_password(ANA, "", "new", b"mine", "document")
        await asyncio.gather(*others[:4], change, *others[4:])

    book.wait(at_once())
    assert tokens(book) == [b"mine"]


def test_what_expired_and_what_is_forgotten_is_dropped_and_nothing_else(book: Book) -> None:
    signed_up(book)
    book.begin_session(b"old", Instant(NOW + 10))
    book.begin_session(b"young", Instant(NOW + 11))
    for whose in ("old", "young"):
        book.wait(book.store.count_attempt(whose, Allowance(free=1, drain_ms=10), NOW))
    book.wait(book.store.count_attempt("young", ALLOWANCE, Instant(NOW + 30_000)))
    assert book.wait(book.store.forget_people(Instant(NOW + 10))) == 1
    assert tokens(book) == [b"young"]
    assert book.wait(book.store.forget_people(Instant(NOW + 31_000))) == 2
    assert book.wait(book.store.forget_people(Instant(NOW + 31_000))) == 0
    assert book.wait(book.store.blocked_until("young")) > NOW


# Attempts.


def test_attempts_are_counted_and_each_wait_is_twice_as_long_as_the_one_before(book: Book) -> None:
    def attempt(at: int) -> int | None:
        until = book.wait(book.store.count_attempt("whose", ALLOWANCE, Instant(at)))
        return None if until is None else until - NOW

    assert [attempt(NOW) for _ in range(4)] == [None, None, None, 30_000]
    assert book.wait(book.store.blocked_until("whose")) == NOW + 30_000
    assert attempt(NOW + 30_000) is None
    assert attempt(NOW + 30_001) == 90_000
    assert attempt(NOW + 90_000) is None
    # Two of them are forgotten by now, so this is the third again.
    assert attempt(NOW + 90_001) == 90_000 + 60_000


def test_a_session_forgets_the_attempts_of_its_document(book: Book) -> None:
    signed_up(book)
    for _ in range(3):
        book.wait(book.store.count_attempt("document", ALLOWANCE, NOW))
    assert book.wait(book.store.count_attempt("document", ALLOWANCE, NOW)) == NOW + 30_000
    assert not book.begin_session(b"a", verified="another")
    assert book.wait(book.store.blocked_until("document")) == NOW + 30_000
    book.begin_session(b"a")
    assert book.wait(book.store.count_attempt("document", ALLOWANCE, NOW)) is None


def test_attempts_at_the_same_moment_are_all_counted(book: Book) -> None:
    async def many() -> list[Instant | None]:
        return await asyncio.gather(*(book.store.count_attempt("whose", ALLOWANCE, NOW) for _ in range(12)))

    answers = book.wait(many())
    assert answers.count(None) == 3
    assert answers.count(Instant(NOW + 30_000)) == 9


def test_what_comes_from_a_blocked_address_is_not_even_counted(book: Book) -> None:
    for _ in range(3):
        book.wait(book.store.count_attempt("address", ALLOWANCE, NOW))
    until = book.wait(book.store.count_attempt("document", ALLOWANCE, NOW, "address"))
    assert until == NOW + 30_000
    for _ in range(3):
        assert book.wait(book.store.count_attempt("document", ALLOWANCE, NOW, "elsewhere")) is None


# Second factors.


def factor(**more: object) -> SecondFactor:
    made = SecondFactor(
        document=ANA,
        sealed=b"\x00sealed",
        made_at=NOW,
        confirmed_at=NOW,
        used_step=7,
        used_for="",
        recovery=("aa", "bb"),
        payments_from=None,
        at_login=True,
        unguarded=5,
        unguarded_since=NOW,
    )
    return replace(made, **more)


def put(book: Book, kept: SecondFactor | None) -> None:
    book.wait(book.store.change_second_factor(ANA, lambda _: (kept, None)))


def test_a_second_factor_is_kept_as_it_was_made(book: Book) -> None:
    signed_up(book)
    assert book.wait(book.store.second_factor(ANA)) is None
    for kept in (factor(), factor(confirmed_at=None, recovery=(), payments_from=0, at_login=False), None):
        put(book, kept)
        assert book.wait(book.store.second_factor(ANA)) == kept
        assert book.wait(book.store.guarded(ANA)) is (kept is not None and kept.on)


def test_one_recovery_code_that_is_used_twice_at_once_is_used_once(book: Book) -> None:
    signed_up(book)
    put(book, factor())

    def use(kept: SecondFactor | None) -> tuple[SecondFactor | None, bool]:
        assert kept is not None
        left = tuple(code for code in kept.recovery if code != "aa")
        return replace(kept, recovery=left), len(left) < len(kept.recovery)

    async def many() -> list[bool]:
        return await asyncio.gather(*(book.store.change_second_factor(ANA, use) for _ in range(8)))

    assert sorted(book.wait(many())) == [False] * 7 + [True]


def test_a_second_factor_switched_on_elsewhere_guards_here_from_the_next_request_on(
    postgresql_url: str, books: Callable[[str], Book]
) -> None:
    here, there = books(postgresql_url), books(postgresql_url)
    signed_up(here)
    here.begin_session(b"token")
    here.wait(here.store.session(b"token"))
    assert not here.wait(here.store.guarded(ANA))
    put(there, factor())
    here.wait(here.store.session(b"token"))
    assert here.wait(here.store.guarded(ANA))
    put(there, None)
    here.wait(here.store.session(b"token"))
    assert not here.wait(here.store.guarded(ANA))


def test_a_key_is_known_to_be_used_for_its_own_body_alone(book: Book) -> None:
    (ana,) = book.open_accounts(0)
    order = deposit("P1", ana, 5)
    book.paid(order)
    assert order.claim is not None
    used = Claim(scope="payments", key="P1", body=order.claim.body)
    others = [replace(used, key="P2"), replace(used, body="another"), replace(used, scope="mandates")]
    assert book.wait(book.store.used_keys([used, *others])) == {used}
    assert book.wait(book.store.used_keys([])) == set()


def test_a_second_factor_that_an_operator_takes_away_is_gone_with_all_sessions_and_recorded(
    book: Book,
) -> None:
    signed_up(book)
    put(book, factor())
    for token in (b"a", b"b"):
        book.begin_session(token)
        assert book.wait(book.store.session(token)) is not None
    (reply,) = book.do(Act(id="1" * 28, by=ROOT, deed=ResetSecondFactor(document=ANA)))
    book.store.forget_customer(ANA)
    assert isinstance(reply, Removed)
    assert book.wait(book.store.second_factor(ANA)) is None
    assert tokens(book) == []
    assert book.wait(book.store.session(b"a")) is None
    assert not book.wait(book.store.guarded(ANA))
    (action,) = book.wait(book.store.actions(10, None))
    assert (action.operator, action.action, action.subject, action.outcome) == (
        ROOT,
        "reset_second_factor",
        ANA,
        "done",
    )
