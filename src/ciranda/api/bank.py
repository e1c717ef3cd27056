"""`/v1/bank`: what anyone may know of this bank."""

from typing import Any

import msgspec
from litestar import Request, Response, get

from ciranda.api.answers import describe, ok
from ciranda.api.caller import node_of


class PeerView(msgspec.Struct, frozen=True, kw_only=True):
    ispb: str
    name: str
    reachable: bool


class BankView(msgspec.Struct, frozen=True, kw_only=True):
    ispb: str
    name: str
    consortium: str
    currency: str
    peers: list[PeerView]


@get("/v1/bank", opt=describe(answers={200: BankView}, public=True))
async def show_bank(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The bank, its consortium, and which peers it can reach."""
    node = node_of(request)
    roster = node.bank.roster
    return ok(
        BankView(
            ispb=node.bank.ispb,
            name=roster.members[node.bank.ispb].name,
            consortium=roster.name,
            currency=roster.currency,
            peers=[
                PeerView(ispb=peer.ispb, name=peer.name, reachable=node.peers.reachable(peer.ispb))
                for peer in roster.peers_of(node.bank.ispb)
                if roster.has(peer.ispb)
            ],
        )
    )
