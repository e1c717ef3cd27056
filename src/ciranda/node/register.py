"""The register of one payment's decision, as a bank that wants it written or read sees it (PROTOCOL 4 to 6).

The witnesses keep it; this is the other side. An answer counts only for the ballot that it was asked under, and a
decision only when a majority of the witnesses has accepted it under one ballot.
"""

import asyncio
from collections.abc import Callable

import structlog

from ciranda.agreement.ballot import Ballot, is_within_reach
from ciranda.agreement.header import Header
from ciranda.agreement.message import (
    Accepted,
    Answer,
    Ask,
    Busy,
    Decided,
    Decision,
    Outbid,
    Promised,
    Propose,
    Question,
    Violated,
)
from ciranda.agreement.witness import majority
from ciranda.engine.bank import Bank
from ciranda.engine.input import GRACE_MS, Accept, Learn, TakeBallot
from ciranda.engine.record import Record
from ciranda.engine.reply import BallotTaken, Known
from ciranda.identity import EndToEndId, Ispb
from ciranda.node.batches import Batches
from ciranda.ports import Clock, Dice, Peers, PeerUnreachable, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ASK_TIMEOUT_MS = 2_000
AGAIN_S = (0.05, 0.2)


class RegisterClient:
    def __init__(self, bank: Bank, batches: Batches, peers: Peers, clock: Clock, dice: Dice) -> None:
        self._bank = bank
        self._batches = batches
        self._peers = peers
        self._clock = clock
        self._dice = dice
        self._outbid: dict[EndToEndId, Ballot] = {}
        """The highest ballot that another bank has shown for a payment that is being recovered here."""

    async def propose(self, record: Record, ballot: Ballot, decision: Decision) -> Record:
        """The coordinator's proposal, the same again and again until it is decided, outbid, or out of time.

        The record that is returned may still be undecided: then recovery goes on with a fresh ballot.
        """
        assert record.header is not None, "what has witnesses has a header"
        left = min(max(0, record.header.deadline - self._clock.now()), self._bank.roster.deadline_ms)
        end = self._clock.steady_ms() + left + GRACE_MS
        while True:
            try:
                present, outbid = await self._propose_once(record, ballot, decision)
            except Unavailable:
                present, outbid = record, False
            if present.state.decided or outbid or self._clock.steady_ms() >= end:
                return present
            await asyncio.sleep(self._dice.between(*AGAIN_S))

    async def recover(self, record: Record) -> Record:
        """One try to find the decision, or to make one, under a fresh ballot (PROTOCOL 6.1 to 6.4)."""
        taken = await self._batches.owe(
            TakeBallot(id=record.id, nonce=self._dice.bits(64), seen=self._outbid.get(record.id))
        )
        if not isinstance(taken, BallotTaken):
            assert isinstance(taken, Known), f"a ballot was asked for, and {taken} came"
            return taken.record or record
        record, ballot = taken.record, taken.ballot
        assert record.header is not None, "what has witnesses has a header"
        promised = [record.accepted] if self._bank.ispb in record.header.witnesses else []
        question = Ask(header=record.header, ballot=ballot)
        needed = majority(len(record.header.witnesses)) - len(promised)
        answers = await self._ask_witnesses(
            record, question, needed, lambda answer: _promises(answer, ballot)
        )
        if _say_decided(answers):
            return await self._learn(record, answers)
        self._note_outbid(record.header, answers)
        promised += [
            answer.accepted
            for answer in answers.values()
            if isinstance(answer, Promised) and _promises(answer, ballot)
        ]
        if len(promised) < majority(len(record.header.witnesses)):
            return record
        # The one with the highest ballot; round 0 alone brings in commit, so where there is none abort is safe.
        accepted = max((one for one in promised if one is not None), default=None)
        decision = Decision.ABORT if accepted is None else accepted[1]
        present, _ = await self._propose_once(record, ballot, decision)
        return present

    async def _propose_once(self, record: Record, ballot: Ballot, decision: Decision) -> tuple[Record, bool]:
        """The record after the proposal, and whether a higher ballot was in the way."""
        assert record.header is not None, "what has witnesses has a header"
        witnesses = record.header.witnesses
        own = 1 if self._bank.ispb in witnesses else 0
        question = Propose(header=record.header, ballot=ballot, decision=decision)
        answers = await self._ask_witnesses(
            record, question, majority(len(witnesses)) - own, lambda answer: _accepts(answer, ballot)
        )
        if _say_decided(answers):
            return await self._learn(record, answers), False
        others = sum(_accepts(answer, ballot) for answer in answers.values())
        outbid = self._note_outbid(record.header, answers)
        if others + own < majority(len(witnesses)):
            return record, outbid
        reply = await self._batches.owe(Accept(id=record.id, ballot=ballot, decision=decision, others=others))
        assert isinstance(reply, Known), f"an acceptance was answered with {reply}"
        present = reply.record or record
        return present, not present.state.decided

    async def _ask_witnesses(
        self, record: Record, question: Question, needed: int, counts: Callable[[Answer], bool]
    ) -> dict[Ispb, Answer]:
        """Asks all other witnesses at once; returns as soon as `needed` answers count, or a decision is known."""
        assert record.header is not None, "what has witnesses has a header"
        asking = {
            bank: asyncio.ensure_future(self._ask(bank, question))
            for bank in record.header.witnesses
            if bank != self._bank.ispb
        }
        answers: dict[Ispb, Answer] = {}
        waiting = set(asking.values())
        while waiting and sum(map(counts, answers.values())) < needed and not _say_decided(answers):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answers |= {
                bank: answer
                for bank, task in asking.items()
                if task in done and (answer := task.result()) is not None
            }
        for task in asking.values():
            # What is still under way may arrive, and be written down there: that is as if it were answered later.
            task.cancel()
        return answers

    async def _ask(self, bank: Ispb, question: Question) -> Answer | None:
        try:
            answer = await self._peers.ask(bank, question, ASK_TIMEOUT_MS)
        except PeerUnreachable:
            return None
        if isinstance(answer, Violated):
            log.warning("peer_reports_violation", peer=bank, reason=answer.reason)
        return None if isinstance(answer, Busy | Violated) else answer

    async def _learn(self, record: Record, answers: dict[Ispb, Answer]) -> Record:
        """Takes the decision that a witness says is made; if two say different things, that is written down."""
        for bank, answer in answers.items():
            if isinstance(answer, Decided):
                reply = await self._batches.owe(
                    Learn(id=record.id, decision=answer.decision, refusal=answer.refusal, said_by=bank)
                )
                assert isinstance(reply, Known), f"a decision was answered with {reply}"
                record = reply.record or record
        return record

    def _note_outbid(self, header: Header, answers: dict[Ispb, Answer]) -> bool:
        ballots = []
        for bank, answer in answers.items():
            if isinstance(answer, Outbid):
                if is_within_reach(answer.ballot, header.deadline, self._clock.now()):
                    ballots.append(answer.ballot)
                else:
                    # To outrank it would be to take a ballot that no honest witness believes either.
                    log.warning("peer_broke_the_protocol", peer=bank, payment=header.id, answer=answer)
        if ballots:
            self._outbid[header.id] = max(*ballots, self._outbid.get(header.id, ballots[0]))
        return bool(ballots)

    def forget(self) -> None:
        """Nothing is being recovered any more."""
        self._outbid.clear()


def _accepts(answer: Answer, ballot: Ballot) -> bool:
    return isinstance(answer, Accepted) and answer.ballot == ballot


def _promises(answer: Answer, ballot: Ballot) -> bool:
    return isinstance(answer, Promised) and answer.ballot == ballot


def _say_decided(answers: dict[Ispb, Answer]) -> bool:
    return any(isinstance(answer, Decided) for answer in answers.values())
