"""Whatever a client sends, it gets a clear error and the money stays where it is."""

import itertools
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest

from tests.system import documents
from tests.system.answers import Json, created, found, problem, settled
from tests.system.consortium import Bank, Consortium, Customer, new_key, transfer
from tests.system.crowd import at_once

AMOUNT_MAX = 10**15
MIB = 1024 * 1024
LATER = "2099-12-31T00:00:00.000Z"


class Scene(NamedTuple):
    bank: Bank
    ana: Customer
    mine: str
    bia: Customer
    theirs: str

    def leg(self, **changed: Any) -> Json:
        return {**transfer(self.mine, self.theirs, 10), **changed}

    def pay(self, **changed: Any) -> httpx.Response:
        return self.ana.call("POST", "/v1/payments", {"transfers": [self.leg()], **changed}, key=new_key())

    def send(self, path: str, raw: bytes | Iterator[bytes]) -> httpx.Response:
        """The body as it is, by whoever may send to that route."""
        headers = {"Authorization": f"Bearer {self.ana.token}", "Idempotency-Key": new_key()}
        if path in ("/v1/deposits", "/v1/withdrawals"):
            headers["Authorization"] = f"Bearer {self.bank.operator}"
        return self.bank.call("POST", path, raw=raw, headers=headers)


@pytest.fixture(scope="module")
def scene(circle: Consortium) -> Scene:
    bank = circle.banks[0]
    return Scene(bank, *bank.someone("Ana Maria", 1_000), *bank.someone("Bia Maria", 1_000))


@pytest.fixture(autouse=True)
def _the_money_stays_where_it_is(circle: Consortium, scene: Scene) -> Iterator[None]:
    def seen() -> list[Any]:
        audit = scene.bank.audit()
        return [
            circle.money(),
            audit["sum"],
            audit["held"],
            scene.ana.balance(scene.mine),
            scene.bia.balance(scene.theirs),
        ]

    before = seen()
    yield
    assert seen() == before


# Amounts.

NO_AMOUNTS = [
    "-1",
    "-0.5",
    "1.5",
    "0.1",
    '"10"',
    '"ten"',
    "null",
    "true",
    "[]",
    "{}",
    "1e400",
    "NaN",
    "Infinity",
]
TOO_MUCH = [str(AMOUNT_MAX + 1), str(2**63), str(2**64), str(10**30), "-" + str(2**63), "9" * 5_000]


@pytest.mark.parametrize("amount", NO_AMOUNTS + TOO_MUCH, ids=lambda amount: amount[:20])
def test_an_amount_is_a_whole_number_of_centavos_up_to_the_maximum(scene: Scene, amount: str) -> None:
    payment = json.dumps({"transfers": [scene.leg(amount="?")]}).replace('"?"', amount)
    batch = json.dumps({"payments": [{"key": "k", "transfers": [scene.leg(amount="?")]}]}).replace(
        '"?"', amount
    )
    cash = json.dumps({"account": scene.mine, "amount": "?"}).replace('"?"', amount)
    for path, body in (
        ("/v1/payments", payment),
        ("/v1/payments/batches", batch),
        ("/v1/deposits", cash),
        ("/v1/withdrawals", cash),
    ):
        problem(scene.send(path, body.encode()), 400, "bad_request")


def test_the_error_names_the_field(scene: Scene) -> None:
    errors = problem(scene.pay(transfers=[scene.leg(), scene.leg(amount=-1)]), 400, "bad_request")["errors"]
    assert any("amount" in error["field"] for error in errors), errors
    errors = problem(scene.pay(reference="não pode"), 400, "bad_request")["errors"]
    assert any("reference" in error["field"] for error in errors), errors


def test_a_deposit_of_nothing_is_refused(scene: Scene) -> None:
    for path in ("/v1/deposits", "/v1/withdrawals"):
        answer = scene.send(path, json.dumps({"account": scene.mine, "amount": 0}).encode())
        problem(answer, 422, "zero_amount")


# Addresses.


@pytest.mark.parametrize(
    "address",
    [
        "",
        "10000001",
        "10000001.0001",
        "10000001.0001.1234564",
        "10000001.001.1234563",
        "1000001.0001.1234563",
        "10000001.0001.3",
        "10000001.0001." + "1" * 22,
        "10000001.0001.1234563.1",
        " 10000001.0001.1234563",
        "10000001.0001.1234563\n",
        "10000001-0001-1234563",
        "10000001.0001.１２３４５６３",
        "10000001.0001.1234563\u0000",
        "x" * 100_000,
    ],
    ids=lambda address: repr(address)[:30],
)
def test_a_mistyped_address_is_found_before_money_moves(scene: Scene, address: str) -> None:
    for leg in (scene.leg(source=address), scene.leg(target=address)):
        problem(scene.pay(transfers=[leg]), 400, "bad_request")
    problem(
        scene.send("/v1/deposits", json.dumps({"account": address, "amount": 1}).encode()), 400, "bad_request"
    )


# Text.


@pytest.mark.parametrize(
    "text",
    [
        "a\u0000b",
        "\u0000",
        "a\nb",
        "a\u001bb",
        "a\u007fb",
        "a\u0085b",
        "\ud800",
        "a\udfffb",
        "x" * 141,
        "ã" * 141,
        7,
        [],
        {},
    ],
    ids=ascii,
)
def test_text_is_short_and_has_no_control_characters_or_halves_of_characters(scene: Scene, text: Any) -> None:
    problem(scene.pay(description=text), 400, "bad_request")


@pytest.mark.parametrize("name", ["", "a\u0000b", "\ud800", "x" * 121, 7, None], ids=ascii)
def test_a_name_has_1_to_120_characters(scene: Scene, name: Any) -> None:
    form = {"document": documents.cpf(), "name": name, "password": "uma senha bem comprida"}
    problem(scene.bank.call("POST", "/v1/customers", form), 400, "bad_request")


def test_a_name_may_have_120_characters_however_many_bytes_they_take(scene: Scene) -> None:
    form = {"document": documents.cpf(), "name": "ã" * 120, "password": "uma senha bem comprida"}
    assert created(scene.bank.call("POST", "/v1/customers", form))["name"] == "ã" * 120


def test_odd_but_honest_text_comes_back_as_it_was_sent(scene: Scene) -> None:
    for text in (
        "Pão de queijo ☕",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 👩‍👩‍👧",
        "مرحبا",
        "x" * 140,
        "'; DROP TABLE account; --",
        "{{7*7}}%s<b>",
    ):
        payment = settled(scene.pay(description=text, transfers=[scene.leg(amount=1)]))
        assert scene.ana.payment(payment["id"])["description"] == text
        settled(scene.bia.pay(transfer(scene.theirs, scene.mine, 1)))


def test_text_that_is_spelled_with_loose_accents_is_put_together(scene: Scene) -> None:
    payment = settled(scene.pay(description="Sa\u0303o Paulo", transfers=[scene.leg(amount=1)]))
    assert payment["description"] == "S\u00e3o Paulo"
    settled(scene.bia.pay(transfer(scene.theirs, scene.mine, 1)))


@pytest.mark.parametrize("reference", ["", "a b", "a-b", "ã", "x" * 36, "a\u0000", "１", 7], ids=ascii)
def test_a_reference_has_1_to_35_letters_and_digits(scene: Scene, reference: Any) -> None:
    problem(scene.pay(reference=reference), 400, "bad_request")


# Bodies.

ROUTES = [
    "/v1/customers",
    "/v1/sessions",
    "/v1/accounts",
    "/v1/deposits",
    "/v1/withdrawals",
    "/v1/payments",
    "/v1/payments/batches",
    "/v1/mandates",
    "/v1/links",
]
MALFORMED = {
    "nothing": b"",
    "no JSON": b"transfers=1",
    "half an object": b'{"transfers": [',
    "two objects": b"{}{}",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "not UTF-8": b'{"transfers": "\xff\xfe"}',
    "Latin-1": '{"description": "não"}'.encode("latin-1"),
    "UTF-16": '{"transfers": []}'.encode("utf-16"),
    "100,000 open lists": b"[" * 100_000,
    "100,000 lists": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 lists in a known field": b'{"transfers":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 lists in an unknown field": b'{"name":"x","unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a NUL outside of a string": b'{"transfers": \x00}',
    "a raw NUL in a string": b'{"description": "\x00"}',
}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_is_not_the_json_that_was_asked_for_is_a_bad_request(
    scene: Scene, path: str, raw: bytes
) -> None:
    problem(scene.send(path, raw), 400, "bad_request")


class Form(NamedTuple):
    """A route, and a body that it would accept."""

    path: str
    body: Json


def forms(scene: Scene) -> list[Form]:
    account = scene.mine
    return [
        Form(
            "/v1/customers",
            {"document": "x", "name": "Ana", "password": "uma senha bem comprida", "email": "a@b.com"},
        ),
        Form("/v1/sessions", {"document": "x", "password": "uma senha bem comprida"}),
        Form("/v1/accounts", {"kind": "none of these", "holders": [], "signatures": "any"}),
        Form("/v1/deposits", {"account": account, "amount": 0, "description": "x"}),
        Form("/v1/withdrawals", {"account": account, "amount": 0, "description": "x"}),
        Form("/v1/payments", {"transfers": [scene.leg(amount=0)], "description": "x", "reference": "x"}),
        Form("/v1/payments/batches", {"payments": [{"key": "k", "transfers": [scene.leg(amount=0)]}]}),
        Form(
            "/v1/mandates",
            {"account": "x", "initiator": "10000002", "expires_at": LATER, "total": 1, "scopes": ["pay"]},
        ),
        Form("/v1/links", {"account": account, "mandate": "x"}),
    ]


def test_fields_that_are_unknown_are_refused_everywhere(scene: Scene) -> None:
    for path, body in forms(scene):
        problem(scene.send(path, json.dumps({**body, "surprise": 1}).encode()), 400, "bad_request")
    problem(scene.pay(transfers=[scene.leg(surprise=1)]), 400, "bad_request")


NASTY: list[Any] = [
    None, True, -1, 0, 1.5, 10**30, "", "x", "\u0000", "\ud800", "x" * 10_000, "💥", "-1", [], [[]], [None], {}, {"a": 1},
]  # fmt: skip


def test_no_field_of_any_body_can_hold_a_value_that_breaks_the_bank(scene: Scene) -> None:
    for path, body in forms(scene):
        for field, value in itertools.product(body, NASTY):
            answer = scene.send(path, json.dumps({**body, field: value}).encode())
            assert 400 <= answer.status_code < 500, f"{path} {field}={value!r}: {answer.text}"
            left_out = {name: kept for name, kept in body.items() if name != field}
            answer = scene.send(path, json.dumps(left_out).encode())
            assert 400 <= answer.status_code < 500, f"{path} without {field}: {answer.text}"


def test_no_field_of_a_transfer_can_hold_a_value_that_breaks_the_bank(scene: Scene) -> None:
    for field, value in itertools.product(("source", "target", "mandate"), NASTY):
        answer = scene.pay(transfers=[scene.leg(amount=0, **{field: value})])
        assert 400 <= answer.status_code < 500, f"{field}={value!r}: {answer.text}"


def test_one_poisoned_payment_does_no_harm_to_its_neighbours(scene: Scene) -> None:
    """They share the database's transaction, and PostgreSQL refuses a NUL."""
    texts = ["a\u0000b", "a b"] * 20
    one = [scene.leg(amount=1)]
    answers = at_once([partial(scene.pay, description=text, transfers=one) for text in texts])
    assert [answer.status_code for answer in answers] == [400, 201] * 20
    settled(scene.bia.pay(transfer(scene.theirs, scene.mine, 20)))


# Size.


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_of_ten_megabytes_is_too_large(scene: Scene, path: str) -> None:
    problem(scene.send(path, b'{"description": "' + b"x" * 10 * MIB + b'"}'), 413, "too_large")


def test_a_body_that_hides_its_size_is_too_large_all_the_same(scene: Scene) -> None:
    problem(scene.send("/v1/payments", itertools.repeat(b" " * 65_536, 160)), 413, "too_large")


def test_a_body_may_have_a_megabyte_and_a_batch_eight(scene: Scene) -> None:
    body = json.dumps({"transfers": [scene.leg(amount=0)]}).encode()
    problem(scene.send("/v1/payments", body.ljust(MIB)), 422, "zero_amount")
    problem(scene.send("/v1/payments", body.ljust(MIB + 1)), 413, "too_large")
    batch = json.dumps({"payments": [{"key": new_key(), "transfers": [scene.leg(amount=0)]}]}).encode()
    found(scene.send("/v1/payments/batches", batch.ljust(8 * MIB)))
    problem(scene.send("/v1/payments/batches", batch.ljust(8 * MIB + 1)), 413, "too_large")


# Idempotency keys.


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/deposits", "/v1/withdrawals"])
def test_what_moves_money_needs_an_idempotency_key(scene: Scene, path: str) -> None:
    body = {"transfers": [scene.leg()]} if path == "/v1/payments" else {"account": scene.mine, "amount": 1}
    token = scene.ana.token if path == "/v1/payments" else scene.bank.operator
    problem(scene.bank.call("POST", path, body, token=token), 400, "idempotency_key_required")


@pytest.mark.parametrize("key", ["", "x" * 65, "a b", "a\tb", "ã"])
def test_an_idempotency_key_has_1_to_64_visible_ascii_characters(scene: Scene, key: str) -> None:
    headers = [("Authorization", f"Bearer {scene.ana.token}"), ("Idempotency-Key", key)]
    answer = scene.bank.http.post(
        "/v1/payments",
        content=json.dumps({"transfers": [scene.leg()]}),
        headers=[(name.encode(), value.encode()) for name, value in headers],
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] in ("bad_request", "idempotency_key_required")
    batch = {"payments": [{"key": key, "transfers": [scene.leg()]}]}
    problem(scene.ana.call("POST", "/v1/payments/batches", batch), 400, "bad_request")


def test_a_request_has_one_idempotency_key(scene: Scene) -> None:
    answer = scene.bank.http.post(
        "/v1/payments",
        content=json.dumps({"transfers": [scene.leg()]}),
        headers=[
            ("Authorization", f"Bearer {scene.ana.token}"),
            ("Idempotency-Key", "one"),
            ("Idempotency-Key", "two"),
        ],
    )
    problem(answer, 400, "bad_request")


# Paths and queries.


@pytest.mark.parametrize(
    "path",
    [
        "/v1/accounts/%00",
        "/v1/accounts/..%2F..%2Fetc%2Fpasswd",
        "/v1/accounts/%ff%fe",
        "/v1/accounts/" + "1" * 5_000,
        "/v1/payments/%00",
        "/v1/payments/nothing",
        "/v1/payments/" + "E" * 5_000,
        "/v1/payments/E1000000120260101120000000000000%00",
        "/v1/payees/%00",
        "/v1/payees/nobody",
        "/v1/accounts/MINE/entries?limit=-1",
        "/v1/accounts/MINE/entries?limit=abc",
        "/v1/accounts/MINE/entries?limit=99999999999999999999999",
        "/v1/accounts/MINE/entries?after=abc",
        "/v1/accounts/MINE/entries?after=-99999999999999999999999",
        "/v1/accounts/MINE/entries?cursor=nonsense",
        "/v1/accounts/MINE/entries?cursor=%00",
        "/v1/payments?limit=0.5",
        "/v1/payments?cursor=nonsense",
        "/v1/payments?cursor=%00",
        "/v1/accounts?everywhere=perhaps",
    ],
    ids=lambda path: path[:50],
)
def test_a_path_or_query_that_makes_no_sense_is_told_so(scene: Scene, path: str) -> None:
    answer = scene.ana.call("GET", path.replace("MINE", scene.mine))
    assert answer.status_code in (400, 404), f"{answer.status_code}: {answer.text[:300]}"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nothing", "/v2/payments", "/v1/payments/a/b/c", "/peer/v1/messages"]
)
def test_what_is_not_there_is_not_found(scene: Scene, path: str) -> None:
    for method in ("GET", "POST"):
        problem(scene.ana.call(method, path), 404, "not_found")


def test_a_method_that_a_route_does_not_have_is_a_problem_too(scene: Scene) -> None:
    for method, path in (("PUT", "/v1/payments"), ("DELETE", "/v1/bank"), ("PATCH", "/v1/accounts")):
        assert scene.ana.call(method, path).status_code == 405


def test_a_mandate_or_link_that_does_not_exist_cannot_be_removed(scene: Scene) -> None:
    for path in ("/v1/mandates/nothing", "/v1/mandates/%00", "/v1/mandates/" + "x" * 5_000, "/v1/links/%00"):
        assert scene.ana.call("DELETE", path).status_code in (400, 404)
    problem(scene.ana.call("DELETE", f"/v1/links/{scene.theirs}"), 404, "not_found")


# Peers.


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[" * 100_000, b"\x00" * 1_000, b"x" * 10 * MIB], ids=lambda raw: repr(raw)[:20]
)
def test_a_message_that_no_member_signed_changes_nothing(scene: Scene, body: bytes) -> None:
    for headers in (
        {},
        {
            "Signature-Input": 'ciranda=("@method" "content-digest");created=1;keyid="10000002"',
            "Signature": "ciranda=:" + "A" * 86 + "==:",
            "Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        },
        {"Signature-Input": "!" * 100, "Signature": "nonsense"},
    ):
        answer = httpx.post(
            f"{scene.bank.peer_url}/peer/v1/messages",
            content=body,
            headers=headers,
            trust_env=False,
            verify=False,
        )
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_peers_listener_answers_nothing_else(scene: Scene) -> None:
    for path in ("/v1/bank", "/v1/operator/audit", "/metrics", "/health/live", "/docs"):
        headers = {"Authorization": f"Bearer {scene.bank.operator}"}
        answer = httpx.get(scene.bank.peer_url + path, headers=headers, trust_env=False, verify=False)
        assert answer.status_code == 404, answer.text


def test_the_bank_still_works_after_all_that(scene: Scene) -> None:
    settled(scene.pay(transfers=[scene.leg(amount=1)]))
    settled(scene.bia.pay(transfer(scene.theirs, scene.mine, 1)))
