"""What a client asks for: transfers, alone or in the payments of a batch."""

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transfer, as a client orders it; `amount` in centavos."""

    source: str
    target: str
    amount: int
    mandate: str | None = None
    """The token of the source's mandate, when the source is at another bank and not linked."""


class BatchedPayment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One payment of a batch; each happens or not by itself."""

    key: str
    transfers: list[Order]
    description: str | None = None
    reference: str | None = None
