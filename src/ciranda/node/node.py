"""One bank's node: what its doors (the API, the peers' listener) may ask of it.

Every method raises Unavailable when the database is away and Overloaded when too much is under way; then nothing was
recorded, or asking again with the same key finds what was.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, cast

import msgspec
import structlog

from ciranda.agreement.message import AccountShown, Payee
from ciranda.engine.approval import Approval, Subject
from ciranda.engine.bank import Bank
from ciranda.engine.input import (
    Approve,
    Begin,
    ChangeAccount,
    Decline,
    Expire,
    GiveMandate,
    OpenAccount,
    RevokeMandate,
)
from ciranda.engine.key import KEPT_MS, Claim
from ciranda.engine.mandate import Mandate, token_of
from ciranda.engine.record import Record
from ciranda.engine.reply import AccountMade, DenialCode, Denied, MandateMade
from ciranda.identity import (
    ALPHANUMERICS,
    VAULT,
    Address,
    Document,
    EndToEndId,
    Ispb,
    bank_of,
    make_address,
    make_end_to_end_id,
)
from ciranda.instant import Instant, later
from ciranda.ledger.account import Account
from ciranda.node.answers import Answers
from ciranda.node.batches import Batches
from ciranda.node.coordinator import Coordinator
from ciranda.node.heights import HeightKeeper
from ciranda.node.linking import LinkedAccount, Linking
from ciranda.node.order import AccountOrder, LinkOrder, MandateOrder, Once, PaymentOrder
from ciranda.node.people import People
from ciranda.node.recovery import Recovery
from ciranda.node.seal import Seal
from ciranda.payment import Kind, banks_of
from ciranda.ports import Clock, Dice, Peers, Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BRANCH = "0001"
ACCOUNT_DIGITS = 8
NUMBER_TRIES = 5
KEYS_EVERY_S = 600.0
EXPIRE_EVERY_S = 30.0
EXPIRE_AT_ONCE = 500


class Node:
    def __init__(
        self,
        *,
        bank: Bank,
        store: Store,
        peers: Peers,
        batches: Batches,
        coordinator: Coordinator,
        recovery: Recovery,
        answers: Answers,
        linking: Linking,
        people: People,
        heights: HeightKeeper,
        seal: Seal,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self.bank = bank
        self.store = store
        self.peers = peers
        self.people = people
        self.batches = batches
        self.answers = answers
        self._coordinator = coordinator
        self._recovery = recovery
        self._linking = linking
        self._heights = heights
        self._seal = seal
        self._clock = clock
        self._dice = dice
        self._tasks: list[asyncio.Task[None]] = []

    # Payments.

    async def pay(self, order: PaymentOrder) -> Record | Denied:
        """The payment as it stands once it is decided, or once its client has waited long enough."""
        return await self._coordinator.pay(await self._begin(order))

    async def pay_all(self, orders: Sequence[PaymentOrder]) -> list[Record | Denied]:
        """Many payments, each atomic by itself, in the same order."""
        begins = [await self._begin(order) for order in orders]
        return await self._coordinator.pay_all(begins)

    async def _begin(self, order: PaymentOrder, id: EndToEndId | None = None) -> Begin:
        own, now = self.bank.ispb, self._clock.now()
        others = banks_of(order.transfers, own) - {own}
        id = id or self._new_id(now)
        return Begin(
            id=id,
            kind=order.kind,
            claim=None if order.once is None else _claim(order.once, order.caller),
            caller=order.caller,
            transfers=order.transfers,
            tokens=await self._tokens(order),
            salts=tuple(f"{self._dice.bits(128):032x}" for _ in order.transfers)
            if others
            else ("",) * len(order.transfers),
            description=order.description,
            reference=order.reference,
            deadline=later(now, self.bank.roster.deadline_ms),
            unreachable=self._down() if others else frozenset(),
            sealed=self._sealed(id, order),
        )

    def _sealed(self, id: EndToEndId, order: PaymentOrder) -> bytes | None:
        """The tokens that the client gave, if the payment is one that may have to wait; the linked ones are kept."""
        waits = any(bank_of(transfer.source) == self.bank.ispb for transfer in order.transfers)
        if order.once is None or not waits or not any(order.tokens):
            return None
        return self._seal.close(msgspec.json.encode(order.tokens), id)

    def _down(self) -> frozenset[Ispb]:
        peers = self.bank.roster.peers_of(self.bank.ispb)
        return frozenset(peer.ispb for peer in peers if not self.peers.reachable(peer.ispb))

    async def _tokens(self, order: PaymentOrder) -> tuple[str | None, ...]:
        """The tokens that the client gave, and those of its linked accounts."""
        own, caller = self.bank.ispb, order.caller
        missing = order.kind is Kind.PAYMENT and any(
            token is None and transfer.source != VAULT and bank_of(transfer.source) != own
            for transfer, token in zip(order.transfers, order.tokens, strict=True)
        )
        if not missing or caller is None:
            return order.tokens
        linked = await self._linking.tokens(caller)
        return tuple(
            token or linked.get(Address(transfer.source))
            for transfer, token in zip(order.transfers, order.tokens, strict=True)
        )

    def _new_id(self, now: Instant) -> EndToEndId:
        """The millisecond first, so that ids sort by time and new rows stand together; then 53 random bits or so."""
        within_minute = now % 60_000
        tail = _base62(within_minute, 3) + _base62(self._dice.bits(47), 8)
        return make_end_to_end_id(self.bank.ispb, now, tail)

    # What needs the signatures of all holders.

    async def approve_payment(self, caller: Document, id: EndToEndId) -> Record | Denied:
        """With the last approval it begins, and this is like `pay`."""
        record, approval = await self.store.payment(id), await self.approval(id)
        if record is None or approval is None:
            return Denied(code=DenialCode.NOT_FOUND)
        order = PaymentOrder(
            once=None,
            kind=record.kind,
            caller=record.payer,
            transfers=tuple(clause.transfer for clause in record.clauses),
            tokens=self._unsealed(approval) or (None,) * len(record.clauses),
            description=record.description,
            reference=record.reference,
        )
        begin = await self._begin(order, id)
        return await self._coordinator.approve(
            Approve(subject=Subject.PAYMENT, id=id, caller=caller, begin=begin)
        )

    def _unsealed(self, approval: Approval) -> tuple[str | None, ...] | None:
        text = None if approval.sealed is None else self._seal.open(approval.sealed, approval.id)
        return None if text is None else msgspec.json.decode(text, type=tuple[str | None, ...])

    async def decline_payment(self, caller: Document, id: EndToEndId) -> Record | Denied:
        return await self._coordinator.decline(Decline(subject=Subject.PAYMENT, id=id, caller=caller))

    async def approve_mandate(self, caller: Document, id: str) -> Mandate | Denied:
        return await self._sign(Approve(subject=Subject.MANDATE, id=id, caller=caller, begin=None))

    async def decline_mandate(self, caller: Document, id: str) -> Mandate | Denied:
        return await self._sign(Decline(subject=Subject.MANDATE, id=id, caller=caller))

    async def _sign(self, order: Approve | Decline) -> Mandate | Denied:
        reply = await self.batches.offer(order)
        return reply.mandate if isinstance(reply, MandateMade) else cast(Denied, reply)

    async def approval(self, id: str) -> Approval | None:
        return (await self.store.approvals([id])).get(id)

    # Accounts, mandates, links.

    async def open_account(self, order: AccountOrder) -> Account | Denied:
        for _ in range(NUMBER_TRIES):
            number = f"{self._dice.bits(64) % 10**ACCOUNT_DIGITS:0{ACCOUNT_DIGITS}d}"
            address = make_address(self.bank.ispb, BRANCH, number)
            if await self.store.account(address) is None:
                break
        reply = await self.batches.offer(
            OpenAccount(
                claim=None if order.once is None else _claim(order.once, order.caller),
                caller=order.caller,
                address=address,
                kind=order.kind,
                holders=order.holders,
                signatures=order.signatures,
            )
        )
        return reply.account if isinstance(reply, AccountMade) else cast(Denied, reply)

    async def change_account(
        self, account: Address, change: Literal["block", "unblock", "close"]
    ) -> Account | Denied:
        reply = await self.batches.offer(ChangeAccount(account=account, change=change))
        return reply.account if isinstance(reply, AccountMade) else cast(Denied, reply)

    async def give_mandate(self, order: MandateOrder) -> tuple[Mandate, str] | Denied:
        """The mandate and its token."""
        mandate = Mandate(
            id=f"{self._dice.bits(128):032x}",
            account=order.account,
            giver=order.caller,
            initiator=order.initiator,
            payer=order.payer,
            scopes=order.scopes,
            per_payment=order.per_payment,
            total=order.total,
            used=0,
            created_at=self._clock.now(),
            expires_at=order.expires_at,
            revoked_at=None,
            approved_at=None,
        )
        claim = None if order.once is None else _claim(order.once, order.caller)
        reply = await self.batches.offer(GiveMandate(claim=claim, mandate=mandate))
        if not isinstance(reply, MandateMade):
            return cast(Denied, reply)
        return reply.mandate, token_of(reply.mandate.id, self.bank.mandate_secret)

    async def revoke_mandate(self, caller: Document, id: str) -> Denied | None:
        reply = await self.batches.offer(RevokeMandate(caller=caller, id=id))
        return reply if isinstance(reply, Denied) else None

    async def payee(self, account: Address) -> Payee | None:
        """None: there is no such account. Raises PeerUnreachable."""
        return await self._linking.payee(account)

    async def make_link(self, order: LinkOrder) -> AccountShown | Denied:
        """Raises PeerUnreachable."""
        return await self._linking.make(
            order, None if order.once is None else _claim(order.once, order.caller)
        )

    async def remove_link(self, owner: Document, account: Address) -> Denied | None:
        return await self._linking.remove(owner, account)

    async def linked_accounts(self, owner: Document) -> list[LinkedAccount]:
        return await self._linking.accounts(owner)

    # Life.

    async def start(self) -> None:
        await self._heights.open()
        self._tasks = [
            asyncio.create_task(self._recovery.run(), name="recovery"),
            asyncio.create_task(self._heights.run(), name="heights"),
            asyncio.create_task(self._forget_keys(), name="keys"),
            asyncio.create_task(self._expire(), name="approvals"),
        ]

    async def drain(self, timeout_s: float) -> None:
        """Lets what is under way come to its end; what does not is recovered after the next start."""
        await self._stop_tasks()
        try:
            async with asyncio.timeout(timeout_s):
                await self._coordinator.drain()
                await self._heights.keep()
                await self.batches.drain()
        except TimeoutError:
            log.warning("not_drained", waiting=self.batches.waiting)
        self.people.close()

    async def abandon(self) -> None:
        """Stops as a crash would: nothing is finished, nothing is told."""
        await self._coordinator.abandon()
        await self._stop_tasks()
        self.people.close()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ready(self) -> bool:
        """Whether the database answers."""
        try:
            await self.store.account(VAULT)
        except Unavailable:
            return False
        return True

    def peer_returned(self, bank: Ispb) -> None:
        self._recovery.peer_returned(bank)

    async def _forget_keys(self) -> None:
        """Idempotency keys are kept for seven days."""
        while True:
            try:
                while await self.store.forget_keys(Instant(self._clock.now() - KEPT_MS)):
                    pass
            except Unavailable:
                pass
            await asyncio.sleep(KEYS_EVERY_S)

    async def _expire(self) -> None:
        """Ends what the holders did not sign in time. Not at once: a database that was put back must be noticed first
        (PROTOCOL 2.6), for what waits in it may have begun since."""
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            try:
                while late := await self.store.expired(self._clock.now(), EXPIRE_AT_ONCE):
                    expiries = [Expire(subject=one.subject, id=one.id) for one in late]
                    await asyncio.gather(*(self.batches.owe(expiry) for expiry in expiries))
            except Unavailable:
                pass


def _claim(once: Once, caller: Document | None) -> Claim:
    """The key's scope is the caller and the route."""
    return Claim(scope=f"{caller or 'operator'}/{once.route}", key=once.key, body=once.body)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(ALPHANUMERICS[digit])
    return "".join(reversed(digits))
