"""Links: one's accounts at other banks, seen and spent from this one.

The mandate's token that makes a link work is kept sealed, bound to its owner and account.
"""

import asyncio
from typing import cast

import msgspec
import structlog

from ciranda.agreement.message import AccountShown, FindPayee, Payee, ShowAccount
from ciranda.engine.bank import Bank
from ciranda.engine.input import MakeLink, RemoveLink
from ciranda.engine.key import Claim
from ciranda.engine.link import Link
from ciranda.engine.reply import DenialCode, Denied, LinkMade
from ciranda.identity import Address, Document, bank_of
from ciranda.node.answers import Answers
from ciranda.node.batches import Batches
from ciranda.node.order import LinkOrder
from ciranda.node.seal import Seal
from ciranda.ports import Clock, Peers, PeerUnreachable, Store

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOOK_TIMEOUT_MS = 2_000


class LinkedAccount(msgspec.Struct, frozen=True, kw_only=True):
    link: Link
    account: AccountShown
    """As its bank shows it now; or as it did when it was linked, without balances, if it cannot be asked."""
    reachable: bool


class Linking:
    def __init__(
        self,
        bank: Bank,
        store: Store,
        batches: Batches,
        peers: Peers,
        answers: Answers,
        clock: Clock,
        seal: Seal,
    ) -> None:
        self._bank = bank
        self._store = store
        self._batches = batches
        self._peers = peers
        self._answers = answers
        self._clock = clock
        self._seal = seal

    async def payee(self, address: Address) -> Payee | None:
        """Any account of the consortium, as one may see it before paying. Raises PeerUnreachable."""
        bank = bank_of(address)
        if bank == self._bank.ispb:
            return await self._answers.payee(address)
        if not self._bank.deals_with(bank):
            return None
        answer = await self._peers.ask(bank, FindPayee(account=address), LOOK_TIMEOUT_MS)
        return answer if isinstance(answer, Payee) else None

    async def make(self, order: LinkOrder, claim: Claim | None) -> AccountShown | Denied:
        """Raises PeerUnreachable."""
        bank = bank_of(order.account)
        if not self._bank.deals_with(bank):
            return Denied(code=DenialCode.UNKNOWN_BANK)
        if bank == self._bank.ispb:
            # One's accounts in this bank need no link.
            return Denied(code=DenialCode.NOT_PERMITTED)
        question = ShowAccount(account=order.account, mandate=order.token, payer=order.caller)
        shown = await self._peers.ask(bank, question, LOOK_TIMEOUT_MS)
        if not isinstance(shown, AccountShown):
            return Denied(code=DenialCode.NOT_PERMITTED)
        link = Link(
            owner=order.caller,
            account=order.account,
            sealed=self._seal.close(order.token.encode(), _bond(order.caller, order.account)),
            scopes=shown.scopes,
            shown=msgspec.json.encode(shown),
            created_at=self._clock.now(),
        )
        reply = await self._batches.offer(MakeLink(claim=claim, link=link))
        match reply:
            case LinkMade(link=made):
                return _as_linked(made)
            case _:
                return cast(Denied, reply)

    async def remove(self, owner: Document, account: Address) -> Denied | None:
        reply = await self._batches.offer(RemoveLink(owner=owner, account=account))
        return reply if isinstance(reply, Denied) else None

    async def accounts(self, owner: Document) -> list[LinkedAccount]:
        """All linked accounts, each bank asked at the same time."""
        links = await self._store.links_of(owner)
        return await asyncio.gather(*(self._linked(link) for link in links))

    async def tokens(self, owner: Document) -> dict[Address, str]:
        """The mandates with which the owner's linked accounts can be spent."""
        links = await self._store.links_of(owner)
        opened = {link.account: self._open(link) for link in links if "pay" in link.scopes}
        return {account: token for account, token in opened.items() if token is not None}

    async def _linked(self, link: Link) -> LinkedAccount:
        token, bank = self._open(link), bank_of(link.account)
        if token is None:
            return LinkedAccount(link=link, account=_without_balances(link), reachable=False)
        question = ShowAccount(account=link.account, mandate=token, payer=link.owner)
        try:
            answer = await self._peers.ask(bank, question, LOOK_TIMEOUT_MS)
        except PeerUnreachable:
            return LinkedAccount(link=link, account=_without_balances(link), reachable=False)
        if isinstance(answer, AccountShown):
            return LinkedAccount(link=link, account=answer, reachable=True)
        return LinkedAccount(
            link=link, account=_without_balances(link), reachable=self._peers.reachable(bank)
        )

    def _open(self, link: Link) -> str | None:
        """None if the bank's secret has changed since: then the link must be made again."""
        token = self._seal.open(link.sealed, _bond(link.owner, link.account))
        if token is None:
            log.warning("link_cannot_be_opened", account=link.account)
        return None if token is None else token.decode()


def _bond(owner: Document, account: Address) -> str:
    return f"{owner}.{account}"


def _as_linked(link: Link) -> AccountShown:
    return msgspec.json.decode(link.shown, type=AccountShown)


def _without_balances(link: Link) -> AccountShown:
    return msgspec.structs.replace(_as_linked(link), balance=None, held=None, available=None)
