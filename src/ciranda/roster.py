"""The roster: the consortium's members, with their addresses, keys and settings. Every bank has the same one.

A member stays in it from before its first payment with the others until after its last: `Standing` says how far it is.
Whoever is in the roster at all is heard, so that what was begun can be finished; only a `member` is dealt with anew.
"""

from typing import Literal

import msgspec

from ciranda.identity import Ispb

Standing = Literal["joining", "member", "left"]
"""`joining`: known to the others, which may come to know it one after another. `left`: nothing new is begun with it."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    ispb: Ispb
    name: str
    slug: str
    public_url: str
    peer_url: str
    public_key: bytes
    """Ed25519, 32 raw bytes."""
    credit_limit: int
    """What each peer lets this bank owe it at most, in minor units, unless the peer sets its own figure."""
    next_public_key: bytes | None = None
    """The key that it is about to sign with: both are its own until the first is taken out."""
    standing: Standing = "member"

    @property
    def public_keys(self) -> tuple[bytes, ...]:
        """All keys that it may sign with, the present one first."""
        return (self.public_key,) if self.next_public_key is None else (self.public_key, self.next_public_key)


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    currency: str
    version: int
    """It grows with every change."""
    witnesses: int
    deadline_ms: int
    members: dict[Ispb, Member]
    """All that are known, whatever their standing."""

    def peers_of(self, bank: Ispb) -> list[Member]:
        return [member for ispb, member in self.members.items() if ispb != bank]

    def has(self, bank: Ispb) -> bool:
        """Whether new payments may touch it."""
        member = self.members.get(bank)
        return member is not None and member.standing == "member"

    @property
    def present(self) -> list[Ispb]:
        """The banks that new payments may touch, and that may be their witnesses."""
        return [ispb for ispb, member in self.members.items() if member.standing == "member"]
