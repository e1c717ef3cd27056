"""Mandates and links, as a client meets them."""

from typing import Any, NamedTuple

import pytest

from tests.api.bank import Answer, Customer, Pair, new_key, transfer
from tests.system import documents


class Scene(NamedTuple):
    """Ana, who has an account in each of two banks."""

    banks: Pair
    here: Customer
    there: Customer

    def mandate(self, key: str | None = None, **changed: Any) -> Answer:
        body = {
            "account": self.there.account,
            "initiator": self.banks.here.ispb,
            "expires_at": "2040-01-01T00:00:00Z",
            **changed,
        }
        return self.banks.there.call("POST", "/v1/mandates", body, token=self.there.token, key=key)

    def accounts(self) -> Any:
        answer = self.banks.here.call("GET", "/v1/accounts", token=self.here.token, query=b"everywhere=true")
        return answer.json["accounts"]


@pytest.fixture
def scene(banks: Pair) -> Scene:
    cpf = documents.cpf()
    return Scene(banks, banks.here.someone(100, cpf), banks.there.someone(200, cpf))


def test_a_mandate_is_shown_whole_and_its_token_only_once(scene: Scene) -> None:
    given = scene.mandate(per_payment=10, total=100)
    assert given.status == 201
    shown = given.json
    assert shown.pop("token")
    assert shown.pop("id")
    assert shown.pop("created_at")
    assert shown.pop("approved_at")
    assert shown == {
        "account": scene.there.account,
        "initiator": scene.banks.here.ispb,
        "payer": scene.there.document,
        "scopes": ["pay"],
        "per_payment": 10,
        "per_day": None,
        "total": 100,
        "used": 0,
        "used_today": 0,
        "starts_at": None,
        "expires_at": "2040-01-01T00:00:00.000Z",
        "paused_at": None,
        "revoked_at": None,
        "status": "given",
    }
    (listed,) = scene.banks.there.call("GET", "/v1/mandates", token=scene.there.token).json["mandates"]
    assert "token" not in listed


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2040-01-31T12:00:00Z", "2040-01-31T12:00:00.000Z"),
        ("2040-01-31t12:00:00z", "2040-01-31T12:00:00.000Z"),
        ("2040-01-31 12:00:00Z", "2040-01-31T12:00:00.000Z"),
        ("2040-01-31T12:00:00.123456789Z", "2040-01-31T12:00:00.123Z"),
        ("2040-01-31T12:00:00-03:00", "2040-01-31T15:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_any_time_of_rfc_3339_is_understood(scene: Scene, written: str, shown: str) -> None:
    assert scene.mandate(expires_at=written).json["expires_at"] == shown


@pytest.mark.parametrize(
    "written",
    [
        "",
        "never",
        "\x00",
        "2040",
        "2040-01-31",
        "2040-01-31T12:00:00",
        "2040-01-31T12:00Z",
        "20400131T120000Z",
        "2040-W05-1T00:00:00Z",
        "2040-02-30T00:00:00Z",
        "2040-01-31T25:00:00Z",
        "2040-01-31T12:00:00+24:00",
        "2040-01-31T12:00:00+01:00:30",
        "٢٠٤٠-01-31T12:00:00Z",
        "2020-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59-23:59",
        "10000-01-01T00:00:00Z",
    ],
)
def test_a_mandate_ends_at_a_time_that_is_one_and_that_can_be_shown_again(scene: Scene, written: str) -> None:
    answer = scene.mandate(expires_at=written)
    assert (answer.code, answer.json["errors"][0]["field"]) == ("bad_request", "expires_at")
    # One that was kept and could not be shown made the whole list unreadable, for ever.
    assert scene.banks.there.call("GET", "/v1/mandates", token=scene.there.token).json == {"mandates": []}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"per_payment": 0}, "bad_request"),
        ({"total": 0}, "bad_request"),
        ({"per_payment": 10**15 + 1}, "bad_request"),
        ({"total": 1.5}, "bad_request"),
        ({"per_day": 0}, "bad_request"),
        ({"per_day": 9 * 10**15 + 1}, "bad_request"),
        ({"starts_at": "soon"}, "bad_request"),
        ({"starts_at": "1969-12-31T23:59:59Z"}, "bad_request"),
        ({"starts_at": "2040-01-01T00:00:00Z"}, "bad_request"),
        ({"initiator": "x"}, "bad_request"),
        ({"initiator": "99999999"}, "unknown_bank"),
        ({"scopes": []}, "bad_request"),
        ({"scopes": ["all"]}, "bad_request"),
        ({"payer": "111"}, "invalid_document"),
        ({"account": "x"}, "bad_request"),
        ({"account": documents.address("10000002", "0001", "98765432")}, "not_found"),
        ({"unknown": 1}, "bad_request"),
    ],
    ids=str,
)
def test_a_mandate_that_makes_no_sense_is_not_given(scene: Scene, changed: dict[str, Any], code: str) -> None:
    assert scene.mandate(**changed).code == code


def test_the_same_mandate_asked_for_again_has_the_same_token(scene: Scene) -> None:
    key = new_key()
    first, again = scene.mandate(key, scopes=["pay", "read"]), scene.mandate(key, scopes=["pay", "read"])
    assert first == again
    assert scene.mandate(key, scopes=["read"]).code == "idempotency_mismatch"


def test_a_mandate_that_was_ended_is_listed_as_such(scene: Scene) -> None:
    id = scene.mandate().json["id"]
    there = scene.banks.there
    stranger = there.someone()
    assert there.call("DELETE", f"/v1/mandates/{id}", token=stranger.token).code == "not_found"
    assert there.call("DELETE", f"/v1/mandates/{id}", token=scene.there.token).status == 204
    (listed,) = there.call("GET", "/v1/mandates", token=scene.there.token).json["mandates"]
    assert listed["revoked_at"]


def test_a_mandate_is_shown_to_whoever_gave_it_with_what_it_used_today(scene: Scene) -> None:
    there, here = scene.banks.there, scene.banks.here
    given = scene.mandate(per_day=50, total=100, starts_at="2026-01-01T00:00:00Z").json
    till = here.someone()
    for amount, status in ((30, 201), (21, 422), (20, 201)):
        order = {"transfers": [transfer(scene.there.account, till.account, amount, mandate=given["token"])]}
        assert here.pay(scene.here, {**order, "description": "Luz"}).status == status
    path = f"/v1/mandates/{given['id']}"
    shown = there.call("GET", path, token=scene.there.token).json
    assert (shown["per_day"], shown["used"], shown["used_today"]) == (50, 50, 50)
    assert shown["starts_at"] == "2026-01-01T00:00:00.000Z"
    assert [shown] == there.call("GET", "/v1/mandates", token=scene.there.token).json["mandates"]
    page = there.call("GET", f"{path}/uses", token=scene.there.token, query=b"limit=1").json
    rest = there.call(
        "GET", f"{path}/uses", token=scene.there.token, query=f"cursor={page['next_cursor']}".encode()
    ).json
    assert [(use["amount"], use["description"]) for use in page["uses"] + rest["uses"]] == [
        (20, "Luz"),
        (30, "Luz"),
    ]
    assert rest["next_cursor"] is None
    paid = page["uses"][0]["payment"]
    assert there.call("GET", f"/v1/payments/{paid}", token=scene.there.token).json["amount"] == 20
    stranger = there.someone()
    for method, what in (("GET", ""), ("GET", "/uses"), ("POST", "/pause"), ("POST", "/resume")):
        assert there.call(method, path + what, token=stranger.token).code == "not_found"
        assert there.call(method, f"/v1/mandates/\u00e9{what}", token=scene.there.token).code == "not_found"


@pytest.mark.parametrize(
    "cursor", ["", "1", "1.", ".E1", "x.y", f"{2**63}.E", "1.E10000001202611230000aaaaaaaaaaaé"]
)
def test_a_cursor_of_uses_is_one_that_was_given(scene: Scene, cursor: str) -> None:
    id = scene.mandate().json["id"]
    answer = scene.banks.there.call(
        "GET", f"/v1/mandates/{id}/uses", token=scene.there.token, query=f"cursor={cursor}".encode()
    )
    assert (answer.code, answer.json["errors"][0]["field"]) == ("bad_request", "cursor")


def test_a_mandate_rests_while_it_is_paused_for_paying_and_for_reading(scene: Scene) -> None:
    there, here = scene.banks.there, scene.banks.here
    given = scene.mandate(scopes=["pay", "read"]).json
    till = here.someone()
    order = {"transfers": [transfer(scene.there.account, till.account, 10, mandate=given["token"])]}
    link = {"account": scene.there.account, "mandate": given["token"]}
    path = f"/v1/mandates/{given['id']}"
    paused = there.call("POST", f"{path}/pause", token=scene.there.token)
    assert paused.status == 200
    assert paused.json["paused_at"]
    assert here.pay(scene.here, order).code == "not_permitted"
    assert here.call("POST", "/v1/links", link, token=scene.here.token).code == "not_permitted"
    assert there.call("POST", f"{path}/pause", token=scene.there.token).json == paused.json
    resumed = there.call("POST", f"{path}/resume", token=scene.there.token)
    assert (resumed.status, resumed.json["paused_at"]) == (200, None)
    assert here.pay(scene.here, order).status == 201
    assert there.call("DELETE", path, token=scene.there.token).status == 204
    assert there.call("POST", f"{path}/resume", token=scene.there.token).code == "not_found"


def test_what_all_holders_signed_any_of_them_sees_pauses_and_resumes(banks: Pair) -> None:
    here, there = banks.here, banks.there
    ana, bia, rui = (here.someone() for _ in range(3))
    joint = {"kind": "joint", "holders": [ana.document, bia.document], "signatures": "all"}
    account = here.call("POST", "/v1/accounts", joint, token=ana.token).json["address"]
    order = {"account": account, "initiator": there.ispb, "expires_at": "2090-01-01T00:00:00Z"}
    asked = here.call("POST", "/v1/mandates", order, token=ana.token)
    path = f"/v1/mandates/{asked.json['id']}"
    assert (asked.status, asked.json["approved_at"]) == (202, None)
    assert here.call("POST", f"{path}/approvals", token=bia.token).json["approved_at"]

    paused = here.call("POST", f"{path}/pause", token=bia.token)
    assert (paused.status, paused.json["status"]) == (200, "given")
    assert here.call("GET", path, token=ana.token).json["paused_at"] == paused.json["paused_at"]
    assert len(paused.json["approvals"]["approved"]) == 2
    assert here.call("GET", f"{path}/uses", token=bia.token).json["uses"] == []
    assert here.call("POST", f"{path}/resume", token=ana.token).json["paused_at"] is None
    for method, what in (("GET", ""), ("GET", "/uses"), ("POST", "/pause"), ("POST", "/resume")):
        assert here.call(method, path + what, token=rui.token).code == "not_found"


def test_a_mandate_does_not_begin_before_its_time(scene: Scene) -> None:
    given = scene.mandate(starts_at="2039-01-01T00:00:00Z").json
    till = scene.banks.here.someone()
    order = {"transfers": [transfer(scene.there.account, till.account, 10, mandate=given["token"])]}
    assert scene.banks.here.pay(scene.here, order).code == "not_permitted"


def test_a_linked_account_stands_among_ones_own_and_without_figures_when_its_bank_is_away(
    scene: Scene,
) -> None:
    here = scene.banks.here
    body = {"account": scene.there.account, "mandate": scene.mandate(scopes=["pay", "read"]).json["token"]}
    made = here.call("POST", "/v1/links", body, token=scene.here.token)
    assert (made.status, made.json["balance"], made.json["linked"]) == (201, 200, True)
    (link,) = here.call("GET", "/v1/links", token=scene.here.token).json["links"]
    assert (link["account"], link["scopes"]) == (scene.there.account, ["pay", "read"])
    own, linked = scene.accounts()
    assert (own["address"], own["bank"], own["linked"], own["reachable"]) == (
        scene.here.account,
        here.ispb,
        False,
        True,
    )
    assert (linked["address"], linked["bank"], linked["reachable"]) == (
        scene.there.account,
        scene.banks.there.ispb,
        True,
    )
    assert (linked["balance"], linked["held"], linked["available"]) == (200, 0, 200)
    scene.banks.banks.network.down.add(scene.banks.there.node.bank.ispb)
    try:
        _, linked = scene.accounts()
    finally:
        scene.banks.banks.network.down.clear()
    assert not linked["reachable"]
    assert (linked["balance"], linked["held"], linked["available"]) == (None, None, None)
    (only,) = here.call("GET", "/v1/accounts", token=scene.here.token).json["accounts"]
    assert "bank" not in only
    assert here.call("DELETE", f"/v1/links/{scene.there.account}", token=scene.here.token).status == 204
    assert len(scene.accounts()) == 1


@pytest.mark.parametrize("token", ["", "x", "\x00", "é", "a" * 257, "a" * 100_000])
def test_a_link_needs_a_mandate_and_no_text_is_one_by_chance(scene: Scene, token: str) -> None:
    body = {"account": scene.there.account, "mandate": token}
    answer = scene.banks.here.call("POST", "/v1/links", body, token=scene.here.token)
    assert (answer.status, answer.code) == (422, "not_permitted")
