"""What every answer of a bank must look like, and the three that a test asks for: settled, refused, a problem."""

import re
from typing import Any

import httpx

Json = dict[str, Any]

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PAYMENT_ID = re.compile(r"E[0-9A-Z]{8}\d{12}[a-zA-Z0-9]{11}")
ADDRESS = re.compile(r"[0-9A-Z]{8}\.\d{4}\.\d{2,20}")

ISO = {
    "zero_amount": "AM01",
    "same_account": "AG03",
    "unknown_bank": "RC10",
    "not_permitted": "DS0G",
    "unknown_account": "AC03",
    "blocked_account": "AC06",
    "closed_account": "AC07",
    "wrong_account_kind": "AC14",
    "mandate_exceeded": "AM02",
    "limit_exceeded": "AM02",
    "insufficient_funds": "AM04",
    "balance_exceeded": "AM02",
    "peer_limit_exceeded": "AM23",
    "bank_unreachable": "AB09",
    "deadline_passed": "AB03",
    "aborted": "ED05",
}


def check_manners(answer: httpx.Response) -> None:
    """What holds for each answer, whatever was asked: no failure of the bank's own, and every error a problem."""
    assert answer.status_code != 500, (
        f"500 to {answer.request.method} {answer.request.url}: {answer.text[:500]}"
    )
    if answer.status_code < 400:
        return
    kind = answer.headers.get("Content-Type", "").split(";")[0]
    assert kind == "application/problem+json", f"{answer.status_code} as {kind!r}: {answer.text[:500]}"
    body = answer.json()
    assert body["status"] == answer.status_code, body
    for field in ("type", "title", "detail", "code"):
        assert isinstance(body.get(field), str), f"no {field} in {body}"
    if answer.status_code in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1


def created(answer: httpx.Response) -> Json:
    return _body(answer, 201)


def found(answer: httpx.Response) -> Json:
    return _body(answer, 200)


def settled(answer: httpx.Response) -> Json:
    """The payment, which is settled."""
    payment = created(answer)
    assert payment["status"] == "settled", payment
    assert PAYMENT_ID.fullmatch(payment["id"]), payment
    return payment


def refused(answer: httpx.Response, code: str, bank: str | None = None) -> Json:
    """The problem, which says why the payment was refused, and by which bank."""
    body = problem(answer, 422, code)
    assert PAYMENT_ID.fullmatch(body["payment"]), body
    assert re.fullmatch(r"[0-9A-Z]{8}", body["bank"]), body
    assert bank is None or body["bank"] == bank, body
    return body


def problem(answer: httpx.Response, status: int, code: str) -> Json:
    """The problem's body. That it is one at all was seen when it came (`check_manners`)."""
    body: Json = answer.json()
    assert (answer.status_code, body.get("code")) == (status, code), f"{answer.status_code}: {body}"
    if code == "bad_request":
        assert body["errors"], body
        for error in body["errors"]:
            assert isinstance(error["field"], str), body
            assert isinstance(error["message"], str), body
    return body


def _body(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:1000]}"
    body: Json = answer.json()
    return body
