"""Sessions and passwords: who is let in, for how long, and what a stranger learns by trying."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from msgspec.structs import replace

from ciranda.api.origin import address_of
from ciranda.engine.attempts import LONGEST_WAIT_MS, NONE_YET, Allowance, counted, number_of
from ciranda.identity import parse_document
from ciranda.instant import Instant
from ciranda.node.attempts import AttemptRules, Origin
from ciranda.node.passwords import HASHING_MAX, PasswordCost
from ciranda.node.people import NOTE_USE_S, USUAL_RULES, PeopleRules, SessionRules
from ciranda.node.weak_passwords import is_weak
from tests.api.bank import PASSWORD, Answer, Door, Pair, pair
from tests.system import documents

PROXY = "10.0.0.1"
MINUTE_MS = 60_000
RULES = replace(
    USUAL_RULES,
    sessions=SessionRules(longest_s=10_000, idle_s=1_200),
    attempts=AttemptRules(failures_per_address=8, sign_ups_per_address=6),
)


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    proxies = (ip_network("10.0.0.0/24"),)
    with pair(tmp_path_factory.mktemp("banks"), rules=RULES, trusted_proxies=proxies) as made:
        yield made


class Guest:
    """A customer at an address of their own."""

    _count = 0

    def __init__(self, banks: Pair) -> None:
        Guest._count += 1
        self.banks = banks
        self.door: Door = banks.here
        self.client = f"198.51.{Guest._count}.7"
        self.document = documents.cpf()
        body = {"document": self.document, "name": "Ana Maria", "password": PASSWORD}
        assert self.door.call("POST", "/v1/customers", body, client=self.client).status == 201

    def log_in(self, password: str = PASSWORD, document: str | None = None, **more: Any) -> Answer:
        more.setdefault("client", self.client)
        body = {"document": document or self.document, "password": password}
        return self.door.call("POST", "/v1/sessions", body, **more)

    def token(self, **more: Any) -> str:
        answer = self.log_in(**more)
        assert answer.status == 201, answer
        return str(answer.json["token"])

    def sessions(self, token: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.door.call("GET", "/v1/sessions", token=token).json["sessions"]
        return listed

    def is_in(self, token: str) -> bool:
        return self.door.call("GET", "/v1/accounts", token=token).status == 200

    def minutes_pass(self, minutes: float) -> None:
        self.banks.banks.clock.ahead_ms += int(minutes * MINUTE_MS)

    def uses_are_noted(self) -> None:
        """Without the wait that comes before."""
        self.door.run(self.door.node.people.keep_used())


@pytest.fixture
def ana(banks: Pair) -> Guest:
    return Guest(banks)


# One's sessions.


def test_a_customer_sees_their_own_sessions_with_where_they_were_begun(ana: Guest, banks: Pair) -> None:
    phone = ana.token(client="203.0.113.99", headers=[(b"user-agent", b"A phone\xff\x01")])
    laptop = ana.token(client="2001:db8:1:2:3:4:5:6")
    Guest(banks).token()
    seen = {one["address"]: one for one in ana.sessions(laptop)}
    assert set(seen) == {"203.0.113.0/24", "2001:db8:1::/48"}
    assert seen["203.0.113.0/24"]["agent"] == "A phone"
    assert [one["current"] for one in seen.values()].count(True) == 1
    assert seen["2001:db8:1::/48"]["current"]
    assert ana.is_in(phone)
    assert not ana.is_in(seen["203.0.113.0/24"]["id"]), "an id lets nobody in"


def test_a_customer_ends_one_session_or_all_others_and_never_somebody_elses(ana: Guest, banks: Pair) -> None:
    mine, stolen, third = ana.token(), ana.token(client="203.0.113.1"), ana.token()
    other = Guest(banks)
    others = other.token()
    (id,) = (one["id"] for one in ana.sessions(mine) if one["address"] == "203.0.113.0/24")
    end = f"/v1/sessions/{id}"
    assert ana.door.call("DELETE", end, token=others).code == "not_found"
    assert ana.is_in(stolen)
    assert ana.door.call("DELETE", end, token=mine).status == 204
    assert not ana.is_in(stolen)
    assert ana.door.call("DELETE", end, token=mine).code == "not_found"
    assert ana.door.call("DELETE", "/v1/sessions/others", token=mine).status == 204
    assert [ana.is_in(token) for token in (mine, third)] == [True, False]
    assert ana.is_in(mine)
    assert other.is_in(others)


@pytest.mark.parametrize("id", ["x", "\x00", "\udcff", "a" * 5_000, "a-b"])
def test_a_session_that_cannot_be_is_not_found(ana: Guest, id: str) -> None:
    assert ana.door.call("DELETE", f"/v1/sessions/{id}", token=ana.token()).code == "not_found"


# How long they last.


def test_a_session_that_nobody_uses_ends_and_one_that_is_used_goes_on_until_its_end(ana: Guest) -> None:
    used, idle = ana.token(), ana.token()
    for _ in range(5):
        ana.minutes_pass(15)
        assert ana.is_in(used)
        ana.uses_are_noted()
    assert not ana.is_in(idle)
    assert [one["current"] for one in ana.sessions(used)] == [True]
    ana.minutes_pass(22)
    assert not ana.is_in(used)
    last = ana.token()
    for _ in range(11):
        assert ana.is_in(last)
        ana.uses_are_noted()
        ana.minutes_pass(15)
    assert ana.is_in(last)
    ana.minutes_pass(2)
    assert not ana.is_in(last), "however much it is used"


def test_that_a_session_is_used_is_written_down_seldom_and_nobody_waits_for_it(
    ana: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, store = ana.token(), ana.door.node.store
    ana.uses_are_noted()
    written: list[int] = []
    note_use = store.note_use

    async def noted(used: Any) -> None:
        written.append(len(used))
        await note_use(used)

    monkeypatch.setattr(store, "note_use", noted)

    def use_often() -> None:
        for _ in range(20):
            assert ana.is_in(token)
        ana.uses_are_noted()

    use_often()
    assert written == []
    ana.minutes_pass(2)
    use_often()
    use_often()
    assert written == [1]
    assert NOTE_USE_S > 0


def test_what_is_used_is_noted_by_itself(ana: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    token, people = ana.token(), ana.door.node.people
    ana.uses_are_noted()
    ana.minutes_pass(5)
    monkeypatch.setattr("ciranda.node.people.NOTE_USE_S", 0.0)

    async def use() -> None:
        assert await people.who(token) is not None
        assert people._noting is not None
        await people._noting

    ana.door.run(use())
    (session,) = ana.sessions(token)
    assert session["used_at"] > session["created_at"]


# Another password.


def change(ana: Guest, token: str, old: str, new: str) -> Answer:
    body = {"old_password": old, "new_password": new}
    return ana.door.call("PUT", "/v1/customers/me/password", body, token=token, client=ana.client)


def test_another_password_ends_all_other_sessions(ana: Guest) -> None:
    mine, other = ana.token(), ana.token()
    assert change(ana, mine, "not my password", "outra senha comprida").code == "wrong_credentials"
    assert change(ana, mine, PASSWORD, "short").code == "weak_password"
    assert [ana.is_in(token) for token in (mine, other)] == [True, True]
    assert change(ana, mine, PASSWORD, "outra senha comprida").status == 204
    assert [ana.is_in(token) for token in (mine, other)] == [True, False]
    assert ana.log_in().code == "wrong_credentials"
    assert ana.log_in("outra senha comprida").status == 201


def test_whoever_has_a_session_cannot_guess_the_password_without_end(ana: Guest) -> None:
    token = ana.token()
    for _ in range(5):
        assert change(ana, token, "not my password", "outra senha comprida").code == "wrong_credentials"
    assert change(ana, token, PASSWORD, "outra senha comprida").code == "too_many_attempts"
    assert ana.log_in().code == "too_many_attempts"


def test_a_password_is_hashed_anew_at_the_next_login_when_it_should_cost_more(tmp_path: Path) -> None:
    with pair(tmp_path) as made:
        document, banks = parse_document(documents.cpf()), made.banks
        made.here.sign_up(document)
        dearer = PeopleRules(passwords=PasswordCost(memory_kib=20_480, passes=3))
        people, store = made.here.node.people, made.here.node.store

        def cost() -> tuple[int, int]:
            kept = made.here.run(store.credentials(document)).password_hash
            parameters = extract_parameters(kept or "")
            return parameters.memory_cost, parameters.time_cost

        assert cost() == (19_456, 2)
        renewed = people.__class__(
            store, banks.clock, people._dice, people._operators, people._second_factors, dearer
        )
        origin = Origin(address=None, agent=None)
        assert made.here.run(renewed.log_in(document, "wrong, wrong", None, origin)) == "wrong_credentials"
        assert cost() == (19_456, 2)
        assert made.here.run(renewed.log_in(document, PASSWORD, None, origin)) != "wrong_credentials"
        assert cost() == (20_480, 3)
        assert made.here.run(renewed.log_in(document, PASSWORD, None, origin)) != "wrong_credentials"
        renewed.close()


# What a stranger learns by trying.


def test_five_wrong_passwords_and_no_more_are_looked_at_also_at_the_same_moment(
    ana: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _looked_at(monkeypatch)
    for document in (ana.document, documents.cpf()):
        body = {"document": document, "password": "wrong, wrong, wrong"}
        looked.clear()
        answers = ana.door.at_once(
            *(
                ana.door.request("POST", "/v1/sessions", body, client=f"192.0.2.{number}")
                for number in range(12)
            )
        )
        assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 7
        assert len(looked) == 5
        assert ana.log_in(document=document).code == "too_many_attempts"


def _looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hash of each password that is looked at from here on."""
    looked: list[str] = []
    verify = PasswordHasher.verify

    def seen(self: PasswordHasher, hash: str | bytes, password: str | bytes) -> bool:
        looked.append(str(hash))
        return verify(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", seen)
    return looked


def test_an_unknown_document_costs_what_a_wrong_password_costs_and_gets_the_same_answers(
    ana: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _looked_at(monkeypatch)
    answers: dict[str, list[tuple[int, bytes, str | None]]] = {"known": [], "unknown": []}
    for kind, document in (("known", ana.document), ("unknown", documents.cpf())):
        for number in range(7):
            answer = ana.log_in("wrong, wrong, wrong", document, client=f"192.0.2.{number + 20}")
            answers[kind].append((answer.status, answer.body, answer.headers.get("retry-after")))
    assert answers["known"] == answers["unknown"]
    assert [status for status, _, _ in answers["known"]] == [401] * 5 + [429] * 2
    assert len(looked) == 10
    assert len({_cost(hash) for hash in looked}) == 1


def _cost(hash: str) -> tuple[object, ...]:
    cost = extract_parameters(hash)
    return cost.type, cost.memory_cost, cost.time_cost, cost.parallelism, cost.hash_len, cost.salt_len


def test_time_does_not_tell_an_unknown_document_from_a_wrong_password(banks: Pair) -> None:
    def took(document: str, number: int) -> float:
        body = {"document": document, "password": "wrong, wrong, wrong"}
        start = time.process_time()
        answer = banks.here.call("POST", "/v1/sessions", body, client=f"192.0.3.{number}")
        assert answer.status == 401
        return time.process_time() - start

    known = [Guest(banks).document for _ in range(12)]
    unknown = [documents.cpf() for _ in known]
    times = [
        (took(one, number), took(other, number))
        for number, (one, other) in enumerate(zip(known, unknown, strict=True))
    ]
    ratio = statistics.median(a for a, _ in times) / statistics.median(b for _, b in times)
    # Without the hash the second would be a tenth of the first.
    assert 0.6 < ratio < 1.6


def test_an_address_that_fails_too_often_waits_whoever_it_asks_for(ana: Guest, banks: Pair) -> None:
    for _ in range(8):
        assert ana.log_in("wrong, wrong, wrong", documents.cpf()).code == "wrong_credentials"
    blocked = ana.log_in()
    assert (blocked.status, blocked.code) == (429, "too_many_attempts")
    assert 0 < int(blocked.headers["retry-after"]) <= 30
    body = {"document": documents.cpf(), "name": "Caio", "password": "uma senha comprida"}
    assert ana.door.call("POST", "/v1/customers", body, client=ana.client).code == "too_many_attempts"
    assert ana.log_in(client="203.0.113.200").status == 201
    ana.minutes_pass(0.5)
    assert ana.log_in().status == 201


def test_good_passwords_make_no_address_wait_and_forgive_it_nothing(ana: Guest) -> None:
    for _ in range(10):
        ana.token()
    for _ in range(7):
        ana.log_in("wrong, wrong, wrong", documents.cpf())
        ana.token()
    assert ana.log_in("wrong, wrong, wrong", documents.cpf()).status == 401
    assert ana.log_in().status == 429


def test_how_fast_an_address_can_find_out_who_is_a_customer_is_bounded(banks: Pair) -> None:
    known = [Guest(banks).document for _ in range(9)]

    def sign_up(document: str, client: str) -> str:
        body = {"document": document, "name": "Caio", "password": "uma senha comprida"}
        answer = banks.here.call("POST", "/v1/customers", body, client=client)
        return "made" if answer.status == 201 else answer.code

    asked = [sign_up(document, "198.18.0.1") for document in known]
    assert asked == ["document_taken"] * 6 + ["too_many_attempts"] * 3
    asked = [sign_up(documents.cpf(), "198.18.0.2") for _ in range(8)]
    assert asked == ["made"] * 6 + ["too_many_attempts"] * 2


def test_whoever_finds_the_queue_full_is_turned_away_before_anything_is_counted(
    ana: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = ana.door.node.people._passwords
    monkeypatch.setattr(passwords, "_waiting", HASHING_MAX)
    for _ in range(6):
        answer = ana.log_in("wrong, wrong, wrong")
        assert (answer.status, answer.code) == (503, "overloaded")
    body = {"document": documents.cpf(), "name": "Caio", "password": "uma senha comprida"}
    assert ana.door.call("POST", "/v1/customers", body, client=ana.client).code == "overloaded"
    monkeypatch.setattr(passwords, "_waiting", 0)
    assert ana.log_in().status == 201
    assert passwords._waiting == 0


def test_of_very_many_who_come_at_once_some_are_turned_away_and_none_waits_without_end(
    ana: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = ana.door.node.people._passwords
    most = 0

    async def slow(hash: str | None, password: str) -> bool:
        nonlocal most
        most = max(most, passwords._waiting)
        await asyncio.sleep(0.05)
        return False

    monkeypatch.setattr(passwords, "matches", slow)
    requests = [
        ana.door.request(
            "POST",
            "/v1/sessions",
            {"document": documents.cpf(), "password": "wrong, wrong"},
            client=f"198.19.{number // 250}.{number % 250}",
        )
        for number in range(HASHING_MAX + 40)
    ]
    answers = ana.door.at_once(*requests)
    statuses = [answer.status for answer in answers]
    assert (statuses.count(401), statuses.count(503)) == (HASHING_MAX, 40)
    assert most == HASHING_MAX


def test_attempts_wait_twice_as_long_each_time_up_to_an_hour_and_are_forgotten_one_by_one() -> None:
    allowance, now, tally = Allowance(free=3, drain_ms=MINUTE_MS), Instant(10**12), NONE_YET
    waits = []
    for _ in range(40):
        tally = counted(tally, allowance, now)
        waits.append(tally.blocked_until - now)
    assert waits[:6] == [0, 0, 30_000, 60_000, 120_000, 240_000]
    assert waits[-1] == LONGEST_WAIT_MS == max(waits)
    assert waits == sorted(waits)
    assert number_of(tally, allowance, now) == 14
    assert number_of(tally, allowance, Instant(now + MINUTE_MS)) == 13
    assert number_of(tally, allowance, Instant(now + 14 * MINUTE_MS)) == 0


# Where a request comes from.


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", "", "198.51.100.1"),
        ("198.51.100.1", "203.0.113.5", "198.51.100.1"),
        (PROXY, "203.0.113.5", "203.0.113.5"),
        (PROXY, "192.0.2.1, 203.0.113.5", "203.0.113.5"),
        (PROXY, "192.0.2.1, 203.0.113.5, 10.0.0.9", "203.0.113.5"),
        (PROXY, "192.0.2.1, nonsense, 10.0.0.9", "10.0.0.9"),
        (PROXY, "10.0.0.7,10.0.0.8", "10.0.0.7"),
        (PROXY, "", PROXY),
        (PROXY, "unknown", PROXY),
        (PROXY, "," * 100_000, PROXY),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("", "203.0.113.5", None),
    ],
)
def test_a_proxys_word_is_taken_where_the_proxy_is_ours(
    peer: str, forwarded: str, address: str | None
) -> None:
    found = address_of(peer, forwarded, (ip_network("10.0.0.0/24"),))
    assert (None if found is None else str(found)) == address


def test_nobody_escapes_the_count_by_saying_that_they_come_from_elsewhere(ana: Guest) -> None:
    def fail(number: int, client: str) -> int:
        headers = [(b"x-forwarded-for", b"203.0.113.%d" % number)]
        body = {"document": documents.cpf(), "password": "wrong, wrong"}
        return ana.door.call("POST", "/v1/sessions", body, client=client, headers=headers).status

    assert [fail(number, "198.51.100.77") for number in range(10)] == [401] * 8 + [429] * 2
    assert [fail(number, PROXY) for number in range(10)] == [401] * 10


def test_a_whole_network_of_ipv6_is_one_address() -> None:
    def counted_as(text: str) -> str:
        return Origin(address=address_of(text, "", ()), agent=None).counted_as

    assert counted_as("2001:db8::1") == counted_as("2001:db8::ffff:2")
    assert counted_as("2001:db8::1") != counted_as("2001:db8:0:1::1")
    assert counted_as("::ffff:192.0.2.1") == counted_as("192.0.2.1")


# Passwords.


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PassWord1",
        "12345678",
        "iloveyou",
        "qwertyuiop",
        "aaaaaaaaaaaa",
        "ababababab",
        "mariasilva",
        "Maria.Silva-2026",
        "silva12345",
        "MÁRIA silvá!",
        "maria password",
        "529.982.247-25",
        "cpf 52998224725",
        "seven77",
        "x" * 129,
    ],
)
def test_a_password_that_a_stranger_would_try_first_is_weak(password: str) -> None:
    assert is_weak(password, parse_document("529.982.247-25"), "Maria da Silva")


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "correct horse battery staple",
        "mmrrcctt",
        "a casa da maria tem 7 gatos",
        "ça c'est à moi",
        "密码密码我的银行很好",
        "x1!" * 40 + "zzzzzzzz",
    ],
)
def test_a_password_need_be_nothing_but_long_and_not_known(password: str) -> None:
    assert not is_weak(password, parse_document("529.982.247-25"), "Maria da Silva")
