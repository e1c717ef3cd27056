"""A link: a customer's account at another bank, seen and spent from this one."""

import msgspec

from ciranda.identity import Address, Document
from ciranda.instant import Instant


class Link(msgspec.Struct, frozen=True, kw_only=True):
    owner: Document
    account: Address
    sealed: bytes
    """The mandate's token, encrypted under a secret of the bank."""
    scopes: tuple[str, ...]
    shown: bytes
    """The account as its bank showed it when the link was made, in JSON."""
    created_at: Instant
