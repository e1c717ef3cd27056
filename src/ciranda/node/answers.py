"""Answering other banks: what the peers' listener calls for each batch of questions.

Questions of the agreement go to the engine like every other input. Those that only look are answered here, and show a
stranger no more than he needs: a masked name, or what a holder's mandate lets its payer see.
"""

import asyncio
from collections.abc import Sequence
from typing import assert_never

from ciranda.agreement.message import (
    Absent,
    AccountShown,
    Answer,
    Ask,
    Busy,
    FindPayee,
    Payee,
    Prepare,
    Probe,
    Propose,
    Question,
    ReadOnlyQuestion,
    ShowAccount,
    ShowHead,
    Tell,
    Up,
)
from ciranda.engine.bank import Bank
from ciranda.engine.input import Heard
from ciranda.engine.mandate import id_of
from ciranda.engine.reply import Answered
from ciranda.identity import Address, Ispb
from ciranda.ledger.account import AccountStatus
from ciranda.node.batches import Batches, Overloaded
from ciranda.node.heads import HeadKeeper
from ciranda.node.mask import masked, masked_document
from ciranda.ports import Clock, Store, Unavailable


class Answers:
    def __init__(self, bank: Bank, store: Store, batches: Batches, heads: HeadKeeper, clock: Clock) -> None:
        self._bank = bank
        self._store = store
        self._batches = batches
        self._heads = heads
        self._clock = clock

    async def respond(self, sender: Ispb, questions: Sequence[Question]) -> list[Answer]:
        """The answers, in order; they leave only when what they say is durable (PROTOCOL 2.3)."""
        return await asyncio.gather(*[self._answer(sender, question) for question in questions])

    async def _answer(self, sender: Ispb, question: Question) -> Answer:
        try:
            match question:
                case Prepare() | Propose() | Ask() | Tell():
                    reply = await self._batches.offer(Heard(sender=sender, question=question))
                    assert isinstance(reply, Answered), f"a question was answered with {reply}"
                    return reply.answer
                case _:
                    return await self.look(sender, question)
        except (Overloaded, Unavailable):
            return Busy()

    async def look(self, sender: Ispb, question: ReadOnlyQuestion) -> Answer:
        match question:
            case Probe():
                return Up()
            case FindPayee(account=account):
                return await self.payee(account) or Absent()
            case ShowAccount():
                return await self._show(sender, question)
            case ShowHead():
                return await self._heads.show(sender, question)
            case _:
                assert_never(question)

    async def payee(self, address: Address) -> Payee | None:
        account = await self._store.account(address)
        if account is None or account.status is AccountStatus.CLOSED:
            return None
        holders = await self._store.customers(account.holders)
        names = [masked(holders[document].name) for document in account.holders]
        return Payee(account=address, name=", ".join(names), kind=account.kind.value)

    async def _show(self, sender: Ispb, question: ShowAccount) -> AccountShown | Absent:
        id = id_of(question.mandate, self._bank.mandate_secret)
        mandate = None if id is None else await self._store.mandate(id)
        account = await self._store.account(question.account)
        if mandate is None or account is None:
            return Absent()
        now = self._clock.now()
        may = [
            scope
            for scope in mandate.scopes
            if mandate.serves(scope, question.account, sender, question.payer, now)
        ]
        if not may:
            return Absent()
        holders = await self._store.customers(account.holders)
        sees = "read" in may
        return AccountShown(
            account=question.account,
            kind=account.kind.value,
            status=account.status.value,
            signatures=account.signatures,
            holders=tuple(
                (masked_document(document), masked(holders[document].name)) for document in account.holders
            ),
            balance=account.balance if sees else None,
            held=account.held if sees else None,
            available=account.available if sees else None,
            opened_at=account.opened_at,
            scopes=tuple(may),
        )
