"""A bank's hand under the heads of its chain: an Ed25519 signature that stands by itself, and can be shown to anybody.

Messages between banks are signed too, but that says only who spoke, to whoever heard it. This signature is kept.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from ciranda.chain import SignedHead
from ciranda.identity import Ispb
from ciranda.instant import Instant
from ciranda.roster import Roster


class Hand:
    """The port Hand."""

    def __init__(self, own: Ispb, roster: Roster, key: Ed25519PrivateKey) -> None:
        self._own = own
        self.change(roster, key)

    def change(self, roster: Roster, key: Ed25519PrivateKey) -> None:
        """Signs with this key from now on, and knows these members and no others."""
        self._roster = roster
        self._key = key
        self._public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, number: int, hash: bytes, at: Instant) -> SignedHead:
        head = SignedHead(bank=self._own, number=number, hash=hash, at=at, public_key=self._public_key)
        return replace(head, signature=self._key.sign(head.text))

    def is_of_member(self, head: SignedHead) -> bool:
        return is_known(head, self._roster) and is_signed(head)


def is_known(head: SignedHead, roster: Roster) -> bool:
    """Whether the key that the head names is one of its bank's."""
    member = roster.members.get(head.bank)
    return member is not None and head.public_key in member.public_keys


def is_signed(head: SignedHead) -> bool:
    """Whether whoever has the key that the head names has signed it."""
    try:
        Ed25519PublicKey.from_public_bytes(head.public_key).verify(head.signature, head.text)
    except (InvalidSignature, ValueError):
        return False
    return True
