"""What an auditor reads of the peers' heads and of disputes."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from ciranda.chain import SignedHead
from ciranda.identity import Ispb
from ciranda.instant import Instant
from ciranda.ports import Dispute
from tests.api.bank import Door, pair

PEER = Ispb("10000002")
HOUR_MS = 3_600_000
DAY = Instant(1_795_400_000_000)


def head(number: int) -> SignedHead:
    return SignedHead(
        bank=PEER,
        number=number,
        hash=bytes([number] * 32),
        at=Instant(DAY + number),
        public_key=bytes(32),
        signature=bytes(64),
    )


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Door]:
    with pair(tmp_path) as banks:
        yield banks.here


def keep(bank: Door, *numbers: int) -> None:
    for number in numbers:
        at = Instant(DAY + number * HOUR_MS)
        bank.run(bank.node.store.keep_head(head(number), at, forget_before=Instant(0)))


def test_heads_come_page_by_page_the_newest_first(bank: Door) -> None:
    keep(bank, 100, 101, 102)
    read = bank.operate("GET", f"/v1/operator/peers/{PEER}/heads", query=b"limit=2").json
    assert [one["number"] for one in read["heads"]] == [102, 101]
    assert read["heads"][0] == {
        "bank": PEER,
        "holder": bank.ispb,
        "number": 102,
        "hash": "66" * 32,
        "at": "2026-11-23T02:13:20.102Z",
        "public_key": base64.b64encode(bytes(32)).decode(),
        "signature": base64.b64encode(bytes(64)).decode(),
    }
    query = f"limit=2&cursor={read['next_cursor']}".encode()
    rest = bank.operate("GET", f"/v1/operator/peers/{PEER}/heads", query=query).json
    assert 100 in [one["number"] for one in rest["heads"]]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("query", [b"cursor=x", b"cursor=-1", b"limit=0", b"cursor=99999999999999999999"])
def test_a_page_that_is_none_is_400(bank: Door, query: bytes) -> None:
    assert bank.operate("GET", f"/v1/operator/peers/{PEER}/heads", query=query).status == 400
    assert bank.operate("GET", "/v1/operator/peers/x/heads").status == 400


def test_disputes_come_with_their_evidence(bank: Door) -> None:
    for number, shown in ((7, None), (8, bytes(32))):
        dispute = Dispute(holder=bank.ispb, head=head(number), shown=shown, seen_at=Instant(DAY + number))
        bank.run(bank.node.store.add_dispute(dispute))
    told = bank.operate("GET", "/v1/operator/disputes").json["disputes"]
    assert [(one["head"]["number"], one["shown"]) for one in told] == [(8, "00" * 32), (7, None)]
    assert told[0]["seen_at"] == "2026-11-23T02:13:20.008Z"
    assert told[0]["head"]["hash"] == "08" * 32
