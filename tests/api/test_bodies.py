"""What a body may be: whatever a client sends is answered, and what is not well formed does nothing."""

import json
from typing import Any

import pytest

from tests.api.bank import OPERATOR, Answer, Customer, Door, Pair, new_key, transfer
from tests.system import documents

DEEP = 100_000
KIB = 1024
MIB = KIB * KIB


@pytest.fixture(scope="module")
def ana(banks: Pair) -> Customer:
    return banks.here.someone(1_000)


@pytest.fixture(scope="module")
def shop(banks: Pair) -> Customer:
    return banks.here.someone()


WITH_BODY = [
    "/v1/customers",
    "/v1/sessions",
    "/v1/accounts",
    "/v1/deposits",
    "/v1/withdrawals",
    "/v1/payments",
    "/v1/payments/",
    "/v1/payments/batches",
    "/v1/mandates",
    "/v1/links",
]


def post(bank: Door, ana: Customer, path: str, **more: Any) -> Answer:
    token = OPERATOR if path in ("/v1/deposits", "/v1/withdrawals") else ana.token
    return bank.call("POST", path, token=token, key=new_key(), **more)


def asked(ana: Customer, shop: Customer, amount: str) -> bytes:
    """A payment's body with an amount that JSON libraries would not write."""
    return (
        json.dumps({"transfers": [transfer(ana.account, shop.account, "?")]}).replace('"?"', amount).encode()
    )


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"1",
        b'"text"',
        b"{",
        b"{} {}",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"kind":"\xff"}',
        b'{"\xff":1}',
        b'{"kind":"\\ud800"}',
        b'{"document":"\\udc00","password":"x"}',
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"transfers":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"document":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
        b"NaN",
        b"1" + b"0" * 10_000,
    ],
    ids=lambda raw: repr(raw[:16]),
)
def test_a_body_that_is_not_what_was_asked_for_is_a_bad_request(
    bank: Door, ana: Customer, path: str, raw: bytes
) -> None:
    answer = post(bank, ana, path, raw=raw)
    assert (answer.status, answer.code) == (400, "bad_request")


@pytest.mark.parametrize(
    "amount",
    [
        *("-1", "1.5", "1.0", "1e2", "1e400", "true", "null", '"1"', "[1]", "{}", "1000000000000001"),
        *(str(2**63 - 1), str(2**63), str(2**64), "9" * 400, "9" * 5_000),
    ],
    ids=lambda amount: amount[:24],
)
def test_an_amount_is_a_whole_number_up_to_the_maximum(
    bank: Door, ana: Customer, shop: Customer, amount: str
) -> None:
    answer = bank.pay(ana, raw=asked(ana, shop, amount))
    assert (answer.status, answer.code) == (400, "bad_request")
    assert answer.json["errors"][0]["field"] == "transfers[0].amount"
    deposit = f'{{"account":"{ana.account}","amount":{amount}}}'.encode()
    assert post(bank, ana, "/v1/deposits", raw=deposit).code == "bad_request"


@pytest.mark.parametrize("path", ["/v1/deposits", "/v1/withdrawals"])
def test_an_amount_of_nothing_is_well_formed_and_refused(
    bank: Door, ana: Customer, shop: Customer, path: str
) -> None:
    assert bank.pay(ana, raw=asked(ana, shop, "0")).code == "zero_amount"
    assert bank.pay(ana, raw=asked(ana, shop, "-0")).code == "zero_amount"
    assert post(bank, ana, path, body={"account": ana.account, "amount": 0}).code == "zero_amount"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"description": "a\x00b"}, "description"),
        ({"description": "a\x1bb"}, "description"),
        ({"description": "a\x7fb"}, "description"),
        ({"description": "a\x85b"}, "description"),
        ({"description": "a\u2028b"}, "description"),
        ({"description": "x" * 141}, "description"),
        ({"description": 1}, "description"),
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 36}, "reference"),
        ({"reference": "a b"}, "reference"),
        ({"reference": "é"}, "reference"),
        ({"reference": "١٢٣"}, "reference"),
        ({"reference": "a\n"}, "reference"),
        ({"transfers": []}, "transfers"),
        ({"transfers": None}, "transfers"),
    ],
)
def test_the_field_at_fault_is_named(
    bank: Door, ana: Customer, shop: Customer, changed: dict[str, Any], field: str
) -> None:
    body = {"transfers": [transfer(ana.account, shop.account, 1)], **changed}
    answer = bank.pay(ana, body)
    assert (answer.code, answer.json["errors"][0]["field"]) == ("bad_request", field)


@pytest.mark.parametrize("field", ["source", "target", "mandate"])
def test_of_many_transfers_the_one_at_fault_is_named(
    bank: Door, ana: Customer, shop: Customer, field: str
) -> None:
    good = transfer(ana.account, shop.account, 1)
    bad = {**good, field: "não"}
    answer = bank.pay(ana, {"transfers": [good, good, bad]})
    assert answer.json["errors"][0]["field"] == f"transfers[2].{field}"
    payments = [{"key": "a", "transfers": [good]}, {"key": "b", "transfers": [good, bad]}]
    answer = post(bank, ana, "/v1/payments/batches", body={"payments": payments})
    assert answer.json["errors"][0]["field"] == f"payments[1].transfers[1].{field}"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "10000001.0001",
        "10000001.0001.1",
        "10000001.0001.1234563 ",
        "1000000a.0001.1234563",
        "10000001.0001.1234564",
        "10000001.0001.٣٤٥٦",
        "10000001.0001.1234563\n",
        "vault",
        "clearing.10000002",
    ],
)
def test_an_address_that_nobody_can_have_is_found_before_money_moves(
    bank: Door, ana: Customer, shop: Customer, wrong: str
) -> None:
    for leg in (transfer(wrong, shop.account, 1), transfer(ana.account, wrong, 1)):
        assert bank.pay(ana, {"transfers": [leg]}).code == "bad_request"
    for path in ("/v1/deposits", "/v1/withdrawals"):
        assert post(bank, ana, path, body={"account": wrong, "amount": 1}).code == "bad_request"


def test_two_spellings_of_one_text_are_one_text(bank: Door, ana: Customer, shop: Customer) -> None:
    leg = transfer(ana.account, shop.account, 1)
    answer = bank.pay(ana, {"transfers": [leg], "description": "cafe\u0301"})
    assert answer.json["description"] == "caf\u00e9"
    long = bank.pay(ana, {"transfers": [leg], "description": "e\u0301" * 140})
    assert long.status == 201, "lengths are counted after accents are put together"


# How large a body may be.


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize(
    "headers",
    [[], [(b"content-length", b"10")], [(b"transfer-encoding", b"chunked")]],
    ids=["no", "lie", "chunked"],
)
def test_a_body_is_measured_and_not_believed(
    bank: Door, ana: Customer, path: str, headers: list[tuple[bytes, bytes]]
) -> None:
    longest = 8 * MIB if path.endswith("batches") else MIB
    piece = b" " * (64 * KIB)
    fits = [piece] * (longest // len(piece))
    assert post(bank, ana, path, raw=fits, headers=headers).code == "bad_request"
    too_long = [*fits, b" "]
    answer = post(bank, ana, path, raw=too_long, headers=headers)
    assert (answer.status, answer.code) == (413, "too_large")
    answer = post(bank, ana, path, raw=b"".join(too_long), headers=headers)
    assert (answer.status, answer.code) == (413, "too_large")


@pytest.mark.parametrize("length", [b"", b"abc", b"-5", b"9" * 40, "²".encode("latin-1"), b"1, 2"])
def test_a_length_that_makes_no_sense_is_no_failure_of_the_bank(
    bank: Door, ana: Customer, length: bytes
) -> None:
    for path in WITH_BODY:
        answer = post(bank, ana, path, raw=b"{", headers=[(b"content-length", length)])
        assert answer.code in ("bad_request", "too_large")


@pytest.mark.parametrize("name", [b"content-type", b"accept", b"cookie", b"transfer-encoding", b"range"])
@pytest.mark.parametrize("value", [b"", b"\xff", b";;;=", b"multipart/form-data", b"a" * 100_000])
def test_headers_that_the_bank_does_not_need_are_not_looked_at(
    bank: Door, ana: Customer, shop: Customer, name: bytes, value: bytes
) -> None:
    body = {"transfers": [transfer(ana.account, shop.account, 1)]}
    paid = bank.pay(ana, body, headers=[(name, value)])
    assert paid.status == 201
    assert bank.call("GET", "/v1/accounts", token=ana.token, headers=[(name, value)]).status == 200


# People.


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 121},
        {"name": "a\x00"},
        {"password": "a\x00bcdefgh"},
        {"password": "abcdefgh\n"},
        {"email": "nobody"},
        {"email": "a@b\n"},
        {"email": "a@" + "b" * 300},
        {"phone": "١٢٣٤٥٦"},
        {"phone": "+55 11 99999-9999 ramal"},
    ],
    ids=str,
)
def test_whoever_signs_up_with_text_that_is_none_may_try_again(bank: Door, changed: dict[str, Any]) -> None:
    body = {"document": documents.cpf(), "name": "Caio", "password": "uma senha comprida"}
    answer = bank.call("POST", "/v1/customers", {**body, **changed})
    assert answer.json["errors"][0]["field"] in changed
    assert bank.call("POST", "/v1/customers", body).status == 201


def test_a_password_is_not_the_document_however_it_is_written(bank: Door) -> None:
    cpf = documents.cpf()
    spelled = f"{cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}"
    for password in (cpf, spelled, f"x{spelled}x", cpf[:6] + " " + cpf[6:], "x" * 129, "x" * 7):
        body = {"document": cpf, "name": "Caio", "password": password}
        assert bank.call("POST", "/v1/customers", body).code == "weak_password"
    cnpj = documents.cnpj(letters=True)
    body = {"document": cnpj, "name": "Loja", "password": cnpj.lower()}
    assert bank.call("POST", "/v1/customers", body).code == "weak_password"


def test_a_password_opens_however_the_keyboard_spells_its_accents(bank: Door) -> None:
    body = {"document": documents.cpf(), "name": "Caio", "password": "coracao\u0303 bom"}
    assert bank.call("POST", "/v1/customers", body).status == 201
    session = {"document": body["document"], "password": "coraca\u00f5 bom"}
    assert bank.call("POST", "/v1/sessions", session).status == 201


def test_an_account_of_ones_own_may_name_its_one_holder(bank: Door) -> None:
    cpf = documents.cpf()
    token = bank.sign_up(cpf)
    others = {"kind": "individual", "holders": [documents.cpf()]}
    assert bank.call("POST", "/v1/accounts", others, token=token).code == "bad_request"
    signed = {"kind": "individual", "signatures": "any"}
    assert bank.call("POST", "/v1/accounts", signed, token=token).code == "bad_request"
    own = {"kind": "individual", "holders": [f"{cpf[:9]}-{cpf[9:]}"]}
    assert bank.call("POST", "/v1/accounts", own, token=token).status == 201
