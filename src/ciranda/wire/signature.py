"""Who says so: HTTP message signatures (RFC 9421, Ed25519) on every request between banks, and on every answer.

The law of this file (PROTOCOL 2.2): **a message counts only if a member of the roster signed it, for us, and, if it
is an answer, for the very request that we sent.**

A request's signature covers its method, its path, the digest of its body (RFC 9530) and the names of both banks. A
response's covers its status, digest and banks, and the request's signature: an honest answer to one request cannot be
passed off as the answer to another.

`@authority` and `@scheme` are left out on purpose. A bank may stand behind a proxy that ends TLS and renames the
host, and neither side can then know what the other saw. What they would prove, that the message is meant for *this*
bank, `ciranda-receiver` proves better: it names the bank, wherever it listens. `@path` is the path as the receiving
bank sees it, so a proxy may serve it under a prefix.

The times in a signature bound how long a copy of it must be remembered (`replay.py`). All questions are idempotent,
and no promise of the agreement rests on a clock. So the window is wide, five minutes to each side, and a clock that is
wrong by less does no harm. A `nonce` sets two requests apart that say the same in the same second.

A member has one key, or two while it changes from one to the other. Either is as good, and which one signed is of no
interest to anybody.

What we write is one fixed text; it is written here, which is several times as fast as in general, and a text in that
very form is read here too. Anything else may come as well, and that is left to the library, which also holds us to the
standard: it reads what we write.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import count
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    MappingKeyResolver,
    VerifyResult,
)
from http_message_signatures.algorithms import ED25519
from http_message_signatures.digests import ContentDigest

from ciranda.identity import Ispb
from ciranda.roster import Roster

METHOD = "POST"
PATH = "/peer/v1/messages"
TAG = "ciranda-peer"
WINDOW_S = 300

_REQUEST = '"@method" "@path" "content-digest" "ciranda-sender" "ciranda-receiver"'
_RESPONSE = '"@status" "content-digest" "ciranda-sender" "ciranda-receiver" "signature";req'


_OUR_INPUT = re.compile(
    r"ciranda=(?P<params>\((?P<covering>[^()]*)\)"
    r";created=(?P<created>[0-9]{1,12});expires=(?P<expires>[0-9]{1,12})"
    r'(?:;nonce="(?P<nonce>[A-Za-z0-9_.-]{1,64})")?'
    rf';keyid="(?P<keyid>[0-9A-Z]{{8}})";tag="{TAG}")'
)
_OUR_SIGNATURE = re.compile(r"ciranda=:([A-Za-z0-9+/]{86}==):")


class BadSignature(Exception):
    """Not signed, not by a member, not for us, not for this request, not now, or not this body."""


class SignedRequest:
    """A request whose headers a member signed. Its body is still to be read, and then to be checked."""

    def __init__(
        self, sender: Ispb, signature: str, digest: str, created: int, mark: tuple[object, ...]
    ) -> None:
        self.sender = sender
        self.signature = signature
        self.created = created
        """Seconds since 1970, by the sender's clock."""
        self.mark = mark
        """What of the signed text tells it from every other one that the sender signed in that second."""
        self._digest = digest

    def check_body(self, body: bytes) -> None:
        """Raises BadSignature if it is not the body that was signed."""
        _check_digest(self._digest, body)


class Seal:
    """One bank's hand and eye: it signs as `own`, and knows every member's signature."""

    def __init__(self, own: Ispb, key: Ed25519PrivateKey, roster: Roster, nonces: str = "") -> None:
        """`nonces`: what the nonces of requests begin with; no two Seals of a bank that ask may have the same."""
        self._own = own
        self._nonces = nonces
        self._count = count()
        self.change(key, roster)

    def change(self, key: Ed25519PrivateKey, roster: Roster) -> None:
        """Signs with this key from now on, and knows these members and no others."""
        self._key = key
        self._keys = {
            str(member.ispb): tuple(map(Ed25519PublicKey.from_public_bytes, member.public_keys))
            for member in roster.members.values()
        }
        self._verifiers = [
            _Verifier(
                signature_algorithm=ED25519,
                key_resolver=MappingKeyResolver(public_keys=keys, private_keys={}),
                component_resolver_class=_Components,
            )
            for keys in (
                {bank: keys[0] for bank, keys in self._keys.items()},
                {bank: keys[1] for bank, keys in self._keys.items() if len(keys) > 1},
            )
            if keys
        ]

    def sign_request(self, receiver: Ispb, body: bytes, now: int) -> dict[str, str]:
        """The headers that make `body` a request to `receiver`. `now` is in seconds since 1970, here and below."""
        digest = _digest(body)
        lines = (
            f'"@method": {METHOD}\n"@path": {PATH}\n"content-digest": {digest}\n'
            f'"ciranda-sender": {self._own}\n"ciranda-receiver": {receiver}\n'
        )
        nonce = f';nonce="{self._nonces}.{next(self._count):x}"'
        return self._headers(receiver, digest, lines, _REQUEST, now, nonce)

    def verify_request(self, headers: Iterable[tuple[str, str]], now: int) -> SignedRequest:
        """Of a request with `METHOD` to `PATH`. It needs no body, so strangers need not be listened to at length.

        Raises BadSignature.
        """
        fields = _fields(headers)
        covered, parameters = self._verify(fields, {'"@method"': METHOD, '"@path"': PATH}, _REQUEST, now)
        digest = covered['"content-digest"']
        return SignedRequest(
            sender=Ispb(covered['"ciranda-sender"']),
            signature=fields["signature"],
            digest=digest,
            created=int(parameters["created"]),
            # Not the headers' text: what is not covered, such as the label, a thief can alter.
            mark=(digest, parameters["expires"], parameters.get("nonce")),
        )

    def sign_response(self, request: SignedRequest, body: bytes, now: int) -> dict[str, str]:
        """The headers that make `body` the answer, with status 200, to `request`."""
        digest = _digest(body)
        lines = (
            f'"@status": 200\n"content-digest": {digest}\n'
            f'"ciranda-sender": {self._own}\n"ciranda-receiver": {request.sender}\n'
            f'"signature";req: {request.signature}\n'
        )
        return self._headers(request.sender, digest, lines, _RESPONSE, now)

    def verify_response(
        self,
        request: Mapping[str, str],
        status: int,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        now: int,
    ) -> None:
        """`request`: the headers that `sign_request` gave. Raises BadSignature."""
        derived = {'"@status"': str(status), '"signature";req': request["signature"]}
        covered, _ = self._verify(_fields(headers), derived, _RESPONSE, now)
        if covered['"ciranda-sender"'] != request["ciranda-receiver"]:
            raise BadSignature("another bank answered")
        _check_digest(covered['"content-digest"'], body)

    def _headers(
        self, receiver: Ispb, digest: str, lines: str, covering: str, now: int, nonce: str = ""
    ) -> dict[str, str]:
        params = f'({covering});created={now};expires={now + WINDOW_S}{nonce};keyid="{self._own}";tag="{TAG}"'
        signature = self._key.sign(f'{lines}"@signature-params": {params}'.encode("ascii"))
        return {
            "content-digest": digest,
            "ciranda-sender": self._own,
            "ciranda-receiver": receiver,
            "signature-input": f"ciranda={params}",
            "signature": f"ciranda=:{base64.b64encode(signature).decode()}:",
        }

    def _verify(
        self, fields: dict[str, str], derived: dict[str, str], covering: str, now: int
    ) -> tuple[dict[str, str], Mapping[str, int | str]]:
        """The values that are covered, by the names of their components, all of `covering` among them; and the
        signature's parameters."""
        covered, parameters = self._read_our_form(fields, derived, covering) or self._read_any_form(
            fields, derived, covering
        )
        if covered['"ciranda-sender"'] != parameters["keyid"]:
            raise BadSignature("one bank's message under another bank's signature")
        if covered['"ciranda-receiver"'] != self._own:
            raise BadSignature("addressed to another bank")
        _check_times(parameters, now)
        return covered, parameters

    def _read_our_form(
        self, fields: dict[str, str], derived: dict[str, str], covering: str
    ) -> tuple[dict[str, str], Mapping[str, int | str]] | None:
        """What is covered, and the signature's parameters; None if it is not written as `_headers` writes."""
        input = _OUR_INPUT.fullmatch(fields.get("signature-input", ""))
        signature = _OUR_SIGNATURE.fullmatch(fields.get("signature", ""))
        if input is None or signature is None or input["covering"] != covering:
            return None
        covered: dict[str, str] = {}
        for name in covering.split(" "):
            value = derived.get(name, fields.get(name.strip('"')))
            if value is None:
                raise BadSignature(f"covered, but not there: {name}")
            covered[name] = value
        lines = "".join([f"{name}: {value}\n" for name, value in covered.items()])
        keys = self._keys.get(input["keyid"])
        if keys is None:
            raise BadSignature("signed by no member")
        try:
            text = f'{lines}"@signature-params": {input["params"]}'.encode("ascii")
        except UnicodeEncodeError as error:
            raise BadSignature("the signature is not the member's") from error
        if not _signed(base64.b64decode(signature[1]), text, keys):
            raise BadSignature("the signature is not the member's")
        parameters: dict[str, int | str] = {
            "created": int(input["created"]),
            "expires": int(input["expires"]),
            "keyid": input["keyid"],
        }
        if input["nonce"] is not None:
            parameters["nonce"] = input["nonce"]
        return covered, parameters

    def _read_any_form(
        self, fields: dict[str, str], derived: dict[str, str], covering: str
    ) -> tuple[dict[str, str], Mapping[str, int | str]]:
        results = self._verified_by_library(_Message(fields, derived))
        if len(results) != 1:
            raise BadSignature("more than one signature")
        result: VerifyResult = results[0]
        covered = result.covered_components
        if not covered.keys() >= set(covering.split(" ")):
            raise BadSignature("the signature does not cover all that it must")
        return covered, result.parameters

    def _verified_by_library(self, message: "_Message") -> list[VerifyResult]:
        why: HTTPMessageSignaturesException | None = None
        for verifier in self._verifiers:
            try:
                return verifier.verify(message, max_age=None, expect_tag=TAG)
            except HTTPMessageSignaturesException as error:
                why = why or error
        raise BadSignature(str(why)) from why


class _Message:
    """What the library wants to see of a message."""

    def __init__(self, fields: dict[str, str], derived: dict[str, str]) -> None:
        # The library goes through all headers in search of these two; the others only cost time.
        self.headers = {name: fields[name] for name in ("signature-input", "signature") if name in fields}
        self.fields = fields
        self.derived = derived


class _Components:
    """Looks up what a signature covers. The library's own resolver parses a URL that we do not have."""

    def __init__(self, message: _Message) -> None:
        self._message = message

    def resolve(self, component: Any) -> str:
        name = str(component)
        value = self._message.derived.get(name)
        if value is None and not component.params:
            value = self._message.fields.get(component.value)
        if value is None:
            raise HTTPMessageSignaturesException(f"covered, but not there: {name}")
        return value


class _Verifier(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """The library reads the clock of the machine; we are given the time, and check in `_check_times`."""


def _signed(signature: bytes, text: bytes, keys: tuple[Ed25519PublicKey, ...]) -> bool:
    for key in keys:
        try:
            key.verify(signature, text)
        except InvalidSignature:
            continue
        return True
    return False


def _check_times(parameters: Mapping[str, int | str], now: int) -> None:
    created, expires = parameters.get("created"), parameters.get("expires")
    if not isinstance(created, int) or not isinstance(expires, int):
        raise BadSignature("the signature does not say when it was made and when it expires")
    if expires > created + WINDOW_S:
        raise BadSignature("signed for longer than it could be remembered")
    if created > now + WINDOW_S:
        raise BadSignature("signed in the future: one of our clocks is wrong")
    if expires < now:
        raise BadSignature("expired, or one of our clocks is wrong")


def _digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"


def _check_digest(digest: str, body: bytes) -> None:
    try:
        ContentDigest.verify(digest, body)
    except HTTPMessageSignaturesException as error:
        raise BadSignature(str(error)) from error


def _fields(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By name in lower case; lines of one name are joined, as RFC 9421 2.1 wants it."""
    fields: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        value = value.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
