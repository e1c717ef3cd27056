"""One bank's node: what its doors (the API, the peers' listener) may ask of it.

Every method raises Unavailable when the database is away and Overloaded when too much is under way; then nothing was
recorded, or asking again with the same key finds what was.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, cast

import msgspec
import structlog
from msgspec.structs import replace

from ciranda.agreement.message import AccountShown, Payee
from ciranda.engine.approval import Approval, Subject
from ciranda.engine.bank import Bank
from ciranda.engine.input import (
    Begin,
    ChangeAccount,
    Decline,
    Expire,
    GiveMandate,
    OpenAccount,
    PauseMandate,
    RevokeMandate,
    SetCreditLimit,
    SetLimits,
    Sign,
)
from ciranda.engine.key import KEPT_MS, Claim
from ciranda.engine.limits import Span
from ciranda.engine.mandate import Mandate, token_of
from ciranda.engine.operator import ROOT
from ciranda.engine.proposal import Proposal
from ciranda.engine.record import Record
from ciranda.engine.reply import AccountMade, DenialCode, Denied, LimitsSet, MandateMade, Paid
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
from ciranda.node.attempts import Origin
from ciranda.node.batches import Batches
from ciranda.node.coordinator import Coordinator
from ciranda.node.heads import HeadKeeper
from ciranda.node.heights import HeightKeeper
from ciranda.node.limiting import LimitsNow, is_raise, limits_now
from ciranda.node.linking import LinkedAccount, Linking
from ciranda.node.operators import Operators
from ciranda.node.order import AccountOrder, LinkOrder, MandateOrder, Once, PaymentOrder
from ciranda.node.people import People
from ciranda.node.recovery import Recovery
from ciranda.node.seal import Seal
from ciranda.node.second_factors import SecondFactors
from ciranda.node.traces import Traces
from ciranda.payment import Kind, banks_of
from ciranda.period import start_of_day
from ciranda.ports import Clock, Dice, Peers, Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BRANCH = "0001"
ACCOUNT_DIGITS = 8
NUMBER_TRIES = 5
FORGET_EVERY_S = 600.0
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
        operators: Operators,
        second_factors: SecondFactors,
        heights: HeightKeeper,
        heads: HeadKeeper,
        seal: Seal,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self.bank = bank
        self.store = store
        self.peers = peers
        self.people = people
        self.operators = operators
        self.second_factors = second_factors
        self.batches = batches
        self.answers = answers
        self._coordinator = coordinator
        self._recovery = recovery
        self._linking = linking
        self._heights = heights
        self._heads = heads
        self._seal = seal
        self._clock = clock
        self._dice = dice
        self.traces = Traces(clock)
        self._tasks: list[asyncio.Task[None]] = []

    async def refused_token(self, token: str, route: str, origin: Origin) -> None:
        """Leaves the trace of a token that opens nothing, or nothing any more."""
        network = origin.shown_as
        operator = await self.operators.refused(token, route)
        what = {} if operator is None else {"operator": operator}
        self.traces.note("token_refused", (network, operator), network=network, route=route, **what)

    # Payments.

    async def pay(self, order: PaymentOrder) -> Record | Denied:
        """The payment as it stands once it is decided, or once its client has waited long enough.

        Raises CodeRequired and MustWait, where the caller's second factor guards it.
        """
        await self._guard([order])
        return await self._coordinator.pay(await self._begin(order))

    async def pay_all(self, orders: Sequence[PaymentOrder]) -> list[Record | Denied]:
        """Many payments of one caller, each atomic by itself, in the same order. Raises what `pay` raises."""
        await self._guard(orders)
        begins = [await self._begin(order) for order in orders]
        return await self._coordinator.pay_all(begins)

    async def hand_cash(self, by: str, order: PaymentOrder) -> Record | Proposal | Denied:
        """A deposit or a withdrawal by an operator, or the proposal that waits for a second one."""
        assert order.once is not None, "cash is handed once"
        deed = await self._begin(order)
        scoped = deed.claim if by == ROOT else _claim(order.once, f"operator:{by}")
        done = await self.operators.do(by, replace(deed, claim=scoped))
        if isinstance(done, Paid):
            return done.record
        if not isinstance(done, Proposal) or done.outcome is None:
            return cast(Proposal | Denied, done)
        # The same request again, after it was approved: what came of it.
        assert isinstance(done.deed, Begin), "cash was proposed"
        return await self.store.payment(done.deed.id) or done

    async def _guard(self, orders: Sequence[PaymentOrder]) -> None:
        """One code is for all of them: together they may be large."""
        first = orders[0]
        if first.caller is not None:
            await self.second_factors.demand_for_payments(
                first.caller,
                first.code,
                (
                    (_claim(order.once, order.caller), sum(transfer.amount for transfer in order.transfers))
                    for order in orders
                    if order.once is not None
                ),
            )

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
        tail = _base62(within_minute, 2)[1:] + _base62(self._dice.bits(47), 4)
        return make_end_to_end_id(self.bank.ispb, now, tail)

    # What needs the signatures of all holders.

    async def approve_payment(self, caller: Document, id: EndToEndId, code: str | None) -> Record | Denied:
        """With the last approval it begins, and this is like `pay`. Raises CodeRequired and MustWait."""
        record, approval = await self.store.payment(id), await self.approval(id)
        if record is None or approval is None or caller not in approval.holders:
            return Denied(code=DenialCode.NOT_FOUND)
        if _awaits(approval, caller):
            asked = [(_signature(caller, id), record.amount)]
            await self.second_factors.demand_for_payments(caller, code, asked)
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
        return await self._coordinator.sign(Sign(subject=Subject.PAYMENT, id=id, caller=caller, begin=begin))

    def _unsealed(self, approval: Approval) -> tuple[str | None, ...] | None:
        text = None if approval.sealed is None else self._seal.open(approval.sealed, approval.id)
        return None if text is None else msgspec.json.decode(text, type=tuple[str | None, ...])

    async def decline_payment(self, caller: Document, id: EndToEndId) -> Record | Denied:
        return await self._coordinator.decline(Decline(subject=Subject.PAYMENT, id=id, caller=caller))

    async def approve_mandate(self, caller: Document, id: str, code: str | None) -> Mandate | Denied:
        """Raises CodeRequired and MustWait."""
        approval = await self.approval(id)
        if approval is not None and _awaits(approval, caller):
            await self.second_factors.demand(caller, code, [_signature(caller, id)])
        return await self._sign(Sign(subject=Subject.MANDATE, id=id, caller=caller, begin=None))

    async def decline_mandate(self, caller: Document, id: str) -> Mandate | Denied:
        return await self._sign(Decline(subject=Subject.MANDATE, id=id, caller=caller))

    async def _sign(self, order: Sign | Decline) -> Mandate | Denied:
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
        self, by: str, account: Address, change: Literal["block", "unblock", "close"]
    ) -> Account | Proposal | Denied:
        reply = await self.operators.do(by, ChangeAccount(account=account, change=change))
        return reply.account if isinstance(reply, AccountMade) else cast(Proposal | Denied, reply)

    async def set_credit_limit(self, by: str, peer: Ispb, limit: int) -> Account | Proposal | Denied:
        """The peer's clearing account, with its new floor."""
        reply = await self.operators.do(by, SetCreditLimit(peer=peer, limit=limit))
        return reply.account if isinstance(reply, AccountMade) else cast(Proposal | Denied, reply)

    async def give_mandate(self, order: MandateOrder) -> tuple[Mandate, str] | Denied:
        """The mandate and its token. Raises CodeRequired and MustWait."""
        claim = None if order.once is None else _claim(order.once, order.caller)
        await self.second_factors.demand(order.caller, order.code, [claim] if claim else [])
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
            per_day=order.per_day,
            starts_at=order.starts_at,
        )
        reply = await self.batches.offer(GiveMandate(claim=claim, mandate=mandate))
        if not isinstance(reply, MandateMade):
            return cast(Denied, reply)
        return reply.mandate, token_of(reply.mandate.id, self.bank.mandate_secret)

    async def revoke_mandate(self, caller: Document, id: str) -> Denied | None:
        reply = await self.batches.offer(RevokeMandate(caller=caller, id=id))
        return reply if isinstance(reply, Denied) else None

    async def pause_mandate(self, caller: Document, id: str) -> Mandate | Denied:
        return await self._set_paused(caller, id, paused=True)

    async def resume_mandate(self, caller: Document, mandate: Mandate, code: str | None) -> Mandate | Denied:
        """It is as good as a new one. Raises CodeRequired and MustWait."""
        if mandate.paused_at is not None:
            await self.second_factors.demand(caller, code)
        return await self._set_paused(caller, mandate.id, paused=False)

    async def _set_paused(self, caller: Document, id: str, *, paused: bool) -> Mandate | Denied:
        reply = await self.batches.offer(PauseMandate(caller=caller, id=id, paused=paused))
        return reply.mandate if isinstance(reply, MandateMade) else cast(Denied, reply)

    async def used_today(self, mandates: Sequence[Mandate]) -> dict[str, int]:
        """What was taken under each of them since midnight, by this bank's clock, or is held."""
        ids = [mandate.id for mandate in mandates]
        used = await self.store.used_since(ids, start_of_day(self._clock.now()))
        return dict.fromkeys(ids, 0) | used

    async def limits_of(self, account: Account) -> LimitsNow:
        return await limits_now(self.bank, self.store, account, None, self._clock.now())

    async def set_limits(
        self, caller: Document, account: Account, amounts: dict[Span, int], code: str | None
    ) -> LimitsNow | Denied:
        """Raises CodeRequired and MustWait, where a limit is raised."""
        # What is lowered at this very moment may be put back without a code: to what it was, after a day, no higher.
        if await is_raise(self.bank, self.store, account, amounts, self._clock.now()):
            await self.second_factors.demand(caller, code)
        order = SetLimits(caller=caller, account=Address(account.id), amounts=amounts)
        reply = await self.batches.offer(order)
        if not isinstance(reply, LimitsSet):
            return cast(Denied, reply)
        return await limits_now(self.bank, self.store, account, reply.limits, self._clock.now())

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
            asyncio.create_task(self._heads.run(), name="heads"),
            asyncio.create_task(self._forget(), name="forgetting"),
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
                await self.people.keep_used()
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

    def now(self) -> Instant:
        """This bank's time."""
        return self._clock.now()

    def peer_returned(self, bank: Ispb) -> None:
        self._recovery.peer_returned(bank)

    async def _forget(self) -> None:
        """Idempotency keys are kept for seven days, sessions until they expire, attempts while they count."""
        while True:
            try:
                while await self.store.forget_keys(Instant(self._clock.now() - KEPT_MS)):
                    pass
                while await self.store.forget_people(self._clock.now()):
                    pass
            except Unavailable:
                pass
            await asyncio.sleep(FORGET_EVERY_S)

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


def _claim(once: Once, caller: str | None) -> Claim:
    """The key's scope is the caller and the route."""
    return Claim(scope=f"{caller or 'operator'}/{once.route}", key=once.key, body=once.body)


def _awaits(approval: Approval, holder: Document) -> bool:
    return approval.ended_at is None and holder in approval.missing


def _signature(holder: Document, id: str) -> Claim:
    """What a code of the holder's second factor is bound to. It is given once, so it needs no client's key."""
    return Claim(scope=f"{holder}/approvals", key=id, body="")


_PAIRS = [high + low for high in ALPHANUMERICS for low in ALPHANUMERICS]


def _base62(number: int, pairs: int) -> str:
    """The number in `pairs` pairs of digits, the highest first."""
    text = ""
    for _ in range(pairs):
        number, pair = divmod(number, len(_PAIRS))
        text = _PAIRS[pair] + text
    return text
