"""Joint accounts for which all holders sign, as clients meet them."""

from typing import Any, NamedTuple

import pytest

from ciranda.engine.approval import WAIT_MS, Subject
from ciranda.engine.input import Expire
from ciranda.identity import parse_end_to_end_id
from tests.api.bank import Answer, Customer, Door, Json, Pair, new_key, transfer
from tests.system import documents


class House(NamedTuple):
    """Ana and Bia, who sign together for an account with R$ 10 in it, and Rui, who has nothing to do with it."""

    bank: Door
    ana: Customer
    bia: Customer
    rui: Customer
    casa: str

    def ask(self, *transfers: Json, payer: Customer | None = None, **more: Any) -> Answer:
        moves = transfers or (transfer(self.casa, self.rui.account, 300),)
        return self.bank.pay(payer or self.ana, {"transfers": list(moves)}, **more)

    def say(self, who: Customer, id: str, body: Any = None, of: str = "payments") -> Answer:
        return self.bank.call("POST", f"/v1/{of}/{id}/approvals", body, token=who.token)

    def shown(self, who: Customer, id: str) -> Answer:
        return self.bank.call("GET", f"/v1/payments/{id}", token=who.token)

    def awaits(self, who: Customer, query: bytes = b"") -> Json:
        answer = self.bank.call("GET", "/v1/approvals", token=who.token, query=query)
        assert answer.status == 200, answer
        body: Json = answer.json
        return body

    def balance(self) -> int:
        shown = self.bank.call("GET", f"/v1/accounts/{self.casa}", token=self.ana.token).json
        assert shown["held"] == 0
        return int(shown["balance"])


def together(bank: Door, *holders: Customer, balance: int = 1000) -> str:
    body = {"kind": "joint", "holders": [one.document for one in holders], "signatures": "all"}
    made = bank.call("POST", "/v1/accounts", body, token=holders[0].token)
    assert (made.status, made.json["signatures"]) == (201, "all")
    account = str(made.json["address"])
    cash = {"account": account, "amount": balance}
    assert bank.operate("POST", "/v1/deposits", cash, key=new_key()).status == 201
    return account


@pytest.fixture
def house(bank: Door) -> House:
    ana, bia, rui = (bank.someone() for _ in range(3))
    return House(bank, ana, bia, rui, together(bank, ana, bia))


def names(people: list[Json]) -> list[str]:
    return [person["document"] for person in people]


def test_a_payment_waits_until_every_holder_has_approved_it(house: House) -> None:
    asked = house.ask()
    assert (asked.status, asked.json["status"]) == (202, "awaiting_approval")
    approvals = asked.json["approvals"]
    assert names(approvals["approved"]) == [house.ana.document]
    assert names(approvals["missing"]) == [house.bia.document]
    assert (approvals["asked_by"]["document"], approvals["refused_by"]) == (house.ana.document, None)
    assert house.balance() == 1000
    id = asked.json["id"]
    again = house.say(house.ana, id, {})
    assert (again.status, again.json["status"]) == (202, "awaiting_approval")
    done = house.say(house.bia, id, {"decision": "approve"})
    assert (done.status, done.json["status"]) == (201, "settled")
    assert house.balance() == 700
    assert house.say(house.bia, id).status == 201
    assert house.balance() == 700
    shown = house.shown(house.bia, id).json
    assert names(shown["approvals"]["approved"]) == [house.ana.document, house.bia.document]
    assert shown["approvals"]["missing"] == []


def test_no_body_at_all_approves_and_words_that_are_none_do_not(house: House) -> None:
    id = house.ask().json["id"]
    words: list[Any] = [
        {"decision": "maybe"},
        {"decision": None},
        {"decision": 1},
        {"approve": True},
        [],
        "yes",
    ]
    for body in words:
        assert house.say(house.bia, id, body).code == "bad_request"
    assert house.balance() == 1000
    assert house.say(house.bia, id).status == 201


def test_one_refusal_ends_it_for_all(house: House) -> None:
    key = new_key()
    id = house.ask(key=key).json["id"]
    refused = house.say(house.bia, id, {"decision": "refuse"})
    assert (refused.status, refused.json["status"]) == (200, "refused")
    assert refused.json["refusal"]["code"] == "not_permitted"
    assert refused.json["approvals"]["refused_by"]["document"] == house.bia.document
    assert house.say(house.bia, id, {"decision": "refuse"}).status == 200
    for answer in (house.say(house.ana, id), house.say(house.bia, id), house.ask(key=key)):
        assert (answer.status, answer.code, answer.json["payment"]) == (422, "not_permitted", id)
    assert house.balance() == 1000


def test_what_has_begun_can_no_longer_be_refused(house: House) -> None:
    id = house.ask().json["id"]
    house.say(house.bia, id)
    for holder in (house.ana, house.bia):
        late = house.say(holder, id, {"decision": "refuse"})
        assert (late.status, late.code) == (409, "already_decided")
    assert house.balance() == 700


def test_only_those_who_must_sign_may_speak_or_see(house: House) -> None:
    id = house.ask().json["id"]
    words: list[Json | None] = [None, {"decision": "refuse"}]
    for body in words:
        assert house.say(house.rui, id, body).code == "not_found"
        assert house.bank.operate("POST", f"/v1/payments/{id}/approvals", body).code == "forbidden"
        assert house.bank.call("POST", f"/v1/payments/{id}/approvals", body).code == "unauthenticated"
    # Who would be paid is told nothing before there is something to tell.
    assert house.shown(house.rui, id).code == "not_found"
    assert house.awaits(house.rui)["approvals"] == []
    house.say(house.bia, id)
    received = house.shown(house.rui, id)
    assert received.json["status"] == "settled"
    assert "approvals" not in received.json, "whose signatures it needed is not the payee's business"
    operator = house.bank.operate("GET", f"/v1/payments/{id}").json
    assert names(operator["approvals"]["approved"]) == [house.ana.document, house.bia.document]


@pytest.mark.parametrize(
    "id", ["x", "E", "E1000000120261123051400000000000", "..", "0" * 32, "%00", "é" * 32]
)
def test_what_does_not_exist_awaits_nobody(house: House, id: str) -> None:
    for of in ("payments", "mandates"):
        assert house.say(house.ana, id, of=of).code == "not_found"


def test_a_payment_that_one_may_make_alone_has_nothing_to_approve(house: House, bank: Door) -> None:
    payer = bank.someone(100)
    paid = bank.pay(payer, {"transfers": [transfer(payer.account, house.rui.account, 1)]})
    assert "approvals" not in paid.json
    for body in (None, {"decision": "refuse"}):
        assert house.say(payer, paid.json["id"], body).code == "not_found"


def test_out_of_several_such_accounts_all_holders_of_all_must_approve_and_strangers_are_masked(
    house: House, bank: Door
) -> None:
    cid = bank.someone(document=documents.cpf())
    mata = together(bank, house.ana, cid)
    asked = house.ask(transfer(house.casa, house.rui.account, 10), transfer(mata, house.rui.account, 20))
    id = asked.json["id"]
    assert names(asked.json["approvals"]["missing"]) == [house.bia.document, cid.document]
    (seen,) = house.awaits(cid)["approvals"]
    (masked,) = [one for one in seen["payment"]["approvals"]["missing"] if one["document"] != cid.document]
    assert masked == {
        "document": f"***.{house.bia.document[3:6]}.{house.bia.document[6:9]}-**",
        "name": "An* Mar**",
    }
    assert names(seen["payment"]["approvals"]["approved"]) == [house.ana.document], "they share an account"
    assert house.say(cid, id).status == 202
    assert house.awaits(cid)["approvals"] == [], "it awaits the others now"
    assert house.say(house.bia, id).json["status"] == "settled"


def test_what_awaits_one_is_listed_with_what_it_is_about_page_by_page(house: House) -> None:
    ids = [house.ask().json["id"] for _ in range(3)]
    mandate = give(house).json["id"]
    first = house.awaits(house.bia, b"limit=2")
    second = house.awaits(house.bia, f"limit=2&cursor={first['next_cursor']}".encode())
    assert second["next_cursor"] is None
    listed = [*first["approvals"], *second["approvals"]]
    assert {one["id"] for one in listed} == {*ids, mandate}
    for one in listed:
        about = one[one["kind"]]
        assert (about["id"], about["status"]) == (one["id"], "awaiting_approval")
        assert ("mandate" in one) != ("payment" in one)
    assert house.awaits(house.ana)["approvals"] == []
    mine = house.bank.call("GET", "/v1/payments", token=house.ana.token).json["payments"]
    assert {one["id"] for one in mine} == set(ids)
    assert all(names(one["approvals"]["missing"]) == [house.bia.document] for one in mine)


@pytest.mark.parametrize(
    "query", [b"limit=0", b"cursor=x", b"cursor=1-", b"cursor=-x", b"cursor=1-%00", b"limit=1001"]
)
def test_a_page_that_makes_no_sense_is_refused(house: House, query: bytes) -> None:
    answer = house.bank.call("GET", "/v1/approvals", token=house.bia.token, query=query)
    assert answer.code == "bad_request"


def test_the_last_approval_finds_out_what_has_changed_since(house: House) -> None:
    first, second = house.ask(transfer(house.casa, house.rui.account, 900)), house.ask()
    assert house.say(house.bia, first.json["id"]).status == 201
    late = house.say(house.bia, second.json["id"])
    assert (late.status, late.code, late.json["payment"]) == (422, "insufficient_funds", second.json["id"])
    shown = house.shown(house.ana, second.json["id"]).json
    assert (shown["status"], shown["approvals"]["missing"]) == ("refused", [])


def test_the_batch_call_waits_for_each_payment_by_itself(house: House) -> None:
    own = house.bank.someone(50)
    alone = together(house.bank, own, house.bia, balance=100)
    moves = [
        transfer(own.account, house.rui.account, 1),
        transfer(alone, house.rui.account, 2),
        transfer(alone, house.casa, 3),
        transfer(house.casa, house.rui.account, 4),
    ]
    payments = [{"key": f"batch-{n}", "transfers": [move]} for n, move in enumerate(moves)]
    sent = {"payments": payments}
    answer = house.bank.call("POST", "/v1/payments/batches", sent, token=own.token).json["results"]
    assert [one["status"] for one in answer] == [
        "settled",
        "awaiting_approval",
        "awaiting_approval",
        "refused",
    ]
    assert answer[3]["refusal"]["code"] == "not_permitted"
    assert house.say(house.bia, answer[1]["id"]).status == 201
    assert house.say(house.bia, answer[2]["id"], {"decision": "refuse"}).status == 200
    again = house.bank.call("POST", "/v1/payments/batches", sent, token=own.token).json["results"]
    assert [one["status"] for one in again] == ["settled", "settled", "refused", "refused"]
    assert [one["id"] for one in again] == [one["id"] for one in answer]


def test_a_repeated_request_gets_the_present_state(house: House) -> None:
    key = new_key()
    first, again = house.ask(key=key), house.ask(key=key)
    assert (first.status, again.status) == (202, 202)
    assert first.json == again.json
    house.say(house.bia, first.json["id"])
    settled = house.ask(key=key)
    assert (settled.status, settled.json["id"], settled.json["status"]) == (201, first.json["id"], "settled")
    assert house.balance() == 700


def test_the_audit_has_nothing_in_doubt_while_something_waits(house: House) -> None:
    before = house.bank.operate("GET", "/v1/operator/audit").json
    house.ask()
    after = house.bank.operate("GET", "/v1/operator/audit").json
    assert after == before


def test_what_nobody_approved_for_a_day_is_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    id = house.ask().json["id"]
    clock = house.bank.node.store._clock  # type: ignore[attr-defined]
    now = clock.now()
    with monkeypatch.context() as a_day_later:
        a_day_later.setattr(type(clock), "now", lambda self: now + WAIT_MS)
        house.bank.run(_offer(house.bank, Expire(subject=Subject.PAYMENT, id=parse_end_to_end_id(id))))
    shown = house.shown(house.bia, id).json
    assert (shown["status"], shown["refusal"]["code"]) == ("refused", "deadline_passed")
    assert (house.say(house.bia, id).status, house.say(house.bia, id).code) == (422, "deadline_passed")


async def _offer(bank: Door, input: Expire) -> None:
    await bank.node.batches.owe(input)


# Mandates.


def give(house: House, key: str | None = None, **changed: Any) -> Answer:
    (other,) = house.bank.node.bank.roster.peers_of(house.bank.ispb)
    body = {
        "account": house.casa,
        "initiator": other.ispb,
        "expires_at": "2040-01-01T00:00:00Z",
        **changed,
    }
    return house.bank.call("POST", "/v1/mandates", body, token=house.ana.token, key=key)


@pytest.mark.parametrize("scope", ["pay", "read"])
def test_a_mandate_waits_until_every_holder_has_approved_it(house: House, scope: str) -> None:
    key = new_key()
    asked = give(house, key, scopes=[scope])
    assert (asked.status, asked.json["status"], asked.json["approved_at"]) == (202, "awaiting_approval", None)
    assert names(asked.json["approvals"]["missing"]) == [house.bia.document]
    id = asked.json["id"]
    assert house.say(house.rui, id, of="mandates").code == "not_found"
    assert house.say(house.ana, id, of="mandates").status == 202
    given = house.say(house.bia, id, of="mandates")
    assert (given.status, given.json["status"]) == (201, "given")
    assert "token" not in given.json, "the token is for whoever asked for it"
    again = give(house, key, scopes=[scope])
    assert (again.status, again.json["token"]) == (201, asked.json["token"])
    assert house.say(house.bia, id, {"decision": "refuse"}, of="mandates").code == "already_decided"
    for holder in (house.ana, house.bia):
        (listed,) = house.bank.call("GET", "/v1/mandates", token=holder.token).json["mandates"]
        assert (listed["id"], listed["status"]) == (id, "given")
    assert house.bank.call("DELETE", f"/v1/mandates/{id}", token=house.bia.token).status == 204
    assert give(house, key, scopes=[scope]).json["status"] == "ended"


def test_a_mandate_that_a_holder_does_not_want_is_none(house: House) -> None:
    key = new_key()
    id = give(house, key).json["id"]
    refused = house.say(house.bia, id, {"decision": "refuse"}, of="mandates")
    assert (refused.status, refused.json["status"]) == (200, "ended")
    assert (house.say(house.ana, id, of="mandates").status, give(house, key).code) == (422, "not_permitted")


def test_a_token_is_worth_nothing_until_all_have_signed_and_then_pays_without_waiting(
    house: House, banks: Pair
) -> None:
    there = banks.there
    ana = there.someone(document=house.ana.document)
    asked = give(house, scopes=["pay", "read"])
    link = {"account": house.casa, "mandate": asked.json["token"]}
    order = {"transfers": [transfer(house.casa, ana.account, 40, mandate=asked.json["token"])]}
    early = there.pay(ana, order)
    assert (early.code, early.json["bank"]) == ("not_permitted", house.bank.ispb)
    assert there.call("POST", "/v1/links", link, token=ana.token).code == "not_permitted"
    assert house.say(house.bia, asked.json["id"], of="mandates").status == 201
    paid = there.pay(ana, order)
    assert (paid.status, paid.json["status"]) == (201, "settled")
    assert there.call("POST", "/v1/links", link, token=ana.token).status == 201
    assert house.balance() == 960


# Between banks.


@pytest.mark.parametrize("linked", [False, True])
def test_a_payment_that_all_signed_takes_from_other_banks_too(
    house: House, banks: Pair, linked: bool
) -> None:
    """The token that came with the request is kept until then, and nobody can read it in the database."""
    there = banks.there
    ana = there.someone(500, house.ana.document)
    body = {"account": ana.account, "initiator": house.bank.ispb, "expires_at": "2040-01-01T00:00:00Z"}
    token = there.call("POST", "/v1/mandates", body, token=ana.token).json["token"]
    moves = [transfer(house.casa, house.rui.account, 10), transfer(ana.account, house.rui.account, 20)]
    if linked:
        link = {"account": ana.account, "mandate": token}
        assert house.bank.call("POST", "/v1/links", link, token=house.ana.token).status == 201
    else:
        moves[1]["mandate"] = token
    asked = house.ask(*moves)
    assert (asked.status, there.balance(ana)) == (202, 500)
    for file in banks.banks.folder.glob(f"{house.bank.ispb}.db*"):
        assert token.encode() not in file.read_bytes()
    done = house.say(house.bia, asked.json["id"])
    assert (done.status, done.json["status"]) == (201, "settled")
    house.bank.run(banks.banks.settled())
    assert there.balance(ana) == 480
    part = there.call("GET", f"/v1/payments/{asked.json['id']}", token=ana.token)
    assert "approvals" not in part.json


def test_a_bank_that_is_away_at_the_last_approval_refuses_it_and_one_that_was_away_before_does_not(
    house: House, banks: Pair
) -> None:
    payee = banks.there.someone()
    down = banks.banks.network.down
    first = house.ask(transfer(house.casa, payee.account, 10))
    down.add(banks.there.node.bank.ispb)
    try:
        second = house.ask(transfer(house.casa, payee.account, 10))
        assert second.status == 202
        away = house.say(house.bia, first.json["id"])
        assert (away.code, away.json["bank"]) == ("bank_unreachable", banks.there.ispb)
    finally:
        down.clear()
    assert house.say(house.bia, second.json["id"]).status == 201


# Blocked and closed.


def test_a_blocked_account_neither_asks_nor_begins_and_goes_on_when_it_is_unblocked(house: House) -> None:
    id = house.ask().json["id"]
    mandate = give(house).json["id"]
    house.bank.operate("POST", f"/v1/operator/accounts/{house.casa}/block")
    assert house.ask().code == "blocked_account"
    assert house.say(house.bia, id).code == "blocked_account"
    assert house.say(house.bia, mandate, of="mandates").status == 201, (
        "it allows nothing while the block lasts"
    )
    house.bank.operate("POST", f"/v1/operator/accounts/{house.casa}/unblock")
    assert house.ask().status == 202


def test_closing_does_not_wait_for_what_awaits_the_holders_and_that_is_refused_then(house: House) -> None:
    id = house.ask().json["id"]
    close = f"/v1/operator/accounts/{house.casa}/close"
    assert house.bank.operate("POST", close).code == "balance_not_zero"
    cash = {"account": house.casa, "amount": 1000}
    assert house.bank.operate("POST", "/v1/withdrawals", cash, key=new_key()).status == 201
    assert house.bank.operate("POST", close).json["status"] == "closed"
    assert house.say(house.bia, id).code == "closed_account"
    assert give(house).code == "closed_account"
