"""A second factor: what it guards is not done without a fresh code, whichever way the request comes in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyotp
import pytest
from msgspec.structs import replace

from ciranda.assembly import SystemDice
from ciranda.engine.limits import Figures, LimitRules
from ciranda.node.people import USUAL_RULES
from ciranda.node.seal import Seal
from ciranda.node.second_factors import SecondFactorRules
from tests.api.bank import PASSWORD, Answer, Customer, Pair, new_key, pair, transfer
from tests.system import documents

FROM = 1_000
"""From this sum on payments need a code."""

STEP_MS = 30_000
LIMITS = LimitRules(persons=Figures(per_transfer=500_000), companies=Figures())
RULES = replace(USUAL_RULES, second_factor=SecondFactorRules(payments_from=FROM))


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("banks"), limits=LIMITS, rules=RULES) as made:
        yield made


class Guarded(NamedTuple):
    """A customer with a second factor, and the device that makes its codes."""

    banks: Pair
    customer: Customer
    device: pyotp.TOTP
    recovery: list[str]

    def next_code(self) -> str:
        """One that was not used: time passes on to the next."""
        self.banks.banks.clock.ahead_ms += STEP_MS
        return self.code()

    def code(self, steps: int = 0) -> str:
        return self.device.at(int(self.banks.banks.clock.now() + steps * STEP_MS) // 1000)

    def wrong_code(self) -> str:
        near = {self.code(steps) for steps in range(-2, 3)}
        return next(code for code in map("{:06d}".format, range(10)) if code not in near)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.banks.here.call(method, path, body, token=self.customer.token, **more)

    def pay(self, amount: int, **more: Any) -> Answer:
        more.setdefault("key", new_key())
        return self.call("POST", "/v1/payments", self.payment(amount), **more)

    def payment(self, amount: int) -> dict[str, Any]:
        return {"transfers": [transfer(self.customer.account, shop_of(self.banks), amount)]}


_shops: dict[int, str] = {}


def shop_of(banks: Pair) -> str:
    return _shops.setdefault(id(banks), banks.here.someone().account)


def guarded(banks: Pair) -> Guarded:
    customer = banks.here.someone(100_000)
    token = customer.token
    made = banks.here.call("POST", "/v1/second-factor", {"password": PASSWORD}, token=token)
    assert made.status == 201, made
    assert pyotp.parse_uri(made.json["uri"]).secret == made.json["secret"]
    one = Guarded(banks, customer, pyotp.TOTP(made.json["secret"]), [])
    confirmed = one.call("POST", "/v1/second-factor/confirmation", {"code": one.code()})
    assert confirmed.status == 200, confirmed
    one.recovery.extend(confirmed.json["recovery_codes"])
    return one


@pytest.fixture
def ana(banks: Pair) -> Guarded:
    return guarded(banks)


def needs_code(answer: Answer) -> bool:
    return (answer.status, answer.code) == (403, "second_factor_required")


# To have one.


def test_a_second_factor_guards_nothing_until_a_first_code_confirms_it(banks: Pair) -> None:
    bank, customer = banks.here, banks.here.someone(5_000)

    def call(method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return bank.call(method, path, body, token=customer.token, **more)

    def pay() -> Answer:
        return bank.pay(customer, {"transfers": [transfer(customer.account, shop_of(banks), FROM)]})

    assert call("GET", "/v1/second-factor").json["status"] == "off"
    assert call("POST", "/v1/second-factor/confirmation", {"code": "123456"}).code == "not_found"
    assert call("POST", "/v1/second-factor", {"password": "something else"}).code == "wrong_credentials"
    first = call("POST", "/v1/second-factor", {"password": PASSWORD}).json["secret"]
    made = call("POST", "/v1/second-factor", {"password": PASSWORD}).json
    assert made["secret"] != first
    assert call("GET", "/v1/second-factor").json["status"] == "unconfirmed"
    assert pay().status == 201
    now_s = int(banks.banks.clock.now()) // 1000
    stale = pyotp.TOTP(first).at(now_s)
    assert needs_code(call("POST", "/v1/second-factor/confirmation", {"code": stale}))
    assert pay().status == 201
    good = pyotp.TOTP(made["secret"]).at(now_s)
    answer = call("POST", "/v1/second-factor/confirmation", {"code": good})
    assert len(set(answer.json["recovery_codes"])) == 10
    shown = call("GET", "/v1/second-factor").json
    assert (shown["status"], shown["payments_from"], shown["at_login"]) == ("on", FROM, False)
    assert shown["recovery_codes_left"] == 10
    assert needs_code(pay())


def test_it_cannot_be_replaced_while_it_is_on(ana: Guarded) -> None:
    assert ana.call("POST", "/v1/second-factor", {"password": PASSWORD}).code == "second_factor_exists"
    again = ana.call("POST", "/v1/second-factor/confirmation", {"code": ana.next_code()})
    assert again.code == "second_factor_exists"


def test_it_is_removed_with_the_password_and_a_code_and_with_neither_alone(ana: Guarded) -> None:
    path = "/v1/second-factor/removal"
    assert needs_code(ana.call("POST", path, {"password": PASSWORD}))
    wrong = ana.call("POST", path, {"password": "something else"}, code=ana.next_code())
    assert wrong.code == "wrong_credentials"
    assert needs_code(ana.pay(FROM))
    assert ana.call("POST", path, {"password": PASSWORD}, code=ana.next_code()).status == 204
    assert ana.call("GET", "/v1/second-factor").json["status"] == "off"
    assert ana.pay(FROM).status == 201


def test_neither_its_secret_nor_its_recovery_codes_can_be_read_from_the_database(
    ana: Guarded, tmp_path: Path
) -> None:
    folder = ana.banks.banks.folder
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert ana.customer.document.encode() in kept
    for secret in (ana.device.secret, *ana.recovery, ana.customer.token, PASSWORD):
        assert secret.encode() not in kept
    assert ana.device.byte_secret() not in kept


# Codes.


def test_a_code_is_taken_once(ana: Guarded) -> None:
    code = ana.next_code()
    assert ana.pay(FROM, code=code).status == 201
    assert needs_code(ana.pay(FROM, code=code))


def test_of_two_payments_with_one_code_at_the_same_moment_one_is_made(ana: Guarded) -> None:
    code, door, token = ana.next_code(), ana.banks.here, ana.customer.token
    answers = door.at_once(
        *(
            door.request("POST", "/v1/payments", ana.payment(FROM), token=token, key=new_key(), code=code)
            for _ in range(6)
        )
    )
    assert sorted(answer.status for answer in answers) == [201, 403, 403, 403, 403, 403]
    assert door.balance(ana.customer) == 100_000 - FROM


def test_a_device_whose_clock_is_half_a_minute_off_is_believed_and_no_other(ana: Guarded) -> None:
    for steps in (-1, 0, 1):
        ana.banks.banks.clock.ahead_ms += 4 * STEP_MS
        assert ana.pay(FROM, code=ana.code(steps)).status == 201
    for steps in (-2, 2):
        ana.banks.banks.clock.ahead_ms += 4 * STEP_MS
        assert needs_code(ana.pay(FROM, code=ana.code(steps)))


def test_no_code_from_before_the_last_one_is_taken(ana: Guarded) -> None:
    ana.banks.banks.clock.ahead_ms += 4 * STEP_MS
    assert ana.pay(FROM, code=ana.code(1)).status == 201
    assert needs_code(ana.pay(FROM, code=ana.code(0)))


def test_wrong_codes_are_counted_also_at_the_same_moment_and_then_not_even_the_right_one_is_looked_at(
    ana: Guarded,
) -> None:
    door, wrong, token = ana.banks.here, ana.wrong_code(), ana.customer.token
    answers = door.at_once(
        *(
            door.request("POST", "/v1/payments", ana.payment(FROM), token=token, key=new_key(), code=wrong)
            for _ in range(9)
        )
    )
    assert sorted(answer.status for answer in answers) == [403] * 5 + [429] * 4
    blocked = ana.pay(FROM, code=ana.code(1))
    assert (blocked.status, blocked.code) == (429, "too_many_attempts")
    assert 0 < int(blocked.headers["retry-after"]) <= 30
    # Who gives none has not tried.
    assert needs_code(ana.pay(FROM))
    assert ana.pay(FROM - 1).status == 201
    ana.banks.banks.clock.ahead_ms += 30_000
    assert ana.pay(FROM, code=ana.next_code()).status == 201


def test_a_recovery_code_serves_once_in_place_of_a_code(ana: Guarded) -> None:
    first, second = ana.recovery[:2]
    assert ana.pay(FROM, code=first.upper()).status == 201
    assert needs_code(ana.pay(FROM, code=first))
    assert ana.call("GET", "/v1/second-factor").json["recovery_codes_left"] == 9
    fresh = ana.call("POST", "/v1/second-factor/recovery-codes", code=second).json["recovery_codes"]
    assert not set(fresh) & set(ana.recovery)
    assert needs_code(ana.pay(FROM, code=ana.recovery[2]))
    assert ana.pay(FROM, code=fresh[0]).status == 201


@pytest.mark.parametrize("code", ["", "12345", "1234567", "١٢٣٤٥٦", "abcd-efgh", "x" * 5_000])
def test_what_is_no_code_is_a_mistake_and_no_attempt(ana: Guarded, code: str) -> None:
    for _ in range(6):
        assert ana.pay(FROM, headers=[(b"second-factor", code.encode())]).code == "bad_request"
    both = [(b"second-factor", b"123456"), (b"second-factor", b"123457")]
    assert ana.pay(FROM, headers=both).code == "bad_request"
    assert ana.pay(FROM, code=ana.next_code()).status == 201


# What it guards.


def test_a_large_payment_needs_a_code_and_without_it_nothing_is_recorded(ana: Guarded) -> None:
    key = new_key()
    assert needs_code(ana.pay(FROM, key=key))
    assert ana.call("GET", "/v1/payments").json["payments"] == []
    assert ana.pay(FROM, key=key, code=ana.next_code()).status == 201


def test_a_payment_that_is_repeated_needs_no_fresh_code(ana: Guarded) -> None:
    key = new_key()
    first = ana.pay(FROM, key=key, code=ana.next_code())
    again = ana.pay(FROM, key=key)
    assert (first.status, again.status, again.json["id"]) == (201, 201, first.json["id"])
    assert needs_code(ana.pay(FROM + 1, key=key))
    assert ana.pay(FROM + 1, key=key, code=ana.next_code()).code == "idempotency_mismatch"


def test_the_same_payment_sent_twice_at_once_with_one_code_is_made_once_and_answered_twice(
    ana: Guarded,
) -> None:
    door, key, code = ana.banks.here, new_key(), ana.next_code()
    answers = door.at_once(
        *(
            door.request(
                "POST", "/v1/payments", ana.payment(FROM), token=ana.customer.token, key=key, code=code
            )
            for _ in range(4)
        )
    )
    assert [answer.status for answer in answers] == [201] * 4
    assert len({answer.json["id"] for answer in answers}) == 1


def test_a_large_sum_in_small_parts_needs_a_code_too(ana: Guarded) -> None:
    assert ana.pay(FROM // 2).status == 201
    assert ana.pay(FROM // 2 - 1).status == 201
    assert needs_code(ana.pay(1))
    assert ana.pay(1, code=ana.next_code()).status == 201
    assert needs_code(ana.pay(1))
    ana.banks.banks.clock.ahead_ms += 24 * 60 * 60 * 1000
    token = log_in(ana).json["token"]
    renewed = ana._replace(customer=ana.customer._replace(token=token))
    assert renewed.pay(FROM - 1).status == 201


def test_small_payments_at_the_same_moment_are_added_up(ana: Guarded) -> None:
    door, token = ana.banks.here, ana.customer.token
    answers = door.at_once(
        *(
            door.request("POST", "/v1/payments", ana.payment(FROM // 4), token=token, key=new_key())
            for _ in range(8)
        )
    )
    assert sorted(answer.status for answer in answers) == [201] * 3 + [403] * 5


def test_a_batch_is_as_large_as_all_that_is_in_it(ana: Guarded) -> None:
    def batch(count: int, **more: Any) -> Answer:
        payments = [{"key": new_key(), **ana.payment(FROM // 4)} for _ in range(count)]
        return ana.call("POST", "/v1/payments/batches", {"payments": payments}, **more)

    assert needs_code(batch(4))
    assert {one["status"] for one in batch(3).json["results"]} == {"settled"}
    assert needs_code(batch(1))
    assert {one["status"] for one in batch(9, code=ana.next_code()).json["results"]} == {"settled"}


def test_money_of_a_linked_account_at_another_bank_is_guarded_as_ones_own(ana: Guarded) -> None:
    here, there = ana.banks.here, ana.banks.there
    elsewhere = there.someone(5_000, document=ana.customer.document)
    order = {
        "account": elsewhere.account,
        "initiator": here.ispb,
        "expires_at": "2090-01-01T00:00:00Z",
        "scopes": ["pay", "read"],
    }
    mandate = there.call("POST", "/v1/mandates", order, token=elsewhere.token).json["token"]
    link = {"account": elsewhere.account, "mandate": mandate}
    assert ana.call("POST", "/v1/links", link).status == 201
    payment = {"transfers": [transfer(elsewhere.account, ana.customer.account, FROM)]}
    assert needs_code(ana.call("POST", "/v1/payments", payment, key=new_key()))
    paid = ana.call("POST", "/v1/payments", payment, key=new_key(), code=ana.next_code())
    assert paid.status == 201


def test_a_new_mandate_needs_a_code_and_the_same_asked_again_does_not(ana: Guarded) -> None:
    order = {
        "account": ana.customer.account,
        "initiator": ana.banks.there.ispb,
        "expires_at": "2090-01-01T00:00:00Z",
    }

    def give(**more: Any) -> Answer:
        return ana.call("POST", "/v1/mandates", order, **more)

    assert needs_code(give())
    assert ana.call("GET", "/v1/mandates").json["mandates"] == []
    key = new_key()
    given = give(key=key, code=ana.next_code())
    assert given.status == 201
    assert give(key=key).json == given.json
    assert needs_code(give(key=new_key()))
    assert needs_code(give())
    # To take a permission back is always free.
    assert ana.call("DELETE", f"/v1/mandates/{given.json['id']}").status == 204


def test_a_mandate_that_was_paused_is_resumed_with_a_code(ana: Guarded) -> None:
    order = {
        "account": ana.customer.account,
        "initiator": ana.banks.there.ispb,
        "expires_at": "2090-01-01T00:00:00Z",
    }
    path = f"/v1/mandates/{ana.call('POST', '/v1/mandates', order, code=ana.next_code()).json['id']}"
    assert ana.call("POST", f"{path}/pause").json["paused_at"] is not None
    assert needs_code(ana.call("POST", f"{path}/resume"))
    assert ana.call("GET", path).json["paused_at"] is not None
    assert ana.call("POST", f"{path}/resume", code=ana.next_code()).json["paused_at"] is None
    # Sent again, it changes nothing.
    assert ana.call("POST", f"{path}/resume").status == 200


def test_a_higher_limit_needs_a_code_and_a_lower_one_never(ana: Guarded) -> None:
    def choose(per_day: int, per_transfer: int = 500, **more: Any) -> Answer:
        figures = {"per_day": per_day, "per_transfer": per_transfer}
        return ana.call("PUT", f"/v1/accounts/{ana.customer.account}/limits", figures, **more)

    # The bank has no figure for a day, so that any is lower.
    assert choose(1_000).json["per_day"] == 1_000
    assert needs_code(choose(1_001))
    assert needs_code(choose(900, per_transfer=501))
    shown = choose(1_000)
    assert (shown.json["per_day"], shown.json["per_transfer"], shown.json["raises"]) == (1_000, 500, [])
    raised = choose(2_000, code=ana.next_code())
    assert [one["amount"] for one in raised.json["raises"]] == [2_000]
    # Sent again, or for less, it lets out no more than is awaited.
    assert choose(2_000).json == raised.json
    assert [one["amount"] for one in choose(1_500).json["raises"]] == [1_500]
    assert needs_code(choose(2_000))
    assert choose(0).json["raises"] == []
    assert needs_code(choose(1))


class Shared(NamedTuple):
    """An account for which both sign, and both have a second factor."""

    ana: Guarded
    bia: Guarded
    account: str

    def ask(self, amount: int) -> str:
        """A payment that waits for bia."""
        asked = self.ana.call(
            "POST",
            "/v1/payments",
            {"transfers": [transfer(self.account, shop_of(self.ana.banks), amount)]},
            key=new_key(),
            code=self.ana.next_code(),
        )
        assert asked.status == 202, asked
        return f"/v1/payments/{asked.json['id']}"

    def balance(self) -> int:
        return int(self.ana.call("GET", f"/v1/accounts/{self.account}").json["balance"])


@pytest.fixture
def shared(banks: Pair) -> Shared:
    ana, bia = guarded(banks), guarded(banks)
    order = {
        "kind": "joint",
        "holders": [ana.customer.document, bia.customer.document],
        "signatures": "all",
    }
    account = ana.call("POST", "/v1/accounts", order).json["address"]
    cash = {"account": account, "amount": 100_000}
    assert banks.here.operate("POST", "/v1/deposits", cash, key=new_key()).status == 201
    return Shared(ana, bia, account)


def test_to_approve_a_large_payment_needs_the_approvers_own_code(shared: Shared) -> None:
    path = f"{shared.ask(FROM)}/approvals"
    assert needs_code(shared.bia.call("POST", path))
    assert needs_code(shared.bia.call("POST", path, code=shared.ana.next_code()))
    assert shared.balance() == 100_000
    assert shared.bia.call("POST", path, code=shared.bia.next_code()).status == 201
    assert shared.balance() == 100_000 - FROM
    # Sent again, it only asks what came of it.
    assert shared.bia.call("POST", path).status == 201


def test_small_approvals_add_up_to_a_large_one(shared: Shared) -> None:
    small, small_too = shared.ask(FROM // 2), shared.ask(FROM // 2)
    assert shared.bia.call("POST", f"{small}/approvals").status == 201
    assert needs_code(shared.bia.call("POST", f"{small_too}/approvals"))
    assert needs_code(shared.bia.pay(FROM // 2))
    assert shared.bia.call("POST", f"{small_too}/approvals", code=shared.bia.next_code()).status == 201


def test_to_refuse_needs_no_code(shared: Shared) -> None:
    path = f"{shared.ask(FROM)}/approvals"
    assert shared.bia.call("POST", path, {"decision": "refuse"}).json["status"] == "refused"


def test_to_approve_a_mandate_needs_a_code_and_to_refuse_one_does_not(shared: Shared) -> None:
    order = {
        "account": shared.account,
        "initiator": shared.ana.banks.there.ispb,
        "expires_at": "2090-01-01T00:00:00Z",
    }
    first, second = (
        shared.ana.call("POST", "/v1/mandates", order, code=shared.ana.next_code()).json["id"]
        for _ in range(2)
    )
    path = f"/v1/mandates/{first}/approvals"
    assert needs_code(shared.bia.call("POST", path))
    assert shared.bia.call("POST", path, code=shared.bia.next_code()).json["status"] == "given"
    assert shared.bia.call("POST", path).status == 201
    path = f"/v1/mandates/{second}/approvals"
    assert shared.bia.call("POST", path, {"decision": "refuse"}).json["status"] == "ended"


def test_the_customer_may_lower_the_sum_but_not_raise_it_over_the_banks(ana: Guarded) -> None:
    def guard(body: Any, **more: Any) -> Answer:
        return ana.call("PUT", "/v1/second-factor", body, **more)

    lower = {"payments_from": 0, "at_login": False}
    assert needs_code(guard(lower))
    assert guard(lower, code=ana.next_code()).json["payments_from"] == 0
    assert needs_code(ana.pay(1))
    higher = {"payments_from": FROM + 1, "at_login": False}
    assert guard(higher, code=ana.next_code()).code == "bad_request"
    usual = {"payments_from": None, "at_login": False}
    assert guard(usual, code=ana.next_code()).json["payments_from"] == FROM
    assert ana.pay(1).status == 201


def log_in(ana: Guarded, password: str = PASSWORD, **more: Any) -> Answer:
    body = {"document": ana.customer.document, "password": password}
    return ana.banks.here.call("POST", "/v1/sessions", body, **more)


def test_logging_in_needs_a_code_where_the_customer_wants_it(ana: Guarded) -> None:
    assert log_in(ana).status == 201
    ana.call("PUT", "/v1/second-factor", {"payments_from": None, "at_login": True}, code=ana.next_code())
    assert needs_code(log_in(ana))
    assert log_in(ana, "something else", code=ana.next_code()).code == "wrong_credentials"
    code = ana.next_code()
    assert log_in(ana, code=code).status == 201
    assert needs_code(log_in(ana, code=code))
    assert log_in(ana, code=ana.recovery[0]).status == 201


def test_whoever_has_no_second_factor_is_not_asked_for_a_code(banks: Pair) -> None:
    bank, customer = banks.here, banks.here.someone(10 * FROM)
    body = {"transfers": [transfer(customer.account, shop_of(banks), 5 * FROM)]}
    assert bank.pay(customer, body).status == 201
    assert bank.pay(customer, body, code="123456").status == 201


def test_a_secret_that_cannot_be_opened_any_more_leaves_the_recovery_codes(
    ana: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ana.banks.here.node.second_factors, "_seal", Seal(b"k" * 32, SystemDice()))
    assert needs_code(ana.pay(FROM, code=ana.next_code()))
    assert ana.pay(FROM, code=ana.recovery[0]).status == 201


# To have lost it.


def test_an_operator_takes_a_lost_second_factor_away_and_whoever_was_signed_in_is_not_any_more(
    ana: Guarded,
) -> None:
    bank, customer = ana.banks.here, ana.customer
    assert needs_code(ana.pay(FROM))
    olga = bank.operator(f"olga-{customer.document}", "operator")
    order = {"document": customer.document}
    path = "/v1/operator/second-factor/removal"
    assert bank.call("POST", path, order, token=customer.token).code == "forbidden"
    assert bank.call("POST", path, {"document": documents.cpf()}, token=olga).code == "not_found"
    removed = bank.call("POST", path, order, token=olga)
    assert (removed.status, removed.json["status"]) == (200, "off")
    assert ana.call("GET", "/v1/accounts").code == "unauthenticated"
    (latest, *_) = bank.operate("GET", "/v1/operator/actions").json["actions"]
    assert (latest["action"], latest["subject"], latest["outcome"]) == (
        "reset_second_factor",
        customer.document,
        "done",
    )
    session = {"document": customer.document, "password": PASSWORD}
    token = bank.call("POST", "/v1/sessions", session).json["token"]
    paid = bank.call("POST", "/v1/payments", ana.payment(FROM), token=token, key=new_key())
    assert paid.status == 201
    # The old device's codes are good for nothing, and a new one can be added.
    assert bank.call("POST", "/v1/second-factor", {"password": PASSWORD}, token=token).status == 201
