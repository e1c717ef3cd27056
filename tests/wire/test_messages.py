"""Nothing malformed gets in, and whatever is well formed comes back as it was."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.header import Header, Part
from ciranda.agreement.height import Height
from ciranda.agreement.message import (
    Absent,
    Accepted,
    AccountShown,
    Answer,
    AnswerBatch,
    Ask,
    Busy,
    Decided,
    Decision,
    Done,
    FindPayee,
    HeadShown,
    Outbid,
    Payee,
    Permission,
    Prepare,
    Probe,
    Promised,
    Propose,
    Question,
    ShowAccount,
    ShowHead,
    Tell,
    Up,
    Violated,
    Vote,
)
from ciranda.chain import SignedHead
from ciranda.identity import AccountId, Address, Document, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.money import AMOUNT_MAX
from ciranda.payment import Transfer
from ciranda.refusal import Code, Refusal
from ciranda.wire.messages import (
    BODY_MAX,
    QUESTIONS_MAX,
    Malformed,
    decode_answers,
    decode_questions,
    encode_answers,
    encode_batch,
    encode_question,
)

A, B = Ispb("10000001"), Ispb("10000002")
ID = EndToEndId("E10000001202611230514abcDEF12345")
ACCOUNT_A = Address(AccountId("10000001.0001.1234563"))
ACCOUNT_B = Address(AccountId("10000002.0001.1234563"))
PAYER = Document("52998224725")
BALLOT = Ballot(3, A, 2**64 - 1)
REFUSAL = Refusal(code=Code.INSUFFICIENT_FUNDS, bank=B)

HEADER = Header(
    id=ID,
    deadline=Instant(1_800_000_000_000),
    participants=(A, B),
    witnesses=(A,),
    roster_version=1,
    leaves=("0" * 64,),
)
PREPARE = Prepare(
    header=HEADER,
    parts=(
        Part(
            index=0, transfer=Transfer(source=ACCOUNT_A, target=ACCOUNT_B, amount=AMOUNT_MAX), salt="f" * 32
        ),
    ),
    payer=PAYER,
    permissions=(Permission(index=0, mandate="m1.c2VjcmV0"),),
    description="Café 🥐",
    reference="Invoice1",
    time_left_ms=-5,
)
HEAD = SignedHead(
    bank=B, number=7, hash=bytes(range(32)), at=Instant(5), public_key=bytes(32), signature=bytes(64)
)
QUESTIONS: tuple[Question, ...] = (
    PREPARE,
    Propose(header=HEADER, ballot=BALLOT, decision=Decision.COMMIT),
    Ask(header=HEADER, ballot=None),
    Ask(header=HEADER, ballot=BALLOT),
    Tell(id=ID, digest="a" * 64, decision=Decision.ABORT, refusal=REFUSAL, header=HEADER),
    Probe(),
    FindPayee(account=ACCOUNT_A),
    ShowAccount(account=ACCOUNT_A, mandate="m1.x", payer=PAYER),
    Tell(id=ID, digest="a" * 64, decision=Decision.COMMIT, refusal=None, header=HEADER),
    ShowHead(copy=None),
    ShowHead(copy=HEAD),
)
ANSWERS: tuple[Answer, ...] = (
    Vote(id=ID, refusal=None),
    Vote(id=ID, refusal=REFUSAL),
    Accepted(id=ID, ballot=BALLOT),
    Outbid(id=ID, ballot=BALLOT),
    Promised(id=ID, ballot=BALLOT, accepted=(BALLOT, Decision.ABORT)),
    Decided(id=ID, decision=Decision.COMMIT, refusal=None),
    Done(id=ID),
    Busy(),
    Violated(reason="two decisions proposed under one ballot"),
    Up(),
    Payee(account=ACCOUNT_A, name="Jo** Ning***", kind="individual"),
    AccountShown(
        account=ACCOUNT_A,
        kind="joint",
        status="open",
        signatures="all",
        holders=(("***.456.789-**", "Ma***"), ("**.345.678/0001-**", "Lo**")),
        balance=-5,
        held=0,
        available=None,
        opened_at=Instant(0),
        scopes=("read", "pay"),
    ),
    HeadShown(head=HEAD, hash=None),
    HeadShown(head=HEAD, hash=bytes(range(32))),
    Absent(),
)


HEIGHT, SEEN = Height(7, "7" * 32), Height(9, "9" * 32)


def batch_of(*questions: Question) -> bytes:
    return encode_batch(A, B, HEIGHT, SEEN, [encode_question(question) for question in questions])


def test_questions_come_back_as_they_were() -> None:
    batch = decode_questions(batch_of(*QUESTIONS))
    assert (batch.sender, batch.receiver, batch.height, batch.seen) == (A, B, HEIGHT, SEEN)
    assert batch.questions == QUESTIONS


def test_answers_come_back_as_they_were() -> None:
    batch = AnswerBatch(sender=A, receiver=B, height=HEIGHT, seen=SEEN, answers=ANSWERS)
    assert decode_answers(encode_answers(batch)) == batch


def test_an_empty_batch_is_well_formed() -> None:
    assert decode_questions(batch_of()).questions == ()


TOO_LONG = 2**63

BAD_FIELDS: list[tuple[str, Any]] = [
    ("sender", "1000000a"),
    ("sender", "100000011"),
    ("sender", "10000001\n"),
    ("receiver", ""),
    ("height", [-1, ""]),
    ("height", [TOO_LONG, ""]),
    ("height", [1.5, ""]),
    ("height", 7),
    ("height", [7]),
    ("height", [7, "x"]),
    ("height", [7, "7" * 32, ""]),
    ("seen", [TOO_LONG, ""]),
    ("seen", None),
    ("surplus", 1),
    ("questions", {}),
    ("questions.0.type", "Prepared"),
    ("questions.0.type", None),
    ("questions.0.header.id", "E10000001202611230514abcDEF1234"),
    ("questions.0.header.id", "E10000001202611230514abcDEF1234é"),
    ("questions.0.header.id", "E1000000120261123051٣abcDEF12345"),
    ("questions.0.header.deadline", -1),
    ("questions.0.header.deadline", 10**15),
    ("questions.0.header.participants", []),
    ("questions.0.header.participants", ["10000001"] * 129),
    ("questions.0.header.participants", ["1000001"]),
    ("questions.0.header.witnesses", []),
    ("questions.0.header.witnesses", ["x"]),
    ("questions.0.header.roster_version", TOO_LONG),
    ("questions.0.header.leaves", []),
    ("questions.0.header.leaves", ["0" * 63]),
    ("questions.0.header.leaves", ["F" * 64]),
    ("questions.0.header.leaves", ["0" * 64] * 65),
    ("questions.0.header.surplus", 0),
    ("questions.0.parts.0.index", 64),
    ("questions.0.parts.0.index", -1),
    ("questions.0.parts.0.transfer.source", "vault"),
    ("questions.0.parts.0.transfer.source", "10000001.0001.1"),
    ("questions.0.parts.0.transfer.target", "10000001.0001.12345\x00"),
    ("questions.0.parts.0.transfer.amount", 0),
    ("questions.0.parts.0.transfer.amount", -1),
    ("questions.0.parts.0.transfer.amount", AMOUNT_MAX + 1),
    ("questions.0.parts.0.transfer.amount", "1"),
    ("questions.0.parts.0.transfer.amount", True),
    ("questions.0.parts.0.salt", ""),
    ("questions.0.parts.0.salt", "0" * 65),
    ("questions.0.payer", "5299822472"),
    ("questions.0.payer", "529.982.247-25"),
    ("questions.0.permissions.0.index", 64),
    ("questions.0.permissions.0.mandate", "x" * 257),
    ("questions.0.permissions.0.mandate", "x\x00"),
    ("questions.0.description", "x" * 141),
    ("questions.0.description", "line\nline"),
    ("questions.0.description", "nul\x00"),
    ("questions.0.description", "\x9f"),
    ("questions.0.description", "\ud800"),
    ("questions.0.reference", "x" * 36),
    ("questions.0.reference", ""),
    ("questions.0.reference", "a b"),
    ("questions.0.time_left_ms", TOO_LONG),
    ("questions.0.time_left_ms", -TOO_LONG),
    ("questions.1.ballot.0", -1),
    ("questions.1.ballot.0", TOO_LONG),
    ("questions.1.ballot.1", "bank"),
    ("questions.1.ballot.2", 2**64),
    ("questions.1.ballot.2", -1),
    ("questions.1.decision", "maybe"),
    ("questions.2.ballot", 0),
    ("questions.4.digest", "a" * 65),
    ("questions.4.refusal.bank", "B"),
    ("questions.4.refusal.code", "bad_mood"),
    ("questions.5.surplus", 1),
    ("questions.6.account", "10000001-0001-1234563"),
    ("questions.7.payer", ""),
    ("questions.10.copy.bank", "x"),
    ("questions.10.copy.number", -1),
    ("questions.10.copy.number", TOO_LONG),
    ("questions.10.copy.hash", "AAAA"),
    ("questions.10.copy.at", -1),
    ("questions.10.copy.public_key", ""),
    ("questions.10.copy.signature", "not base64"),
    ("questions.10.copy.surplus", 0),
]


@pytest.mark.parametrize(
    ("path", "value"), BAD_FIELDS, ids=lambda value: str(value)[:40].encode("unicode_escape").decode()
)
def test_one_bad_field_makes_the_whole_batch_malformed(path: str, value: object) -> None:
    batch = json.loads(batch_of(*QUESTIONS))
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = batch
    for step in way:
        place = place[step]
    place[last] = value
    with pytest.raises(Malformed):
        decode_questions(json.dumps(batch).encode())


BAD_ANSWERS: list[tuple[int, str, object]] = [
    (0, "id", "E"),
    (1, "refusal", {"code": "aborted", "bank": "?"}),
    (2, "ballot", [0, "10000001"]),
    (2, "ballot", [2**63, "10000001", 0]),
    (4, "accepted", [[0, "10000001", 2**64], "commit"]),
    (4, "accepted", [[0, "10000001", 1], "perhaps"]),
    (8, "reason", "x" * 1001),
    (8, "reason", "\x00"),
    (10, "account", "vault"),
    (10, "name", "x" * 121),
    (10, "kind", "<b>"),
    (11, "holders", [["1", "Maria"]]),
    (11, "holders", [["52998224725", "Ma\tria"]]),
    (11, "balance", 2**63),
    (11, "opened_at", -1),
    (11, "scopes", ["READ"]),
    (11, "signatures", "\n"),
]


@pytest.mark.parametrize(("index", "field", "value"), BAD_ANSWERS)
def test_one_bad_answer_makes_the_whole_batch_malformed(index: int, field: str, value: object) -> None:
    batch = json.loads(
        encode_answers(AnswerBatch(sender=A, receiver=B, height=HEIGHT, seen=SEEN, answers=ANSWERS))
    )
    batch["answers"][index][field] = value
    with pytest.raises(Malformed):
        decode_answers(json.dumps(batch).encode())


def leaves(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every text and number inside a JSON value."""
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in inside for leaf in leaves(inner, (*way, key))]
    return [] if value is None else [way]


@pytest.mark.parametrize("decode", [decode_questions, decode_answers])
def test_no_field_of_any_message_goes_unchecked(decode: Callable[[bytes], object]) -> None:
    well_formed = (
        batch_of(*QUESTIONS)
        if decode is decode_questions
        else encode_answers(AnswerBatch(sender=A, receiver=B, height=HEIGHT, seen=SEEN, answers=ANSWERS))
    )
    for *way, last in leaves(json.loads(well_formed)):
        batch = json.loads(well_formed)
        place = batch
        for step in way:
            place = place[step]
        place[last] = place[last] + "\x00" if isinstance(place[last], str) else 2**64
        with pytest.raises(Malformed):
            pytest.fail(f"{way} {last} is not checked: {decode(json.dumps(batch).encode())}")


ODD_BODIES = [
    b"",
    b"\x00",
    b"null",
    b"[]",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"[" * 1_000_000,
    b'{"a":' * 1_000_000,
    b'{"questions":' + b"[" * 1_000_000,
    b'{"height":' + b"9" * 1_000_000 + b"}",
    b'{"height":1e999999}',
    b'{"sender":"\xed\xa0\x80"}',
    b'{"sender":"\\ud800\\ud800"}',
    b'{"sender":"' + b"\\u0000" * 8 + b'"}',
    batch_of(PREPARE).replace(b'"transfer":{', b'"transfer":{"deep":' + b"[" * 1_000_000),
    b"{}" + b" " * BODY_MAX,
]


@pytest.mark.parametrize("body", ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_odd_bodies_are_malformed_however_deep_or_large(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_questions(body)
    with pytest.raises(Malformed):
        decode_answers(body)


def test_a_batch_holds_two_thousand_questions_and_no_more() -> None:
    assert len(decode_questions(batch_of(*[Probe()] * QUESTIONS_MAX)).questions) == QUESTIONS_MAX
    with pytest.raises(Malformed):
        decode_questions(batch_of(*[Probe()] * (QUESTIONS_MAX + 1)))


def test_a_bank_does_not_write_what_no_peer_would_read() -> None:
    with pytest.raises(Malformed):
        encode_question(msgspec.structs.replace(PREPARE, description="x" * 141))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_malformed(body: bytes) -> None:
    read_both(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(st.data())
def test_any_damage_to_a_batch_leaves_a_batch_or_malformed(data: st.DataObject) -> None:
    batch: Any = json.loads(batch_of(*QUESTIONS))
    if data.draw(st.booleans()):
        batch["answers"] = json.loads(msgspec.json.encode(ANSWERS))
        del batch["questions"]
    place: Any = batch
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    place[key] = data.draw(json_values)
    read_both(json.dumps(batch).encode())


@given(st.data())
def test_any_altered_byte_leaves_a_batch_or_malformed(data: st.DataObject) -> None:
    body = bytearray(batch_of(*QUESTIONS))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read_both(bytes(body))


def read_both(body: bytes) -> None:
    for decode in (decode_questions, decode_answers):
        with contextlib.suppress(Malformed):
            decode(body)
