"""A consortium's roster for tests in which only the members' keys matter."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.identity import Ispb
from ciranda.roster import Member, Roster


def roster_of(keys: Mapping[Ispb, Ed25519PrivateKey], peer_url: str = "http://127.0.0.1") -> Roster:
    """`peer_url`: of all of them."""
    return Roster(
        name="Circle",
        currency="BRL",
        version=1,
        witnesses=1,
        deadline_ms=5_000,
        members={
            bank: Member(
                ispb=bank,
                name=f"Bank {bank}",
                slug=bank,
                public_url="http://127.0.0.1",
                peer_url=peer_url,
                public_key=key.public_key().public_bytes_raw(),
                credit_limit=0,
            )
            for bank, key in keys.items()
        },
    )
