"""The coordinator: begin, prepare, decide, answer, tell (PROTOCOL section 5).

One attempt for each payment, in the memory of the one worker that began it. A client that goes away does not stop it;
a crash ends it, and recovery finishes or undoes what it began.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeGuard

import structlog
from msgspec.structs import replace

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.coordinator import Attempt
from ciranda.agreement.header import Part
from ciranda.agreement.message import Busy, Decision, Done, Permission, Prepare, Tell, Vote
from ciranda.agreement.participant import State
from ciranda.engine.bank import Bank
from ciranda.engine.input import GRACE_MS, Begin, Decide, Decline, Sign, Told
from ciranda.engine.paying import parts_of
from ciranda.engine.record import Record
from ciranda.engine.reply import Denied, Known, Paid, Reply
from ciranda.engine.settling import others
from ciranda.identity import EndToEndId, Ispb, bank_of
from ciranda.node.batches import Batches, Overloaded
from ciranda.node.register import RegisterClient
from ciranda.ports import Clock, Dice, Peers, PeerSilent, PeerUnreachable, Store, Unavailable
from ciranda.refusal import Code, Refusal

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ATTEMPTS_MAX = 10_000
TELL_TIMEOUT_MS = 5_000
BUSY_WAIT_S = (0.01, 0.05)


class Coordinator:
    def __init__(
        self,
        bank: Bank,
        store: Store,
        batches: Batches,
        peers: Peers,
        register: RegisterClient,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self._bank = bank
        self._store = store
        self._batches = batches
        self._peers = peers
        self._register = register
        self._clock = clock
        self._dice = dice
        self._attempts: dict[EndToEndId, asyncio.Task[Record]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def pay(self, begin: Begin) -> Record | Denied:
        """The payment's outcome, or its record as it stands when the client has waited long enough."""
        return await self._follow(begin, await self._offer(begin))

    async def pay_all(self, begins: Sequence[Begin]) -> list[Record | Denied]:
        """Many at once; each is atomic by itself."""
        if self._batches.room < len(begins) or len(self._attempts) + len(begins) > ATTEMPTS_MAX:
            raise Overloaded
        replies = await asyncio.gather(*[self._batches.offer(begin) for begin in begins])
        outcomes = [_outcome_of(reply) for reply in replies]
        # Only what leaves the bank is followed: the rest is known, and needs no task of its own.
        open_ones = [place for place, outcome in enumerate(outcomes) if _is_open(outcome)]
        followed = await asyncio.gather(*(self._follow(begins[place], replies[place]) for place in open_ones))
        for place, outcome in zip(open_ones, followed, strict=True):
            outcomes[place] = outcome
        return outcomes

    async def sign(self, order: Sign) -> Record | Denied:
        """Like `pay`, once nobody's signature is missing any more; until then the record as it waits."""
        assert order.begin is not None, "a payment is approved with what begins it"
        return await self._follow(order.begin, await self._offer(order))

    async def decline(self, order: Decline) -> Record | Denied:
        return _outcome_of(await self._offer(order))

    def attempting(self, id: EndToEndId) -> bool:
        """Whether the attempt that began the payment still lives here."""
        return id in self._attempts

    def tell(self, record: Record) -> None:
        """Tells the decision once to each bank that has not acknowledged it and is up; recovery tells the rest."""
        if record.state.decided:
            self._tell_all(record, record.untold)

    def spread(self, record: Record) -> None:
        """A bank that is not the coordinator, and found the decision, tells all others once (PROTOCOL 6.3)."""
        self._tell_all(record, others(record, self._bank.ispb))

    def _tell_all(self, record: Record, banks: Iterable[Ispb]) -> None:
        for bank in banks:
            if self._peers.reachable(bank):
                self._spawn(self._tell(record, bank))

    async def drain(self) -> None:
        """Returns when no attempt and no telling is under way."""
        while self._attempts or self._tasks:
            await asyncio.wait([*self._attempts.values(), *self._tasks])

    async def abandon(self) -> None:
        """Gives up every attempt and every telling, wherever they stand."""
        tasks = [*self._attempts.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _offer(self, order: Begin | Sign | Decline) -> "asyncio.Future[Any]":
        if len(self._attempts) >= ATTEMPTS_MAX:
            raise Overloaded
        return self._batches.offer(order)

    async def _follow(self, begin: Begin, reply: Reply) -> Record | Denied:
        outcome = _outcome_of(reply)
        if not _is_open(outcome):
            return outcome
        record = outcome
        if isinstance(reply, Paid) and reply.begun:
            attempt = asyncio.create_task(self._attempt(begin, record))
            self._attempts[record.id] = attempt
            attempt.add_done_callback(lambda task: self._ended(record.id, task))
        return await self._outcome(record)

    def _ended(self, id: EndToEndId, attempt: asyncio.Task[Record]) -> None:
        self._attempts.pop(id, None)
        if not attempt.cancelled() and (error := attempt.exception()) is not None:
            # A mistake of ours: recovery will finish the payment or undo it.
            log.error("attempt_failed", payment=id, error=repr(error))

    async def _outcome(self, record: Record) -> Record:
        """Waits for the decision until the deadline and grace, wherever the attempt runs."""
        assert record.header is not None, "a payment that left this bank has a header"
        end = self._clock.steady_ms() + self._left_ms(record) + GRACE_MS
        attempt = self._attempts.get(record.id)
        if attempt is not None:
            timeout = max(0, end - self._clock.steady_ms()) / 1000
            done, _ = await asyncio.wait([attempt], timeout=timeout)
            if done and not attempt.cancelled() and attempt.exception() is None:
                return attempt.result()
        wait = 0.02
        while True:
            present = await self._store.payment(record.id)
            assert present is not None, "nothing is forgotten"
            if present.state.decided or self._clock.steady_ms() >= end:
                return present
            await asyncio.sleep(self._dice.between(wait / 2, wait))
            wait = min(0.5, wait * 1.5)

    def _left_ms(self, record: Record) -> int:
        """Until the deadline. The wall clock may have jumped meanwhile: never more than the roster allows."""
        assert record.header is not None, "a payment that left this bank has a header"
        left = record.header.deadline - self._clock.now()
        return min(max(0, left), self._bank.roster.deadline_ms)

    # The attempt.

    async def _attempt(self, begin: Begin, record: Record) -> Record:
        """Prepare all others, decide, tell."""
        assert record.header is not None, "a payment that left this bank has a header"
        attempt = await self._gather_votes(begin, record)
        assert attempt.decision is not None, "votes end in a decision"
        if attempt.decision is Decision.COMMIT and len(record.header.witnesses) > 1:
            # Round 0 is this attempt's alone, and this is the only decision that it ever proposes (PROTOCOL 5.3).
            ballot = Ballot(0, self._bank.ispb, self._dice.bits(64))
            decided = await self._register.propose(record, ballot, attempt.decision)
        else:
            decided = await self._decide(record, attempt.decision, attempt.refusal)
        self.tell(decided)
        return decided

    async def _gather_votes(self, begin: Begin, record: Record) -> Attempt:
        """PROTOCOL 5.2 and 5.3: at the first no, or at the deadline, it ends."""
        assert record.header is not None, "a payment that left this bank has a header"
        banks = [bank for bank in record.header.participants if bank != self._bank.ispb]
        attempt = Attempt(banks)
        parts = parts_of(begin)
        end = self._clock.steady_ms() + self._left_ms(record)
        if len(banks) == 1:
            self._count(
                attempt,
                banks[0],
                await self._vote(self._prepare(begin, record, parts, banks[0]), banks[0], end),
            )
            return attempt
        asking = {
            asyncio.ensure_future(self._vote(self._prepare(begin, record, parts, bank), bank, end)): bank
            for bank in banks
        }
        waiting = set(asking)
        while waiting and attempt.decision is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task, bank in asking.items():
                if task in done:
                    self._count(attempt, bank, task.result())
        for task in asking:
            task.cancel()
        return attempt

    def _count(self, attempt: Attempt, bank: Ispb, vote: Vote | Code) -> None:
        if isinstance(vote, Code):
            attempt.unheard(bank, vote)
        else:
            attempt.voted(bank, vote)

    def _prepare(self, begin: Begin, record: Record, parts: list[Part], bank: Ispb) -> Prepare:
        """What `bank` needs to know, and nothing of the others' business."""
        assert record.header is not None, "a payment that left this bank has a header"
        assert begin.caller is not None, "only customers pay beyond their bank"
        concerned = tuple(
            part for part in parts if bank in (bank_of(part.transfer.source), bank_of(part.transfer.target))
        )
        return Prepare(
            header=record.header,
            parts=concerned,
            payer=begin.caller if any(bank_of(part.transfer.source) == bank for part in concerned) else None,
            permissions=tuple(
                Permission(index=part.index, mandate=token)
                for part in concerned
                if bank_of(part.transfer.source) == bank and (token := begin.tokens[part.index]) is not None
            ),
            description=begin.description,
            reference=begin.reference,
            time_left_ms=0,
        )

    async def _vote(self, prepare: Prepare, bank: Ispb, end: int) -> Vote | Code:
        """The bank's vote, or why there is none."""
        while (left := end - self._clock.steady_ms()) > 0:
            try:
                answer = await self._peers.ask(bank, replace(prepare, time_left_ms=left), left)
            except PeerSilent:
                return Code.DEADLINE_PASSED
            except PeerUnreachable:
                return Code.BANK_UNREACHABLE
            match answer:
                case Vote():
                    return answer
                case Busy():
                    await asyncio.sleep(self._dice.between(*BUSY_WAIT_S))
                case _:
                    log.warning(
                        "peer_broke_the_protocol",
                        peer=bank,
                        payment=prepare.header.id,
                        answer=type(answer).__name__,
                    )
                    return Code.ABORTED
        return Code.DEADLINE_PASSED

    async def _decide(self, record: Record, decision: Decision, refusal: Refusal | None) -> Record:
        """Writes the decision down: then, and not before, it is one (PROTOCOL 5.5)."""
        wait = 0.05
        while True:
            try:
                reply = await self._batches.owe(Decide(id=record.id, decision=decision, refusal=refusal))
            except Unavailable:
                # Either it is written, or recovery will decide: asking again is safe, for what is decided stands.
                await asyncio.sleep(self._dice.between(wait / 2, wait))
                wait = min(2.0, wait * 2)
                continue
            assert isinstance(reply, Known), f"a decision was answered with {reply}"
            assert reply.record is not None, "nothing is forgotten"
            return reply.record

    # Telling.

    async def _tell(self, record: Record, bank: Ispb) -> None:
        try:
            answer = await self._peers.ask(bank, telling(record), TELL_TIMEOUT_MS)
        except PeerUnreachable:
            return
        if not isinstance(answer, Done):
            if not isinstance(answer, Busy):
                kind = type(answer).__name__
                log.warning("peer_broke_the_protocol", peer=bank, payment=record.id, answer=kind)
            return
        try:
            await self._batches.note(Told(id=record.id, bank=bank))
        except Unavailable:
            return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _outcome_of(reply: Reply) -> Record | Denied:
    if isinstance(reply, Denied):
        return reply
    assert isinstance(reply, Paid), f"an order was answered with {reply}"
    return reply.record


def _is_open(outcome: Record | Denied) -> TypeGuard[Record]:
    """Whether other banks have to be asked."""
    return isinstance(outcome, Record) and outcome.state is State.PREPARED


def telling(record: Record) -> Tell:
    """What is told of a decided payment."""
    assert record.decision is not None, "only what is decided is told"
    assert record.header is not None, "only a payment that left its bank is told"
    assert record.digest is not None, "only a payment that left its bank is told"
    return Tell(
        id=record.id,
        digest=record.digest,
        decision=record.decision,
        refusal=record.refusal,
        header=record.header,
    )
