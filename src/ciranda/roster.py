"""The roster: the consortium's members, with their addresses, keys and settings. Every bank has the same one."""

import msgspec

from ciranda.identity import Ispb


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


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    currency: str
    version: int
    witnesses: int
    deadline_ms: int
    members: dict[Ispb, Member]

    def peers_of(self, bank: Ispb) -> list[Member]:
        return [member for ispb, member in self.members.items() if ispb != bank]
