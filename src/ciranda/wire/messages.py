"""Batches of questions and answers, as bytes and as values.

The law of this file: **what it lets in is well formed, and everything else is `Malformed`**, however deep, odd or
large. Inside the house an `Ispb` is eight characters and an amount is positive because they were checked here, so
every text and number of every message has its line below. A message without its lines does not compile
(`assert_never`); a field without its line fails a test, which spoils each of them in turn.

What is *not* asked here is whether a message makes sense: whether a leaf fits its transfer, or the banks are members.
That is for the agreement, which answers such a message as a violation (PROTOCOL 3.7). Check digits are not asked
either: they guard against slips of human fingers, and between banks there are none.

A batch is written from questions that are bytes already. Each was checked and written when it was asked, so that one
which no peer would read harms nobody but its asker, and its size is known before a batch is formed.
"""

import re
from collections.abc import Iterable
from typing import assert_never

import msgspec

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
    Done,
    FindPayee,
    HeadShown,
    Outbid,
    Payee,
    Prepare,
    Probe,
    Promised,
    Propose,
    Question,
    QuestionBatch,
    ShowAccount,
    ShowHead,
    Tell,
    Up,
    Violated,
    Vote,
)
from ciranda.chain import DIGEST_BYTES, SignedHead
from ciranda.identity import Ispb
from ciranda.money import AMOUNT_MAX
from ciranda.payment import TRANSFERS_MAX
from ciranda.refusal import Refusal

QUESTIONS_MAX = 2_000
BODY_MAX = 8 * 1024 * 1024

_INT64_MAX = 2**63 - 1
_UINT64_MAX = 2**64 - 1
_INSTANT_MAX = 253_370_764_800_000
"""The year 9999: every instant, and a little later, can still be written as a date."""
_TIME_LEFT_MAX = 10**9
"""Eleven days, in milliseconds, to either side: it is added to an instant, and the sum must stay one."""
_ROUND_MAX = 2**62
"""Leaves room above: after any round that we were shown there is a next one."""
_BANKS_MAX = 2 * TRANSFERS_MAX
_TOKEN_LENGTH_MAX = 256
_REASON_LENGTH_MAX = 1_000
_NAME_LENGTH_MAX = 120
_HOLDERS_MAX = 1_000
_PUBLIC_KEY_BYTES = 32
_SIGNATURE_BYTES = 64

# Bound once: these run for every message, thousands a second.
_is_ispb = re.compile(r"[0-9A-Z]{8}").fullmatch
_is_address = re.compile(r"[0-9A-Z]{8}\.[0-9]{4}\.[0-9]{2,20}").fullmatch
_is_end_to_end_id = re.compile(r"E[0-9A-Z]{8}[0-9]{12}[a-zA-Z0-9]{11}").fullmatch
_is_document = re.compile(r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}").fullmatch
_is_masked_document = re.compile(
    r"\*{3}\.[0-9]{3}\.[0-9]{3}-\*\*|\*\*\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\*\*"
).fullmatch
_is_digest = re.compile(r"[0-9a-f]{64}").fullmatch
_is_stamp = re.compile(r"(?:[0-9a-f]{32})?").fullmatch
_is_salt = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_is_reference = re.compile(r"[A-Za-z0-9]{1,35}").fullmatch
_is_description = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,140}").fullmatch
_is_word = re.compile(r"[a-z_]{1,32}").fullmatch
_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]").search

_encode = msgspec.json.Encoder().encode
_decode_questions = msgspec.json.Decoder(QuestionBatch).decode
_decode_answers = msgspec.json.Decoder(AnswerBatch).decode


class Malformed(ValueError):
    """No honest bank writes such bytes. Nothing was done about them."""


def decode_questions(body: bytes) -> QuestionBatch:
    """Raises Malformed."""
    _must(len(body) <= BODY_MAX, "the body is too large")
    try:
        batch = _decode_questions(body)
    except (ValueError, RecursionError, OverflowError) as error:  # msgspec's own errors are ValueErrors
        raise Malformed(str(error)) from error
    _check_envelope(batch)
    _must(len(batch.questions) <= QUESTIONS_MAX, "too many questions")
    for question in batch.questions:
        check_question(question)
    return batch


def decode_answers(body: bytes) -> AnswerBatch:
    """Raises Malformed."""
    _must(len(body) <= BODY_MAX, "the body is too large")
    try:
        batch = _decode_answers(body)
    except (ValueError, RecursionError, OverflowError) as error:
        raise Malformed(str(error)) from error
    _check_envelope(batch)
    _must(len(batch.answers) <= QUESTIONS_MAX, "too many answers")
    for answer in batch.answers:
        check_answer(answer)
    return batch


def encode_question(question: Question) -> bytes:
    """One question, for `encode_batch`. Raises Malformed if no peer would read it."""
    check_question(question)
    return _encode(question)


def encode_batch(
    sender: Ispb, receiver: Ispb, height: Height, seen: Height, questions: Iterable[bytes]
) -> bytes:
    """A `QuestionBatch` of questions that `encode_question` wrote."""
    return b'{"sender":"%b","receiver":"%b","height":%b,"seen":%b,"questions":[%b]}' % (
        sender.encode(),
        receiver.encode(),
        _encode(height),
        _encode(seen),
        b",".join(questions),
    )


def encode_answers(batch: AnswerBatch) -> bytes:
    return _encode(batch)


def check_question(question: Question) -> None:
    """Raises Malformed."""
    match question:
        case Prepare():
            _check_header(question.header)
            _must(len(question.parts) <= TRANSFERS_MAX, "too many transfers")
            for part in question.parts:
                _check_part(part)
            _must(question.payer is None or _is_document(question.payer), "the payer's document")
            _must(len(question.permissions) <= TRANSFERS_MAX, "too many permissions")
            for permission in question.permissions:
                _must(0 <= permission.index < TRANSFERS_MAX, "a permission's index")
                _check_text(permission.mandate, _TOKEN_LENGTH_MAX, "a mandate's token")
            _must(question.description is None or _is_description(question.description), "the description")
            _must(question.reference is None or _is_reference(question.reference), "the reference")
            _must(-_TIME_LEFT_MAX <= question.time_left_ms <= _TIME_LEFT_MAX, "the time left")
        case Tell():
            _must(_is_end_to_end_id(question.id), "a payment's id")
            _must(_is_digest(question.digest), "a digest")
            _check_refusal(question.refusal)
            _check_header(question.header)
        case Propose():
            _check_header(question.header)
            _check_ballot(question.ballot)
        case Ask():
            _check_header(question.header)
            if question.ballot is not None:
                _check_ballot(question.ballot)
        case Probe():
            pass
        case FindPayee():
            _must(_is_address(question.account), "an account's address")
        case ShowAccount():
            _must(_is_address(question.account), "an account's address")
            _check_text(question.mandate, _TOKEN_LENGTH_MAX, "a mandate's token")
            _must(_is_document(question.payer), "the payer's document")
        case ShowHead():
            if question.copy is not None:
                _check_head(question.copy)
        case _:
            assert_never(question)


def check_answer(answer: Answer) -> None:
    """Raises Malformed."""
    match answer:
        case Vote() | Decided():
            _must(_is_end_to_end_id(answer.id), "a payment's id")
            _check_refusal(answer.refusal)
        case Done():
            _must(_is_end_to_end_id(answer.id), "a payment's id")
        case Accepted() | Outbid():
            _must(_is_end_to_end_id(answer.id), "a payment's id")
            _check_ballot(answer.ballot)
        case Promised():
            _must(_is_end_to_end_id(answer.id), "a payment's id")
            _check_ballot(answer.ballot)
            if answer.accepted is not None:
                _check_ballot(answer.accepted[0])
        case Violated():
            _check_text(answer.reason, _REASON_LENGTH_MAX, "a reason")
        case Payee():
            _must(_is_address(answer.account), "an account's address")
            _check_text(answer.name, _NAME_LENGTH_MAX, "a name")
            _must(_is_word(answer.kind), "an account's kind")
        case AccountShown():
            _check_account(answer)
        case HeadShown():
            _check_head(answer.head)
            _must(answer.hash is None or len(answer.hash) == DIGEST_BYTES, "a folio's hash")
        case Busy() | Up() | Absent():
            pass
        case _:
            assert_never(answer)


def _check_envelope(batch: QuestionBatch | AnswerBatch) -> None:
    _must(_is_ispb(batch.sender) and _is_ispb(batch.receiver), "an ISPB")
    for height in (batch.height, batch.seen):
        _must(0 <= height.number <= _INT64_MAX and _is_stamp(height.stamp), "a height")


def _check_header(header: Header) -> None:
    _must(_is_end_to_end_id(header.id), "a payment's id")
    _must(0 <= header.deadline <= _INSTANT_MAX, "the deadline")
    _must(1 <= len(header.participants) <= _BANKS_MAX, "the number of participants")
    _must(1 <= len(header.witnesses) <= _BANKS_MAX, "the number of witnesses")
    _must(all(map(_is_ispb, header.participants)) and all(map(_is_ispb, header.witnesses)), "an ISPB")
    _must(0 <= header.roster_version <= _INT64_MAX, "the roster's version")
    _must(1 <= len(header.leaves) <= TRANSFERS_MAX, "the number of leaves")
    _must(all(map(_is_digest, header.leaves)), "a leaf")


def _check_part(part: Part) -> None:
    transfer = part.transfer
    _must(0 <= part.index < TRANSFERS_MAX, "a transfer's index")
    _must(_is_address(transfer.source) and _is_address(transfer.target), "an account's address")
    _must(1 <= transfer.amount <= AMOUNT_MAX, "an amount")
    _must(_is_salt(part.salt), "a salt")


def _check_ballot(ballot: Ballot) -> None:
    _must(0 <= ballot.round <= _ROUND_MAX and 0 <= ballot.nonce <= _UINT64_MAX, "a ballot")
    _must(_is_ispb(ballot.bank), "an ISPB")


def _check_refusal(refusal: Refusal | None) -> None:
    _must(refusal is None or _is_ispb(refusal.bank), "an ISPB")


def _check_account(account: AccountShown) -> None:
    _must(_is_address(account.account), "an account's address")
    for word in (account.kind, account.status, *account.scopes):
        _must(_is_word(word), "an account's kind, status or scopes")
    _must(account.signatures is None or _is_word(account.signatures), "who signs for an account")
    _must(len(account.holders) <= _HOLDERS_MAX, "too many holders")
    for document, name in account.holders:
        _must(_is_masked_document(document), "a holder's document, masked")
        _check_text(name, _NAME_LENGTH_MAX, "a name")
    for amount in (account.balance, account.held, account.available):
        _must(amount is None or -_INT64_MAX <= amount <= _INT64_MAX, "a balance")
    _must(0 <= account.opened_at <= _INSTANT_MAX, "an instant")


def _check_head(head: SignedHead) -> None:
    _must(_is_ispb(head.bank), "an ISPB")
    _must(0 <= head.number <= _INT64_MAX, "a folio's number")
    _must(len(head.hash) == DIGEST_BYTES, "a folio's hash")
    _must(0 <= head.at <= _INSTANT_MAX, "an instant")
    _must(len(head.public_key) == _PUBLIC_KEY_BYTES, "a public key")
    _must(len(head.signature) == _SIGNATURE_BYTES, "a signature")


def _check_text(text: str, length_max: int, what: str) -> None:
    _must(len(text) <= length_max and not _has_control(text), what)


def _must(fits: object, what: str) -> None:
    if not fits:
        raise Malformed(what)
