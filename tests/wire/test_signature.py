"""A message counts only if a member signed it, for us, and, if it is an answer, for the request that we sent."""

import contextlib
import datetime
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.algorithms import ED25519
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ciranda.identity import Ispb
from ciranda.wire.signature import METHOD, PATH, TAG, WINDOW_S, BadSignature, Seal
from tests.members import roster_of

A, B, C = Ispb("10000001"), Ispb("10000002"), Ispb("10000003")
NOW = 1_800_000_000
BODY = b'{"sender":"10000001"}'

KEYS = {bank: Ed25519PrivateKey.from_private_bytes(bank.encode() * 4) for bank in (A, B, C)}
STRANGER = Ed25519PrivateKey.from_private_bytes(b"stranger" * 4)

ROSTER = roster_of(KEYS)


def seal(bank: Ispb, key: Ed25519PrivateKey | None = None) -> Seal:
    return Seal(bank, key or KEYS[bank], ROSTER)


def request(body: bytes = BODY) -> dict[str, str]:
    return seal(A).sign_request(B, body, NOW)


def accept(headers: dict[str, str], body: bytes = BODY, at: Ispb = B, now: int = NOW) -> Ispb:
    signed = seal(at).verify_request(headers.items(), now)
    signed.check_body(body)
    return signed.sender


# Requests.


def test_a_members_request_is_accepted_and_names_its_sender() -> None:
    assert accept(request()) == A


def test_the_names_of_headers_may_be_in_any_case() -> None:
    assert accept({name.title(): value for name, value in request().items()}) == A


def test_an_empty_body_is_signed_like_any_other() -> None:
    assert accept(request(b""), b"") == A


def test_a_forged_signature_is_refused() -> None:
    with pytest.raises(BadSignature):
        accept(seal(A, STRANGER).sign_request(B, BODY, NOW))


def test_a_stranger_is_refused_under_any_name() -> None:
    with pytest.raises(BadSignature):
        accept(seal(Ispb("99999999"), STRANGER).sign_request(B, BODY, NOW))


def test_a_member_cannot_speak_for_another() -> None:
    headers = seal(C).sign_request(B, BODY, NOW)
    with pytest.raises(BadSignature):
        accept(headers | {"ciranda-sender": A})


def test_a_request_replayed_to_another_bank_is_refused() -> None:
    with pytest.raises(BadSignature, match="another bank"):
        accept(request(), at=C)


def test_an_altered_body_is_refused() -> None:
    with pytest.raises(BadSignature):
        accept(request(), BODY + b" ")


def test_a_body_with_its_own_digest_is_refused() -> None:
    with pytest.raises(BadSignature):
        accept(request() | {"content-digest": request(b"other")["content-digest"]}, b"other")


@pytest.mark.parametrize(
    "name", ["ciranda-sender", "ciranda-receiver", "content-digest", "signature", "signature-input"]
)
def test_no_header_can_be_altered_left_out_or_doubled(name: str) -> None:
    headers = request()
    for altered in (
        headers | {name: headers[name][:-1]},
        headers | {name: headers[name] + ", " + headers[name]},
        headers | {name: ""},
        {other: value for other, value in headers.items() if other != name},
    ):
        with pytest.raises(BadSignature):
            accept(altered)


@pytest.mark.parametrize(
    "change",
    [
        ("created=1800000000", "created=1800000001"),
        (f"expires={NOW + WINDOW_S}", "expires=1900000000"),
        (TAG, "other-tag"),
        (' "content-digest"', ""),
    ],
)
def test_nothing_of_what_is_said_about_a_signature_can_be_altered(change: tuple[str, str]) -> None:
    headers = request()
    assert change[0] in headers["signature-input"]
    with pytest.raises(BadSignature):
        accept(headers | {"signature-input": headers["signature-input"].replace(*change)})


def test_clocks_may_differ_by_five_minutes_either_way() -> None:
    for now in (NOW - WINDOW_S, NOW + WINDOW_S):
        assert accept(request(), now=now) == A


def test_an_expired_request_is_refused() -> None:
    with pytest.raises(BadSignature, match="expired"):
        accept(request(), now=NOW + WINDOW_S + 1)


def test_a_request_from_the_future_is_refused() -> None:
    with pytest.raises(BadSignature, match="future"):
        accept(request(), now=NOW - WINDOW_S - 1)


def test_a_signature_that_outlives_its_memory_is_refused() -> None:
    with pytest.raises(BadSignature, match="longer"):
        accept(foreign(expires=WINDOW_S + 1))


def test_two_requests_of_the_same_words_and_second_are_not_the_same() -> None:
    one = seal(A)
    first, second = one.sign_request(B, BODY, NOW), one.sign_request(B, BODY, NOW)
    assert first["signature"] != second["signature"]
    assert seal(B).verify_request(first.items(), NOW).mark != seal(B).verify_request(second.items(), NOW).mark


def test_what_tells_requests_apart_is_nothing_that_a_thief_can_alter() -> None:
    headers = request()
    renamed = {
        name: value.replace("ciranda=", "x=", 1) if name.startswith("signature") else value
        for name, value in headers.items()
    }
    more = headers | {"x-more": "1"}
    marks = {seal(B).verify_request(one.items(), NOW).mark for one in (headers, renamed, more)}
    assert len(marks) == 1


# Two keys.

NEXT = Ed25519PrivateKey.from_private_bytes(b"the next" * 4)
CHANGING = replace(
    ROSTER,
    members=ROSTER.members
    | {A: replace(ROSTER.members[A], next_public_key=NEXT.public_key().public_bytes_raw())},
)
RETIRED = replace(
    ROSTER,
    members=ROSTER.members | {A: replace(ROSTER.members[A], public_key=NEXT.public_key().public_bytes_raw())},
)


@pytest.mark.parametrize("key", [KEYS[A], NEXT], ids=["present", "next"])
def test_while_a_bank_changes_its_key_both_are_its_own(key: Ed25519PrivateKey) -> None:
    reader = Seal(B, KEYS[B], CHANGING)
    assert reader.verify_request(seal(A, key).sign_request(B, BODY, NOW).items(), NOW).sender == A
    renamed = {
        name: value.replace("ciranda=", "x=", 1) if name.startswith("signature") else value
        for name, value in seal(A, key).sign_request(B, BODY, NOW).items()
    }
    assert reader.verify_request(renamed.items(), NOW).sender == A


def test_a_key_that_was_taken_out_is_a_strangers_and_so_is_the_next_one_before_it_is_known() -> None:
    for roster, key in ((RETIRED, KEYS[A]), (ROSTER, NEXT), (CHANGING, STRANGER), (CHANGING, KEYS[C])):
        with pytest.raises(BadSignature, match="not the member's"):
            Seal(B, KEYS[B], roster).verify_request(seal(A, key).sign_request(B, BODY, NOW).items(), NOW)


def test_another_banks_next_key_is_not_ones_own() -> None:
    headers = Seal(C, NEXT, ROSTER).sign_request(B, BODY, NOW)
    with pytest.raises(BadSignature):
        Seal(B, KEYS[B], CHANGING).verify_request(headers.items(), NOW)


def test_a_seal_changes_its_hand_and_its_eye_in_one_moment() -> None:
    changing = seal(A)
    changing.change(NEXT, RETIRED)
    headers = changing.sign_request(B, BODY, NOW)
    assert Seal(B, KEYS[B], RETIRED).verify_request(headers.items(), NOW).sender == A
    with pytest.raises(BadSignature):
        seal(B).verify_request(headers.items(), NOW)


# What another implementation of the standard would write, and read.

COVERED = ("@method", "@path", "content-digest", "ciranda-sender", "ciranda-receiver")


def foreign(
    covered: tuple[str, ...] = COVERED,
    expires: int | None = WINDOW_S,
    tag: str = TAG,
    method: str = METHOD,
    path: str = PATH,
    sender: Ispb = A,
    key: Ispb = A,
) -> dict[str, str]:
    headers = {"ciranda-sender": sender, "ciranda-receiver": B, "x-more": "1"}
    headers["content-digest"] = request()["content-digest"]
    message = SimpleNamespace(method=method, url=f"http://bank.example{path}", headers=headers)
    created = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    keys = MappingKeyResolver(public_keys={}, private_keys={key: KEYS[key]})
    HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=keys).sign(
        message,
        key_id=key,
        created=created,
        expires=None if expires is None else created + datetime.timedelta(seconds=expires),
        tag=tag,
        covered_component_ids=covered,
        use_existing_digest=True,
    )
    return headers


def test_the_standards_own_signer_is_understood_in_any_order_and_with_more_covered() -> None:
    assert accept(foreign()) == A
    assert accept(foreign((*reversed(COVERED), "x-more"))) == A


@pytest.mark.parametrize("left_out", COVERED)
def test_a_valid_signature_that_covers_too_little_is_refused(left_out: str) -> None:
    headers = foreign(tuple(name for name in COVERED if name != left_out))
    with pytest.raises(BadSignature, match="does not cover"):
        accept(headers)


def test_a_member_who_signs_as_itself_cannot_name_another_as_sender() -> None:
    with pytest.raises(BadSignature, match="under another"):
        accept(foreign(sender=A, key=C))


def test_a_request_is_signed_once() -> None:
    once, twice = request(), {name.lower(): value for name, value in foreign().items()}
    both = {name: f"{once[name]}, {twice[name]}" for name in ("signature", "signature-input")}
    with pytest.raises(BadSignature, match="more than one"):
        accept(once | both)


def test_a_signature_for_another_path_method_or_purpose_is_refused() -> None:
    for headers in (foreign(path="/v1/payments"), foreign(method="PUT"), foreign(tag="mail")):
        with pytest.raises(BadSignature):
            accept(headers)


def test_a_signature_that_never_expires_is_refused() -> None:
    with pytest.raises(BadSignature, match="expires"):
        accept(foreign(expires=None))


def test_the_standards_own_verifier_understands_us() -> None:
    class Timeless(HTTPMessageVerifier):
        def validate_created_and_expires(self, sig_input: object, max_age: object = None) -> None:
            pass

    verifier = Timeless(
        signature_algorithm=ED25519,
        key_resolver=MappingKeyResolver(
            public_keys={bank: key.public_key() for bank, key in KEYS.items()}, private_keys={}
        ),
    )
    asked = SimpleNamespace(method="POST", url="https://bank.example/peer/v1/messages", headers=request())
    verifier.verify(asked, expect_tag=TAG, body=BODY, require_components=COVERED)

    signed = seal(B).verify_request(asked.headers.items(), NOW)
    answered = SimpleNamespace(
        status_code=200, request=asked, headers=seal(B).sign_response(signed, b"answer", NOW)
    )
    verifier.verify(
        answered, expect_tag=TAG, body=b"answer", require_components=("@status", '"signature";req')
    )


# Responses.


def respond(
    headers: dict[str, str], body: bytes = b"answer", bank: Ispb = B, now: int = NOW
) -> dict[str, str]:
    return seal(bank).sign_response(seal(B).verify_request(headers.items(), NOW), body, now)


def check(
    asked: dict[str, str],
    answered: dict[str, str],
    body: bytes = b"answer",
    status: int = 200,
    now: int = NOW,
) -> None:
    seal(A).verify_response(asked, status, answered.items(), body, now)


def test_the_peers_answer_is_accepted() -> None:
    check(request(), respond(request()))


def test_an_answer_to_another_request_is_refused() -> None:
    with pytest.raises(BadSignature):
        check(request(), respond(request(b"another question")))


def test_an_answer_by_another_member_is_refused() -> None:
    with pytest.raises(BadSignature, match="another bank"):
        check(request(), respond(request(), bank=C))


def test_an_answer_meant_for_another_bank_is_refused() -> None:
    asked = seal(C).sign_request(B, BODY, NOW)
    with pytest.raises(BadSignature):
        check(asked, respond(asked))


Spoil = Callable[[dict[str, str]], None]
SPOILS: dict[str, Spoil] = {
    "an altered body": lambda answer: check(request(), answer, b"other"),
    "another status": lambda answer: check(request(), answer, status=500),
    "expired": lambda answer: check(request(), answer, now=NOW + WINDOW_S + 1),
    "from the future": lambda answer: check(request(), answer, now=NOW - WINDOW_S - 1),
    "unsigned": lambda answer: check(request(), {}),
    "a request in place of an answer": lambda answer: check(request(), request()),
    "another sender": lambda answer: check(request(), answer | {"ciranda-sender": C}),
    "another receiver": lambda answer: check(request(), answer | {"ciranda-receiver": C}),
    "another digest": lambda answer: check(
        request(), answer | {"content-digest": respond(request(), b"o")["content-digest"]}, b"o"
    ),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_an_answer_is_refused_when_it_is(spoil: Spoil) -> None:
    with pytest.raises(BadSignature):
        spoil(respond(request()))


def test_what_is_read_here_is_what_the_library_reads() -> None:
    """The short way and the long way say the same of our own form."""
    reader = seal(B)
    fields = {name.lower(): value for name, value in request().items()}
    derived = {'"@method"': METHOD, '"@path"': PATH}
    covering = " ".join(f'"{name}"' for name in COVERED)
    ours = reader._read_our_form(fields, derived, covering)
    covered, parameters = reader._read_any_form(fields, derived, covering)
    assert ours is not None
    assert ours[0].items() <= dict(covered).items()
    assert all(parameters[name] == value for name, value in ours[1].items())


# Anything at all.

texts = st.text(max_size=60) | st.sampled_from(
    [
        "ciranda=1",
        "ciranda=()",
        "ciranda=::",
        f'ciranda=("@status");tag="{TAG}"',
        f'a=("a" "b";sf;key="x");tag="{TAG}";created=1',
        f'a=(1 2);tag="{TAG}"',
        f'a=("@method";req);keyid=1;tag="{TAG}"',
        f'a=("@method");keyid="{A}";created=1e9;tag="{TAG}"',
        "a=:AAAA:",
        f'ciranda=("@method");created=1;expires=2;nonce="a\\"b";keyid="{A}";tag="{TAG}"',
        f'ciranda=("@method");created=9999999999999999;expires=-1;nonce=:AA==:;keyid="{A}";tag="{TAG}"',
        "sha-256=:AAAA:, sha-256=:AAAA:",
        "\u00b2\u0663\ud800",
    ]
)


@given(st.dictionaries(st.sampled_from(sorted(request())), texts))
def test_any_headers_are_refused_with_one_exception(damage: dict[str, str]) -> None:
    for headers in (damage, request() | damage):
        if headers != request():
            with pytest.raises(BadSignature):
                accept(headers)
            with pytest.raises(BadSignature):
                check(request(), headers)


@given(st.data())
def test_a_request_with_any_character_altered_is_refused_or_is_the_same_request(data: st.DataObject) -> None:
    headers = seal(A).sign_request(B, BODY, NOW)
    original = seal(B).verify_request(headers.items(), NOW).mark
    name = data.draw(st.sampled_from(sorted(headers)))
    place = data.draw(st.integers(0, len(headers[name]) - 1))
    altered = data.draw(st.characters() | st.sampled_from('A=:;",()\n\x00'))
    changed = headers | {name: headers[name][:place] + altered + headers[name][place + 1 :]}
    with contextlib.suppress(BadSignature):
        read = seal(B).verify_request(changed.items(), NOW)
        read.check_body(BODY)
        assert (read.sender, read.mark) == (A, original)
