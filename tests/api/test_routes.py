"""Paths, methods and queries: what is not there is not found, and nothing that a client types is our failure."""

import pytest

from tests.api.bank import Customer, Door, Pair, new_key, transfer


@pytest.fixture(scope="module")
def ana(banks: Pair) -> Customer:
    ana, shop = banks.here.someone(1_000), banks.here.someone()
    for _ in range(5):
        assert banks.here.pay(ana, {"transfers": [transfer(ana.account, shop.account, 1)]}).status == 201
    return ana


@pytest.mark.parametrize(
    "path", ["", "/", "/v1", "/v2/bank", "/v1/accounts/a/b", "/v1/\x00", "/v1/\udcff", "/peer/v1/messages"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_not_there_is_not_found(bank: Door, path: str, method: str) -> None:
    answer = bank.call(method, path)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/bank", {"GET", "OPTIONS"}),
        ("/v1/payments", {"GET", "POST", "OPTIONS"}),
        ("/v1/payments/batches", {"POST", "OPTIONS"}),
        ("/v1/sessions/current", {"DELETE", "OPTIONS"}),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "NONSENSE"])
def test_a_method_that_is_not_there_is_answered_with_those_that_are(
    bank: Door, path: str, allowed: set[str], method: str
) -> None:
    answer = bank.call(method, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["accounts", "payees", "links", "operator/accounts"])
@pytest.mark.parametrize(
    "address", ["x", "\x00", "\udcff", "{address}", "a" * 5_000, "vault", "10000001.0001.1234564"]
)
def test_an_address_that_nobody_can_have_is_told_from_one_that_nobody_has(
    bank: Door, ana: Customer, path: str, address: str
) -> None:
    if path == "operator/accounts":
        answer = bank.operate("POST", f"/v1/{path}/{address}/block")
    else:
        method = "DELETE" if path == "links" else "GET"
        answer = bank.call(method, f"/v1/{path}/{address}", token=ana.token)
    assert (answer.status, answer.code) == (400, "bad_request")


@pytest.mark.parametrize("id", ["x", "\x00", "\udcff", "E" * 5_000, "E1000000120261123064417obVM8S8t0"])
def test_a_payment_or_mandate_that_cannot_be_is_one_that_is_not(bank: Door, ana: Customer, id: str) -> None:
    assert bank.call("GET", f"/v1/payments/{id}", token=ana.token).code == "not_found"
    assert bank.call("DELETE", f"/v1/mandates/{id}", token=ana.token).code == "not_found"


ENTRIES = [
    b"limit=0",
    b"limit=1001",
    b"limit=-1",
    b"limit=1.0",
    b"limit=",
    b"limit",
    b"limit=a",
    b"limit=%00",
    b"limit=%ff",
    b"limit=%",
    b"limit=%D9%A1",
    b"limit=%C2%B2",
    b"limit=\xd9\xa1",
    b"limit=1&limit=1",
    b"%6cimit=0",
    b"limit=" + b"9" * 5_000,
    b"cursor=",
    b"cursor=0",
    b"cursor=-1",
    b"cursor=x",
    b"cursor=%ff%fe",
    b"cursor=" + b"9" * 30,
    b"cursor=9223372036854775808",
    b"after=",
    b"after=-1",
    b"after=x",
    b"after=9223372036854775808",
    b"after=0&cursor=5",
    b"cursor=1&cursor=1",
]


@pytest.mark.parametrize("query", ENTRIES, ids=lambda query: repr(query[:24]))
def test_a_page_that_makes_no_sense_is_a_bad_request(bank: Door, ana: Customer, query: bytes) -> None:
    answer = bank.call("GET", f"/v1/accounts/{ana.account}/entries", token=ana.token, query=query)
    assert (answer.status, answer.code) == (400, "bad_request")
    if b"after" not in query:
        answer = bank.call("GET", "/v1/payments", token=ana.token, query=query)
        assert (answer.status, answer.code) == (400, "bad_request")


@pytest.mark.parametrize("query", [b"limit=0", b"limit=10001", b"after=x", b"after=", b"limit=1&limit=2"])
def test_neither_does_the_operator_get_a_page_that_makes_no_sense(bank: Door, query: bytes) -> None:
    assert bank.operate("GET", "/v1/operator/payments", query=query).code == "bad_request"


@pytest.mark.parametrize("query", [b"everywhere=", b"everywhere=1", b"everywhere=true&everywhere=true"])
def test_everywhere_is_true_or_false(bank: Door, ana: Customer, query: bytes) -> None:
    assert bank.call("GET", "/v1/accounts", token=ana.token, query=query).code == "bad_request"


@pytest.mark.parametrize("query", [b"", b"\xff\xfe", b"&&&==", b"other=1&other=2", b"%"])
def test_a_query_that_nobody_asked_for_is_passed_over(bank: Door, ana: Customer, query: bytes) -> None:
    assert bank.call("GET", "/v1/payments", token=ana.token, query=query).status == 200


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 100])
def test_pages_put_together_are_the_whole_statement(bank: Door, ana: Customer, limit: int) -> None:
    path = f"/v1/accounts/{ana.account}/entries"
    newest_first: list[int] = []
    cursor = None
    while True:
        query = f"limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        page = bank.call("GET", path, token=ana.token, query=query.encode()).json
        assert len(page["entries"]) <= limit
        newest_first += [entry["number"] for entry in page["entries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert newest_first == [6, 5, 4, 3, 2, 1]
    oldest_first: list[int] = []
    while True:
        after = oldest_first[-1] if oldest_first else 0
        query = f"limit={limit}&after={after}"
        entries = bank.call("GET", path, token=ana.token, query=query.encode()).json["entries"]
        if not entries:
            break
        oldest_first += [entry["number"] for entry in entries]
    assert oldest_first == newest_first[::-1]


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_put_together_are_all_payments_of_a_customer(bank: Door, ana: Customer, limit: int) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        query = f"limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        page = bank.call("GET", "/v1/payments", token=ana.token, query=query.encode()).json
        seen += [payment["id"] for payment in page["payments"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("host", [b"", b"\xff", b"a b", b"multipart/form-data", b"x" * 10_000])
def test_a_host_that_makes_no_sense_does_no_harm(bank: Door, ana: Customer, host: bytes) -> None:
    answer = bank.call("GET", "/v1/accounts", token=ana.token, headers=[(b"host", host)])
    assert answer.status == 200 or answer.code == "bad_request"


# Idempotency keys.


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/payments/", "/v1/deposits", "/v1/withdrawals"])
@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ([], "idempotency_key_required"),
        ([b""], "bad_request"),
        ([b"x" * 65], "bad_request"),
        ([b"a b"], "bad_request"),
        ([b"a\x00"], "bad_request"),
        ([b"\xe9"], "bad_request"),
        ([b"a\n"], "bad_request"),
        ([b"a", b"a"], "bad_request"),
    ],
)
def test_what_moves_money_needs_one_good_key(
    bank: Door, ana: Customer, path: str, keys: list[bytes], code: str
) -> None:
    headers = [(b"idempotency-key", key) for key in keys]
    if path.startswith("/v1/payments"):
        body: object = {"transfers": [transfer(ana.account, ana.account, 1)]}
        answer = bank.call("POST", path, body, token=ana.token, headers=headers)
    else:
        answer = bank.operate("POST", path, {"account": ana.account, "amount": 1}, headers=headers)
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize("key", ["!", "~" * 64, "a"])
def test_any_visible_ascii_is_a_key(bank: Door, ana: Customer, key: str) -> None:
    answer = bank.pay(ana, {"transfers": [transfer(ana.account, ana.account, 1)]}, key=key)
    assert answer.code == "same_account"


def test_a_key_may_be_left_out_where_it_is_only_taken_but_not_be_wrong(bank: Door) -> None:
    token = bank.someone().token
    for key in ("a b", "x" * 65):
        answer = bank.call("POST", "/v1/accounts", {"kind": "joint"}, token=token, key=key)
        assert answer.code == "bad_request"
    assert bank.call("POST", "/v1/accounts", {"kind": "joint"}, token=token).code == "invalid_holders"
    assert (
        bank.call("POST", "/v1/accounts", {"kind": "joint"}, token=token, key=new_key()).code
        == "invalid_holders"
    )
