"""A customer: a person or a company known to this bank."""

import msgspec

from ciranda.identity import Address, Document
from ciranda.instant import Instant


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    document: Document
    name: str
    individual: Address | None
    """The person's one individual account in this bank, once it is opened."""
    created_at: Instant
