"""A request that was heard once is not heard again, for as long as its signature is valid; and memory has a bound."""

from hypothesis import given
from hypothesis import strategies as st

from ciranda.identity import Ispb
from ciranda.wire.replay import Replays
from ciranda.wire.signature import WINDOW_S, SignedRequest

A, B = Ispb("10000001"), Ispb("10000002")
NOW = 1_800_000_000


def request(number: int = 0, created: int = NOW, sender: Ispb = A) -> SignedRequest:
    return SignedRequest(sender, "", "", created, ("digest", created + WINDOW_S, f"nonce{number}"))


def test_the_second_time_is_not_the_first() -> None:
    replays = Replays()
    assert replays.first_time(request(), NOW)
    assert not replays.first_time(request(), NOW)
    assert not replays.first_time(request(), NOW + WINDOW_S)


def test_two_requests_of_one_second_and_two_banks_words_are_told_apart() -> None:
    replays = Replays()
    assert all(replays.first_time(request(number), NOW) for number in range(10))
    assert replays.first_time(request(sender=B), NOW)


def test_what_has_expired_is_forgotten() -> None:
    replays = Replays(remembered_max=10)
    assert all(replays.first_time(request(number), NOW) for number in range(10))
    later = NOW + WINDOW_S + 1
    assert all(replays.first_time(request(number, later), later) for number in range(10))


def test_a_bank_that_fills_its_memory_narrows_its_own_window_and_no_others() -> None:
    replays = Replays(remembered_max=10)
    assert replays.first_time(request(created=NOW - 5), NOW)
    assert all(replays.first_time(request(number), NOW) for number in range(10))
    # The oldest second went, and nobody can say any more what was heard in it.
    assert not replays.first_time(request(created=NOW - 5), NOW)
    assert not replays.first_time(request(number=99, created=NOW - 6), NOW)
    assert replays.first_time(request(created=NOW - 6, sender=B), NOW)
    assert not replays.first_time(request(number=3), NOW)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3), st.booleans())))
def test_nothing_is_ever_heard_twice(said: list[tuple[int, int, bool]]) -> None:
    replays = Replays(remembered_max=4)
    heard = set()
    for number, ahead, by_a in said:
        one = (number, ahead, by_a)
        if replays.first_time(request(number, NOW + ahead, A if by_a else B), NOW):
            assert one not in heard
            heard.add(one)
