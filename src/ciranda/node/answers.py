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
    AgreementQuestion,
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
    Violated,
    Vote,
    payment_of,
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
from ciranda.node.traces import Traces
from ciranda.ports import Clock, Store, Unavailable
from ciranda.refusal import Code, Refusal

LIES_MAX = 1_000
"""Violations of one bank in a minute. Each is written down for ever, so what comes after them is put off unread."""
TURNS_MAX = 400
"""Questions of one bank that are answered, or wait to be written, at once. Well under what the batches' queue takes before
customers are sent away: no bank fills it alone."""
QUESTIONS_MAX = 16_000
"""Of one bank, those that wait for their turn too: more than all its workers ask at once."""


class Answers:
    def __init__(self, bank: Bank, store: Store, batches: Batches, heads: HeadKeeper, clock: Clock) -> None:
        self._bank = bank
        self._store = store
        self._batches = batches
        self._heads = heads
        self._clock = clock
        self._traces = Traces(clock)
        self._shares: dict[Ispb, _Share] = {}
        self._violations: dict[Ispb, tuple[int, int]] = {}
        """In which minute a bank last did what no honest bank does, and how often in it."""

    async def respond(self, sender: Ispb, questions: Sequence[Question]) -> list[Answer]:
        """The answers, in order; they leave only when what they say is durable (PROTOCOL 2.3)."""
        share = self._shares.get(sender)
        if share is None:
            share = self._shares[sender] = _Share()
        if share.questions + len(questions) > QUESTIONS_MAX:
            return [Busy()] * len(questions)
        share.questions += len(questions)
        try:
            return await asyncio.gather(*[self._in_turn(share, sender, one) for one in questions])
        finally:
            share.questions -= len(questions)

    async def _in_turn(self, share: "_Share", sender: Ispb, question: Question) -> Answer:
        async with share.turns:
            return await self._answer(sender, question)

    async def _answer(self, sender: Ispb, question: Question) -> Answer:
        try:
            match question:
                case Prepare() | Propose() | Ask() | Tell():
                    if self._lies(sender) >= LIES_MAX:
                        return Busy()
                    reply = await self._batches.offer(Heard(sender=sender, question=question))
                    assert isinstance(reply, Answered), f"a question was answered with {reply}"
                    self._note(sender, question, reply.answer)
                    return reply.answer
                case _:
                    return await self.look(sender, question)
        except (Overloaded, Unavailable):
            return Busy()

    def _lies(self, sender: Ispb) -> int:
        """How many violations of the sender were written down in this minute."""
        minute, count = self._violations.get(sender, (0, 0))
        return count if minute == self._clock.now() // 60_000 else 0

    def _note(self, sender: Ispb, question: AgreementQuestion, answer: Answer) -> None:
        match question, answer:
            case _, Violated(reason=reason):
                self._violations[sender] = self._clock.now() // 60_000, self._lies(sender) + 1
                self._traces.note(
                    "peer_violation", sender, peer=sender, payment=payment_of(question), reason=reason
                )
            case Prepare(permissions=permissions), Vote(refusal=Refusal(code=Code.NOT_PERMITTED)):
                self._note_mandates(sender, [permission.mandate for permission in permissions])
            case _:
                pass

    def _note_mandates(self, sender: Ispb, tokens: Sequence[str]) -> None:
        """Tokens of ours that do not serve whoever showed them: they are over, or paused, or in the wrong hands."""
        ids = {id_of(token, self._bank.mandate_secret) for token in tokens}
        for id in sorted(id for id in ids if id is not None):
            self._traces.note("mandate_refused", (sender, id), peer=sender, mandate=id)

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
            self._note_mandates(sender, [question.mandate])
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


class _Share:
    """What one bank has of this one's time."""

    def __init__(self) -> None:
        self.questions = 0
        """Under way."""
        self.turns = asyncio.Semaphore(TURNS_MAX)
