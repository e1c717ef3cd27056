"""What is held against a bank must be its own word: anybody can make a key, and sign with it."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from ciranda.chain import Copy, SignedHead
from ciranda.cli import chains
from ciranda.identity import Ispb
from ciranda.instant import Instant
from ciranda.settings import raw_public
from ciranda.storage.proof import Found, Proof, What

A, B = Ispb("10000001"), Ispb("10000002")


def signed(key: Ed25519PrivateKey) -> Copy:
    head = SignedHead(bank=A, number=3, hash=b"1" * 32, at=Instant(5_000), public_key=raw_public(key))
    return Copy(holder=B, head=replace(head, signature=key.sign(head.text)))


def test_a_head_under_an_unknown_key_is_told_but_is_no_proof_against_the_bank() -> None:
    copy = signed(Ed25519PrivateKey.generate())
    altered = Found(what=What.ALTERED, folio=3, table="entries", key=("x",))
    against = Found(what=What.HEAD, folio=3, at=Instant(5_000), holder=B)
    whole = Proof(bank=A, head=9, hash="", at=Instant(0), rows=1, copies=1, found=[altered, against], more=0)
    weighed, unproven = chains._weighed(whole, [copy])
    assert (weighed.found, unproven) == ([altered], [against])
    assert chains._weighed(whole, []) == (whole, [])
    nothing = chains.Chains(
        proofs=[replace(whole, found=[])], unread={}, unsigned=[], unknown=[], unproven=unproven
    )
    assert nothing.code == 2
    crowded = replace(nothing, proofs=[replace(whole, found=[], more=1)])
    assert crowded.code == 1
