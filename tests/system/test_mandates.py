"""Mandates and links: how one spends at one bank what one has at another, and nobody else does."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest

from tests.system import documents
from tests.system.answers import MOMENT, Json, created, found, problem, refused, settled
from tests.system.consortium import Bank, Consortium, Customer, new_key, transfer
from tests.system.crowd import at_once
from tests.system.patience import eventually

LATER = "2099-12-31T00:00:00.000Z"


class Scene(NamedTuple):
    """Ana, a customer of both banks, who has 1,000 at `there` and pays a shop's `till` at `here`."""

    here: Bank
    there: Bank
    payer: Customer
    """Ana at `here`."""
    holder: Customer
    """Ana at `there`."""
    account: str
    rui: Customer
    till: str

    def pay(self, amount: int, token: str | None, payer: Customer | None = None) -> httpx.Response:
        return (payer or self.payer).pay(transfer(self.account, self.till, amount, token))

    def allow(self, **more: Any) -> str:
        token = self.holder.allow(self.account, self.here, **more)["token"]
        assert isinstance(token, str)
        return token

    def ask_to_allow(self, **changed: Any) -> httpx.Response:
        order = {"account": self.account, "initiator": self.here.ispb, "expires_at": LATER, **changed}
        return self.holder.call("POST", "/v1/mandates", order)

    def paid(self, amount: int) -> None:
        """All in all so much was paid, and not a centavo more."""
        self.rui.balance_becomes(self.till, amount)
        self.holder.balance_becomes(self.account, 1_000 - amount)


@pytest.fixture
def scene(circle: Consortium) -> Scene:
    here, there = circle.banks[:2]
    holder, account = there.someone("Ana Maria", 1_000)
    rui, till = here.someone("Rui Barbosa")
    return Scene(here, there, holder.at(here), holder, account, rui, till)


# Mandates.


def test_a_mandate_lets_its_holder_pay_from_the_bank_that_it_names(scene: Scene) -> None:
    settled(scene.pay(400, scene.allow()))
    scene.paid(400)


def test_a_mandate_works_at_no_other_bank(circle: Consortium, scene: Scene) -> None:
    token = scene.allow()
    third = circle.banks[2]
    refused(scene.pay(10, token, scene.holder.at(third)), "not_permitted")
    scene.paid(0)


def test_a_mandate_is_worthless_to_whoever_finds_it(scene: Scene) -> None:
    token = scene.allow()
    thief = scene.here.sign_up("Eva Maria")
    refused(scene.pay(10, token, thief), "not_permitted", scene.there.ispb)
    scene.paid(0)


def test_a_holder_may_let_somebody_else_pay_and_then_only_they_do(scene: Scene) -> None:
    bia = scene.here.sign_up("Bia Maria")
    token = scene.allow(payer=bia.document)
    settled(scene.pay(10, token, bia))
    refused(scene.pay(10, token), "not_permitted", scene.there.ispb)
    scene.paid(10)


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_token_that_was_tampered_with_opens_nothing(scene: Scene, where: str) -> None:
    token = scene.allow()
    at = {"first": 0, "middle": len(token) // 2, "last": len(token) - 1}[where]
    forged = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
    refused(scene.pay(10, forged), "not_permitted", scene.there.ispb)
    scene.paid(0)


def test_a_mandate_without_the_permission_to_pay_pays_nothing(scene: Scene) -> None:
    refused(scene.pay(10, scene.allow(scopes=["read"])), "not_permitted", scene.there.ispb)
    scene.paid(0)


def test_a_revoked_mandate_pays_nothing_any_more(scene: Scene) -> None:
    mandate = scene.holder.allow(scene.account, scene.here)
    settled(scene.pay(10, mandate["token"]))
    assert scene.holder.call("DELETE", f"/v1/mandates/{mandate['id']}").status_code == 204
    refused(scene.pay(10, mandate["token"]), "not_permitted", scene.there.ispb)
    scene.paid(10)


def test_a_mandate_ends_when_it_says(scene: Scene) -> None:
    soon = (
        (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
    token = scene.allow(expires_at=soon)
    settled(scene.pay(10, token))
    paid = 10

    def expired() -> None:
        nonlocal paid
        answer = scene.pay(1, token)
        paid += answer.status_code == 201
        refused(answer, "not_permitted", scene.there.ispb)

    eventually(expired)
    assert datetime.now(UTC) >= datetime.fromisoformat(soon)
    scene.paid(paid)


def test_a_mandate_that_would_have_ended_already_is_not_given(scene: Scene) -> None:
    problem(scene.ask_to_allow(expires_at="2020-01-01T00:00:00.000Z"), 400, "bad_request")


def test_a_mandate_has_a_limit_for_each_payment_over_all_its_transfers(scene: Scene) -> None:
    token = scene.allow(per_payment=100)
    refused(scene.pay(101, token), "mandate_exceeded", scene.there.ispb)
    half = transfer(scene.account, scene.till, 60, token)
    refused(scene.payer.pay(half, half), "mandate_exceeded", scene.there.ispb)
    settled(scene.pay(100, token))
    settled(scene.pay(100, token))
    scene.paid(200)


def test_a_mandate_has_a_total_that_all_payments_share(scene: Scene) -> None:
    token = scene.allow(total=100)
    settled(scene.pay(60, token))
    refused(scene.pay(41, token), "mandate_exceeded", scene.there.ispb)
    settled(scene.pay(40, token))
    refused(scene.pay(1, token), "mandate_exceeded", scene.there.ispb)
    scene.paid(100)


def test_payments_at_once_share_the_total_of_a_mandate(scene: Scene) -> None:
    token = scene.allow(total=100)
    answers = at_once([partial(scene.pay, 10, token)] * 20)
    assert Counter(answer.status_code for answer in answers) == {201: 10, 422: 10}
    scene.paid(100)


def test_what_a_refused_payment_would_have_used_of_a_mandate_is_given_back(
    circle: Consortium, scene: Scene
) -> None:
    token = scene.allow(total=100)
    nobody = documents.address(circle.banks[2].ispb, "0001", "98765432")
    for _ in range(3):
        answer = scene.payer.pay(transfer(scene.account, nobody, 100, token))
        refused(answer, "unknown_account", circle.banks[2].ispb)

    def given_back() -> None:
        settled(scene.pay(100, token))

    eventually(given_back)
    refused(scene.pay(1, token), "mandate_exceeded", scene.there.ispb)
    scene.paid(100)


def test_a_holder_sees_their_mandates_and_what_was_used_of_each_but_not_the_tokens(scene: Scene) -> None:
    mandate = scene.holder.allow(scene.account, scene.here, total=500, per_payment=300)
    settled(scene.pay(123, mandate["token"]))

    def used() -> None:
        listed = found(scene.holder.call("GET", "/v1/mandates"))["mandates"]
        assert [entry["id"] for entry in listed] == [mandate["id"]]
        assert 123 in listed[0].values(), listed
        assert mandate["token"] not in str(listed)

    eventually(used)
    (listed,) = found(scene.holder.call("GET", "/v1/mandates"))["mandates"]
    assert (listed["account"], listed["initiator"]) == (scene.account, scene.here.ispb)
    assert (listed["total"], listed["per_payment"]) == (500, 300)
    assert MOMENT.fullmatch(listed["expires_at"])


def test_only_a_holder_gives_sees_and_ends_a_mandate(scene: Scene) -> None:
    eva = scene.there.sign_up("Eva Maria")
    order = {"account": scene.account, "initiator": scene.here.ispb, "expires_at": LATER}
    problem(eva.call("POST", "/v1/mandates", order), 404, "not_found")
    mandate = scene.holder.allow(scene.account, scene.here)
    assert found(eva.call("GET", "/v1/mandates"))["mandates"] == []
    problem(eva.call("DELETE", f"/v1/mandates/{mandate['id']}"), 404, "not_found")
    settled(scene.pay(10, mandate["token"]))


@pytest.mark.parametrize(
    "changed",
    [
        {"per_payment": -1},
        {"per_payment": 1.5},
        {"total": 10**30},
        {"total": "100"},
        {"expires_at": "tomorrow"},
        {"expires_at": 0},
        {"scopes": ["everything"]},
        {"scopes": "pay"},
        {"initiator": "1000000"},
        {"initiator": "10000001\u0000"},
        {"account": "nowhere"},
        {"payer": 7},
        {"forever": True},
    ],
    ids=str,
)
def test_a_mandate_that_makes_no_sense_is_a_bad_request(scene: Scene, changed: Json) -> None:
    problem(scene.ask_to_allow(**changed), 400, "bad_request")


def test_a_mandate_for_a_bank_that_is_no_member_is_not_given(scene: Scene) -> None:
    problem(scene.ask_to_allow(initiator="99999999"), 422, "unknown_bank")


def test_the_same_mandate_asked_for_again_gives_the_same_token(scene: Scene) -> None:
    order = {"account": scene.account, "initiator": scene.here.ispb, "expires_at": LATER}
    key = new_key()
    first = created(scene.holder.call("POST", "/v1/mandates", order, key=key))
    assert created(scene.holder.call("POST", "/v1/mandates", order, key=key)) == first
    assert created(scene.holder.call("POST", "/v1/mandates", order))["token"] != first["token"]
    answer = scene.holder.call("POST", "/v1/mandates", {**order, "total": 7}, key=key)
    problem(answer, 422, "idempotency_mismatch")
    assert len(found(scene.holder.call("GET", "/v1/mandates"))["mandates"]) == 2


# Links.


def link(scene: Scene, token: str, payer: Customer | None = None) -> httpx.Response:
    return (payer or scene.payer).call("POST", "/v1/links", {"account": scene.account, "mandate": token})


def test_a_linked_account_is_seen_and_spent_from_another_bank_without_its_token(scene: Scene) -> None:
    linked = created(link(scene, scene.allow(scopes=["read", "pay"])))
    assert (linked["address"], linked["balance"]) == (scene.account, 1_000)
    settled(scene.pay(300, None))
    scene.paid(300)

    everywhere = found(scene.payer.call("GET", "/v1/accounts", everywhere="true"))["accounts"]
    (seen,) = [account for account in everywhere if account["address"] == scene.account]
    assert (seen["bank"], seen["linked"], seen["reachable"]) == (scene.there.name, True, True)
    assert (seen["balance"], seen["kind"], seen["status"]) == (700, "individual", "open")
    assert found(scene.payer.call("GET", "/v1/accounts"))["accounts"] == []
    assert scene.account in str(found(scene.payer.call("GET", "/v1/links")))


def test_everywhere_shows_ones_own_accounts_and_the_linked_ones_of_banks_that_are_there(scene: Scene) -> None:
    own = scene.payer.open()
    created(link(scene, scene.allow(scopes=["read", "pay"])))
    everywhere = found(scene.payer.call("GET", "/v1/accounts", everywhere="true"))["accounts"]
    assert {account["address"]: (account["bank"], account["linked"]) for account in everywhere} == {
        own: (scene.here.name, False),
        scene.account: (scene.there.name, True),
    }


def test_a_link_that_was_removed_pays_and_shows_nothing(scene: Scene) -> None:
    created(link(scene, scene.allow(scopes=["read", "pay"])))
    assert scene.payer.call("DELETE", f"/v1/links/{scene.account}").status_code == 204
    refused(scene.pay(10, None), "not_permitted")
    assert found(scene.payer.call("GET", "/v1/accounts", everywhere="true"))["accounts"] == []
    problem(scene.payer.call("DELETE", f"/v1/links/{scene.account}"), 404, "not_found")
    scene.paid(0)


def test_a_link_to_look_at_an_account_does_not_pay_from_it(scene: Scene) -> None:
    created(link(scene, scene.allow(scopes=["read"])))
    refused(scene.pay(10, None), "not_permitted")
    scene.paid(0)


def test_a_link_dies_with_its_mandate(scene: Scene) -> None:
    mandate = scene.holder.allow(scene.account, scene.here, scopes=["read", "pay"])
    created(link(scene, mandate["token"]))
    assert scene.holder.call("DELETE", f"/v1/mandates/{mandate['id']}").status_code == 204
    refused(scene.pay(10, None), "not_permitted", scene.there.ispb)
    everywhere = found(scene.payer.call("GET", "/v1/accounts", everywhere="true"))["accounts"]
    assert all("balance" not in account or account["balance"] is None for account in everywhere), everywhere


def test_a_link_needs_a_mandate_of_ones_own(scene: Scene) -> None:
    token = scene.allow(scopes=["read", "pay"])
    thief = scene.here.sign_up("Eva Maria")
    for answer in (link(scene, token, thief), link(scene, "nonsense"), link(scene, token[:-1])):
        problem(answer, 422, "not_permitted")
    for customer in (thief, scene.payer):
        assert found(customer.call("GET", "/v1/accounts", everywhere="true"))["accounts"] == []
        refused(scene.pay(10, None, customer), "not_permitted")
    scene.paid(0)


def test_somebody_elses_link_pays_nothing_for_me(scene: Scene) -> None:
    created(link(scene, scene.allow(scopes=["read", "pay"])))
    eva = scene.here.sign_up("Eva Maria")
    refused(scene.pay(10, None, eva), "not_permitted")
    scene.paid(0)
