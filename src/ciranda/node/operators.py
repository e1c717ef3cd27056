"""Operators: who holds a token, and what they do with it.

A token names its holder, so that it can be looked up, and proves it by 256 bits of which only the SHA-256 is kept.
It is looked up for every call, so one that was ended opens nothing any more, in any worker.
"""

import hmac
import re
from hashlib import sha256

import msgspec

from ciranda.engine.bank import Bank
from ciranda.engine.input import (
    Act,
    AddOperator,
    Approve,
    Deed,
    EndOperator,
    Reject,
    RenewToken,
    ResetSecondFactor,
    Trespass,
)
from ciranda.engine.operator import ROOT, Operator, Right, Role, root
from ciranda.engine.proposal import Proposal
from ciranda.engine.reply import Denied, Proposed, Reply
from ciranda.identity import Document
from ciranda.instant import Instant, later
from ciranda.node.batches import Batches
from ciranda.ports import Clock, Dice, Store

TOKEN_PREFIX = "op_"  # noqa: S105
TOKEN_MS = 90 * 24 * 60 * 60 * 1000
FOUNDERS = 2
REFUSED_AGAIN_MS = 60_000

_TOKEN = re.compile(r"op_([a-z][a-z0-9-]{1,31})_[A-Za-z0-9_-]{43,86}")


class TokenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A token for an operator: the one whose hash is given, which its holder has drawn, or one that the bank draws."""

    token_hash: bytes | None
    expires_at: Instant | None


class Operators:
    def __init__(
        self, bank: Bank, store: Store, batches: Batches, clock: Clock, dice: Dice, root_token: str
    ) -> None:
        self._bank = bank
        self._store = store
        self._batches = batches
        self._clock = clock
        self._dice = dice
        self._refused_at: dict[str, Instant] = {}
        self._root = root(sha256(root_token.encode()).digest())

    async def who(self, token: str) -> Operator | None:
        """None: it is no operator's token, or no longer."""
        token_hash = sha256(token.encode()).digest()
        if hmac.compare_digest(token_hash, self._root.token_hash):
            return self._root
        written = _TOKEN.fullmatch(token)
        if written is None:
            return None
        operator = await self._store.operator(written[1])
        if operator is None or not hmac.compare_digest(token_hash, operator.token_hash):
            return None
        return operator if operator.alive(self._clock.now()) else None

    async def refused(self, token: str, route: str) -> str | None:
        """Of a token that opens nothing: whose it says to be, if there is or was such an operator. If it truly was theirs,
        and is over, that somebody still has it is recorded, once in a while: they can do nothing else with it."""
        written = _TOKEN.fullmatch(token)
        operator = None if written is None else await self._store.operator(written[1])
        if operator is None:
            return None
        now = self._clock.now()
        was_theirs = hmac.compare_digest(sha256(token.encode()).digest(), operator.token_hash)
        if was_theirs and now - self._refused_at.get(operator.name, Instant(0)) >= REFUSED_AGAIN_MS:
            self._refused_at[operator.name] = now
            await self._act(operator.name, Trespass(route=route))
        return operator.name

    def may(self, operator: Operator, right: Right) -> bool:
        return operator.may(right, self._bank.two_person)

    async def turned_away(self, operator: Operator, route: str) -> None:
        """Leaves its trace."""
        await self._act(operator.name, Trespass(route=route))

    async def do(self, by: str, deed: Deed) -> Reply | Proposal:
        """What came of it, or the proposal that it became."""
        return await self._known(await self._act(by, deed))

    async def approve(self, by: str, proposal: str) -> Proposal | Denied:
        return await self._decided(by, Approve(proposal=proposal))

    async def reject(self, by: str, proposal: str) -> Proposal | Denied:
        return await self._decided(by, Reject(proposal=proposal))

    async def reset_second_factor(self, by: str, document: Document) -> Reply | Proposal:
        """Of a customer who has lost it. All their sessions end."""
        done = await self.do(by, ResetSecondFactor(document=document))
        self._store.forget_customer(document)
        return done

    async def add(
        self, by: str, name: str, role: Role, cash_limit: int | None, order: TokenOrder
    ) -> tuple[Reply | Proposal, str | None]:
        """What came of it, and the token, if the bank drew it and it is good now."""
        token, token_hash, expires_at = self._token(name, order)
        founding = by == ROOT and role is Role.ADMIN and await self._has_no_admins()
        done = await self.do(
            by,
            AddOperator(
                name=name,
                role=role,
                cash_limit=cash_limit,
                token_hash=token_hash,
                expires_at=expires_at,
                founding=founding,
            ),
        )
        return done, token

    async def renew(self, by: str, name: str, order: TokenOrder) -> tuple[Reply | Proposal, str | None]:
        token, token_hash, expires_at = self._token(name, order)
        deed = RenewToken(name=name, token_hash=token_hash, expires_at=expires_at)
        return await self.do(by, deed), token

    async def end(self, by: str, name: str) -> Reply | Proposal:
        return await self.do(by, EndOperator(name=name))

    def _token(self, name: str, order: TokenOrder) -> tuple[str | None, bytes, Instant]:
        expires_at = order.expires_at or later(self._clock.now(), TOKEN_MS)
        if order.token_hash is not None:
            return None, order.token_hash, expires_at
        token = f"{TOKEN_PREFIX}{name}_{self._dice.token()}"
        return token, sha256(token.encode()).digest(), expires_at

    async def _has_no_admins(self) -> bool:
        """Whether the first ones are still to be named. Those who were ended count: root cannot begin again."""
        if self._bank.two_person is None:
            return False
        operators = await self._store.operators()
        return sum(operator.role is Role.ADMIN for operator in operators) < FOUNDERS

    async def _act(self, by: str, deed: Deed | Approve | Reject | Trespass) -> Reply:
        id = f"{self._clock.now():012x}{self._dice.bits(64):016x}"
        return await self._batches.offer(Act(id=id, by=by, deed=deed))

    async def _decided(self, by: str, deed: Approve | Reject) -> Proposal | Denied:
        reply = await self._known(await self._act(by, deed))
        assert isinstance(reply, Proposal | Denied), f"a proposal was answered with {reply}"
        if isinstance(reply, Proposal) and isinstance(reply.deed, ResetSecondFactor):
            self._store.forget_customer(reply.deed.document)
        return reply

    async def _known(self, reply: Reply) -> Reply | Proposal:
        if not isinstance(reply, Proposed):
            return reply
        proposal = await self._store.proposal(reply.id)
        assert proposal is not None, "nothing is forgotten"
        return proposal
