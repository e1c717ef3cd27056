"""`/v1/payees`: whose account is this? What one checks before paying."""

from typing import Any

import msgspec
from litestar import Request, Response, get

from ciranda.api import body
from ciranda.api.answers import describe, ok, stop
from ciranda.api.caller import anyone_known, node_of
from ciranda.identity import bank_of
from ciranda.ports import PeerUnreachable


class PayeeView(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    bank: str
    name: str
    """Masked by the bank that holds the account."""
    kind: str


@get(
    "/v1/payees/{address:str}",
    guards=[anyone_known],
    opt=describe(answers={200: PayeeView}, problems=(404,)),
)
async def show_payee(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Any account of the consortium, as a stranger may see it."""
    node = node_of(request)
    account = body.address_in_path(request)
    try:
        payee = await node.payee(account)
    except PeerUnreachable:
        stop("unavailable", "The account's bank cannot be reached now.")
    if payee is None:
        stop("not_found")
    bank = node.bank.roster.members[bank_of(account)].name
    return ok(PayeeView(address=payee.account, bank=bank, name=payee.name, kind=payee.kind))
