"""Where a request comes from. A proxy's word for it is taken only where the bank's settings name the proxy.

`X-Forwarded-For` grows to the right, each proxy adding whom it heard from; so it is read from the right, and whatever
stands left of the first that no proxy of ours vouches for was written by somebody else.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from litestar.connection import ASGIConnection

from ciranda.node.attempts import Origin

Connection = ASGIConnection[Any, Any, Any, Any]
Address = IPv4Address | IPv6Address
Proxies = tuple[IPv4Network | IPv6Network, ...]

AGENT_MAX = 120
HOPS_MAX = 20
ADDRESSES_KEPT = 4_096
"""The same ones come again and again."""


def origin_of(connection: Connection) -> Origin:
    return origin_in(connection.scope, connection.app.state.trusted_proxies)


def origin_in(scope: Mapping[str, Any], proxies: Proxies) -> Origin:
    """Of a request as ASGI describes it."""
    agents = [value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"]
    return Origin(address=address_in(scope, proxies), agent=_agent(agents[-1] if agents else ""))


def address_in(scope: Mapping[str, Any], proxies: Proxies) -> Address | None:
    client = scope.get("client")
    # Whom nobody vouches for said nothing that is worth reading.
    forwarded = _forwarded(scope) if proxies else ""
    return address_of(client[0] if client else "", forwarded, proxies)


def _forwarded(scope: Mapping[str, Any]) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")


def address_of(peer: str, forwarded: str, proxies: Proxies) -> Address | None:
    """`peer`: who is at the other end of the connection; `forwarded`: the values of X-Forwarded-For."""
    address = _parsed(peer)
    hops = forwarded.split(",")[-HOPS_MAX:] if forwarded else []
    while hops and address is not None and any(address in network for network in proxies):
        before = _parsed(hops.pop().strip())
        if before is None:
            break
        address = before
    return address


@lru_cache(ADDRESSES_KEPT)
def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # An IPv4 client of a socket that speaks both.
    return getattr(address, "ipv4_mapped", None) or address


def _agent(text: str) -> str | None:
    return "".join(letter for letter in text if letter.isascii() and letter.isprintable())[:AGENT_MAX] or None
