"""How a payment is answered, whatever comes of it; and that both of its doors answer the same."""

import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ciranda.agreement.message import Prepare, Question
from ciranda.identity import Ispb
from ciranda.node import batches
from ciranda.ports import PeerUnreachable, Unavailable
from tests.api.bank import Customer, Door, Json, Pair, new_key, pair, transfer
from tests.system import documents

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def ana(banks: Pair) -> Customer:
    return banks.here.someone(100_000)


@pytest.fixture(scope="module")
def shop(banks: Pair) -> Customer:
    return banks.here.someone()


def batch(bank: Door, payer: Customer, payments: list[Json]) -> Any:
    answer = bank.call("POST", "/v1/payments/batches", {"payments": payments}, token=payer.token)
    assert answer.status == 200, answer
    return answer.json["results"]


def test_a_settled_payment_is_shown_whole(bank: Door, ana: Customer, shop: Customer) -> None:
    answer = bank.pay(
        ana,
        {
            "transfers": [transfer(ana.account, shop.account, 7), transfer(ana.account, shop.account, 5)],
            "description": "café",
            "reference": "pedido42",
        },
    )
    assert answer.status == 201
    shown = answer.json
    assert MOMENT.fullmatch(shown.pop("created_at"))
    assert MOMENT.fullmatch(shown.pop("decided_at"))
    id = shown.pop("id")
    assert shown == {
        "kind": "payment",
        "status": "settled",
        "transfers": [
            {"source": ana.account, "target": shop.account, "amount": 7},
            {"source": ana.account, "target": shop.account, "amount": 5},
        ],
        "amount": 12,
        "description": "café",
        "reference": "pedido42",
    }
    for caller in (ana.token, shop.token):
        assert bank.call("GET", f"/v1/payments/{id}", token=caller).json == answer.json
    assert bank.operate("GET", f"/v1/payments/{id}").json == answer.json
    stranger = bank.someone()
    assert bank.call("GET", f"/v1/payments/{id}", token=stranger.token).code == "not_found"


def test_a_refused_payment_is_a_problem_that_says_which_payment_and_why(
    bank: Door, ana: Customer, shop: Customer
) -> None:
    answer = bank.pay(ana, {"transfers": [transfer(ana.account, shop.account, 10**12)]})
    assert (answer.status, answer.code) == (422, "insufficient_funds")
    problem = answer.json
    assert problem["type"] == "urn:ciranda:problem:insufficient_funds"
    assert (problem["iso"], problem["bank"]) == ("AM04", bank.ispb)
    shown = bank.call("GET", f"/v1/payments/{problem['payment']}", token=ana.token).json
    assert shown["status"] == "refused"
    assert shown["refusal"] == {
        "code": "insufficient_funds",
        "iso": "AM04",
        "detail": problem["detail"],
        "bank": bank.ispb,
    }
    hidden = bank.call("GET", f"/v1/payments/{problem['payment']}", token=shop.token)
    assert hidden.code == "not_found", "nothing was ever on its way to them"


def test_cash_has_one_end_in_the_vault_which_has_no_address(bank: Door) -> None:
    caio = bank.someone()
    order = {"account": caio.account, "amount": 50, "description": "balcão"}
    taken = bank.operate("POST", "/v1/deposits", order, key=new_key())
    assert (taken.status, taken.json["kind"], taken.json["status"]) == (201, "deposit", "settled")
    assert taken.json["transfers"] == [{"source": None, "target": caio.account, "amount": 50}]
    given = bank.operate("POST", "/v1/withdrawals", order, key=new_key())
    assert (given.status, given.json["kind"]) == (201, "withdrawal")
    assert given.json["transfers"] == [{"source": caio.account, "target": None, "amount": 50}]
    refused = bank.operate("POST", "/v1/withdrawals", order, key=new_key())
    assert (refused.status, refused.code) == (422, "insufficient_funds")
    entries = bank.call("GET", f"/v1/accounts/{caio.account}/entries", token=caio.token).json["entries"]
    assert [(one["amount"], one["balance"], one["counterpart"]) for one in entries] == [
        (-50, 0, None),
        (50, 50, None),
    ]
    assert {one["description"] for one in entries} == {"balcão"}


def test_the_same_request_again_gets_the_same_answer(bank: Door, ana: Customer, shop: Customer) -> None:
    for amount, status in ((3, 201), (10**12, 422)):
        key, body = new_key(), {"transfers": [transfer(ana.account, shop.account, amount)]}
        before = bank.balance(ana)
        first, again = bank.pay(ana, body, key=key), bank.pay(ana, body, key=key)
        assert first == again
        assert first.status == status
        assert before - bank.balance(ana) == (amount if status == 201 else 0)
        other = {"transfers": [transfer(ana.account, shop.account, 4)]}
        assert bank.pay(ana, other, key=key).code == "idempotency_mismatch"


def test_two_ways_to_write_one_body_are_one_request(bank: Door, ana: Customer, shop: Customer) -> None:
    key = new_key()
    compact = f'{{"transfers":[{{"source":"{ana.account}","target":"{shop.account}","amount":2}}]}}'
    spaced = f'{{ "description" : null,\n"transfers":[{{"amount":2, "target":"{shop.account}","source":"{ana.account}"}}]}}'
    first = bank.pay(ana, raw=compact.encode(), key=key)
    assert first.status == 201
    assert bank.pay(ana, raw=spaced.encode(), key=key) == first


def test_a_bad_request_does_not_use_its_key_up(bank: Door, ana: Customer, shop: Customer) -> None:
    key = new_key()
    assert bank.pay(ana, {"transfers": [transfer(ana.account, shop.account, -1)]}, key=key).status == 400
    assert bank.pay(ana, {"transfers": [transfer(ana.account, shop.account, 1)]}, key=key).status == 201


# The hottest door stands before the route that is documented. Whatever comes in, they agree.


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"",
        b"[" * 100_000,
        b'{"transfers":[]}',
        b'{"transfers":[],"x":1}',
        b'{"transfers":[{"source":"A","target":"S","amount":0}]}',
        b'{"transfers":[{"source":"A","target":"S","amount":1}]}',
        b'{"transfers":[{"source":"A","target":"A","amount":1}]}',
        b'{"transfers":[{"source":"S","target":"A","amount":1}]}',
        b'{"transfers":[{"source":"A","target":"S","amount":1000000000000}]}',
        b'{"transfers":[{"source":"A","target":"S","amount":1,"mandate":"\\u0000"}]}',
        b'{"transfers":[{"source":"A","target":"S","amount":1}],"description":"a\\u0000"}',
    ],
    ids=lambda raw: repr(raw[:64]),
)
def test_the_hottest_door_answers_as_the_route_behind_it(
    bank: Door, ana: Customer, shop: Customer, raw: bytes
) -> None:
    raw = raw.replace(b'"A"', f'"{ana.account}"'.encode()).replace(b'"S"', f'"{shop.account}"'.encode())
    for headers in ([], [(b"idempotency-key", b"a b")], [(b"idempotency-key", new_key().encode())]):
        hot = bank.call("POST", "/v1/payments", raw=raw, headers=headers, token=ana.token)
        behind = bank.call("POST", "/v1/payments/", raw=raw, headers=headers, token=ana.token)
        assert hot == behind


# Batches.


def test_a_batch_answers_each_payment_in_its_place(bank: Door, ana: Customer, shop: Customer) -> None:
    one, other, used = new_key(), new_key(), new_key()
    legs = [transfer(ana.account, shop.account, 1)]
    single = bank.pay(ana, {"transfers": legs}, key=used).json
    before = bank.balance(ana)
    results = batch(
        bank,
        ana,
        [
            {"key": one, "transfers": legs},
            {"key": other, "transfers": [transfer(ana.account, shop.account, 10**12)]},
            {"key": one, "transfers": legs},
            {"key": one, "transfers": [transfer(ana.account, shop.account, 2)]},
            {"key": used, "transfers": legs},
        ],
    )
    assert [result["key"] for result in results] == [one, other, one, one, used]
    assert [result["status"] for result in results] == ["settled", "refused", "settled", "refused", "settled"]
    assert results[0] == results[2]
    assert results[1]["refusal"]["code"] == "insufficient_funds"
    assert (results[3]["id"], results[3]["refusal"]["code"]) == (None, "idempotency_mismatch")
    assert results[4]["id"] == single["id"], "keys live in the space of /v1/payments"
    assert before - bank.balance(ana) == 1


@pytest.mark.parametrize(
    ("payments", "transfers"),
    [(0, 1), (5_001, 1), (157, 64)],
    ids=["none", "more than 5,000 payments", "more than 10,000 transfers"],
)
def test_a_batch_has_its_limits(
    bank: Door, ana: Customer, shop: Customer, payments: int, transfers: int
) -> None:
    legs = [transfer(ana.account, shop.account, 1)] * transfers
    body = {"payments": [{"key": str(place), "transfers": legs} for place in range(payments)]}
    before = bank.balance(ana)
    answer = bank.call("POST", "/v1/payments/batches", body, token=ana.token)
    assert (answer.code, answer.json["errors"][0]["field"]) == ("bad_request", "payments")
    assert bank.balance(ana) == before


def test_one_malformed_payment_stops_a_batch_before_anything_is_paid(
    bank: Door, ana: Customer, shop: Customer
) -> None:
    before = bank.balance(ana)
    good = {"key": new_key(), "transfers": [transfer(ana.account, shop.account, 1)]}
    for bad in ({"key": "a b"}, {"description": "\x00"}, {"reference": "-"}):
        body = {"payments": [good, {**good, **bad}]}
        answer = bank.call("POST", "/v1/payments/batches", body, token=ana.token)
        (field,) = bad
        assert answer.json["errors"][0]["field"] == f"payments[1].{field}"
    assert bank.balance(ana) == before


# When something is not there.


def test_a_payment_whose_outcome_nobody_knows_yet_is_pending_and_its_key_finds_what_became_of_it(
    tmp_path: Path,
) -> None:
    # Of three banks all are witnesses; with two, the coordinator would decide alone and always know.
    # However slow the machine is, the vote comes before this deadline.
    with pair(tmp_path, count=3, deadline_ms=3_000) as banks:
        cpf = documents.cpf()
        here, there = banks.here.someone(1_000, cpf), banks.there.someone(1_000, cpf)
        order = {
            "account": there.account,
            "initiator": banks.here.ispb,
            "expires_at": "2040-01-01T00:00:00Z",
        }
        token = banks.there.call("POST", "/v1/mandates", order, token=there.token).json["token"]

        async def lose(_sender: Ispb, receiver: Ispb, question: Question) -> None:
            if not isinstance(question, Prepare):
                raise PeerUnreachable(receiver)

        key, body = new_key(), {"transfers": [transfer(there.account, here.account, 9, mandate=token)]}
        banks.banks.network.before = lose
        first = banks.here.pay(here, body, key=key)
        assert (first.status, first.json["status"]) == (202, "pending")
        assert "decided_at" not in first.json
        assert banks.here.operate("GET", "/v1/operator/audit").json["payments"]["in_doubt"] == 1
        banks.banks.network.before = None
        banks.here.run(banks.banks.settled())
        again = banks.here.pay(here, body, key=key)
        paid = again.status == 201
        assert (again.status, again.json.get("code")) in ((201, None), (422, "aborted"))
        assert again.json["id" if paid else "payment"] == first.json["id"]
        moved = 9 if paid else 0
        assert (banks.here.balance(here), banks.there.balance(there)) == (1_000 + moved, 1_000 - moved)


def test_a_payment_to_a_bank_that_is_away_is_refused_and_looking_there_can_be_tried_again(
    banks: Pair, ana: Customer
) -> None:
    far = banks.there.someone()
    banks.banks.network.down.add(Ispb(banks.there.ispb))
    try:
        assert banks.here.pay(ana, {"transfers": [transfer(ana.account, far.account, 1)]}).code == (
            "bank_unreachable"
        )
        assert banks.here.call("GET", f"/v1/payees/{far.account}", token=ana.token).code == "unavailable"
        body = {"account": far.account, "mandate": "x"}
        assert banks.here.call("POST", "/v1/links", body, token=ana.token).code == "unavailable"
        (peer,) = banks.here.call("GET", "/v1/bank").json["peers"]
        assert not peer["reachable"]
        assert banks.here.call("GET", "/health/ready").status == 200, "whatever the peers do"
    finally:
        banks.banks.network.down.clear()


def test_when_too_much_is_under_way_nothing_is_recorded_and_the_key_stays_free(
    bank: Door, ana: Customer, shop: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, body = new_key(), {"transfers": [transfer(ana.account, shop.account, 1)]}
    keyed = {"payments": [{"key": new_key(), **body}]}
    with monkeypatch.context() as full:
        full.setattr(batches, "WAITING_MAX", 0)
        for path in ("/v1/payments", "/v1/payments/"):
            answer = bank.call("POST", path, body, token=ana.token, key=key)
            assert (answer.status, answer.code) == (503, "overloaded")
        answer = bank.call("POST", "/v1/payments/batches", keyed, token=ana.token)
        assert (answer.status, answer.code) == (503, "overloaded")
    assert bank.pay(ana, body, key=key).status == 201


def test_when_the_database_is_away_every_route_says_so(
    bank: Door, ana: Customer, shop: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise Unavailable("the database is away")

    body = {"transfers": [transfer(ana.account, shop.account, 1)]}
    with monkeypatch.context() as broken:
        for name in ("transact", "account", "accounts_of", "session"):
            broken.setattr(bank.node.store, name, away)
        for path in ("/v1/payments", "/v1/payments/"):
            answer = bank.call("POST", path, body, token=ana.token, key=new_key())
            assert (answer.status, answer.code) == (503, "unavailable")
        answer = bank.operate("GET", f"/v1/accounts/{ana.account}")
        assert (answer.status, answer.code) == (503, "unavailable")
        ready = bank.call("GET", "/health/ready")
        assert (ready.status, ready.code) == (503, "unavailable")
        assert bank.call("GET", "/health/live").status == 200
    assert bank.pay(ana, body).status == 201


def test_a_mistake_of_ours_is_not_told_to_the_client(
    bank: Door, ana: Customer, shop: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mistaken(*_: object) -> Any:
        raise ZeroDivisionError("a secret of the bank")

    body = {"transfers": [transfer(ana.account, shop.account, 1)]}
    monkeypatch.setattr(bank.node, "pay", mistaken)
    with capture_logs() as logged:
        for path in ("/v1/payments", "/v1/payments/"):
            answer = bank.call("POST", path, body, token=ana.token, key=new_key())
            assert (answer.status, answer.code) == (503, "unavailable")
            assert b"secret" not in answer.body
    assert [entry["event"] for entry in logged] == ["mistake", "mistake"]
