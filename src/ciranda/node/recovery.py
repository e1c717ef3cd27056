"""Recovery: whatever is unfinished stands in the database, and this loop goes on with it (PROTOCOL 5.6 and 6).

Start-up is nothing special. A payment is looked at when its time has come: an undecided one past its deadline and
grace, a decided one that somebody has not yet acknowledged. Waits are random and grow with each try, so that a bank
that returns is not stormed.
"""

import asyncio
from collections.abc import Iterable

import structlog

from ciranda.agreement.message import Ask, Decided, Decision, Violated
from ciranda.engine.bank import Bank
from ciranda.engine.input import GRACE_MS, POSTPONED_MAX_MS, Decide, Learn, Postpone
from ciranda.engine.record import Record
from ciranda.engine.reply import Known
from ciranda.engine.settling import others
from ciranda.identity import EndToEndId, Ispb
from ciranda.instant import later
from ciranda.node.batches import Batches
from ciranda.node.coordinator import Coordinator
from ciranda.node.register import RegisterClient
from ciranda.ports import Clock, Dice, Peers, PeerUnreachable, Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

AT_ONCE = 500
ASK_TIMEOUT_MS = 3_000
FIRST_WAIT_MS = 500
LONGEST_WAIT_MS = 10_000
ALONE_WAIT_MS = POSTPONED_MAX_MS - ASK_TIMEOUT_MS
ROUND_S = (0.3, 0.7)
ALONE_S = 15.0


class Recovery:
    def __init__(
        self,
        bank: Bank,
        store: Store,
        batches: Batches,
        peers: Peers,
        coordinator: Coordinator,
        register: RegisterClient,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self._bank = bank
        self._store = store
        self._batches = batches
        self._peers = peers
        self._coordinator = coordinator
        self._register = register
        self._clock = clock
        self._dice = dice
        self._tries: dict[EndToEndId, int] = {}
        self._returned: set[Ispb] = set()
        self._wake = asyncio.Event()

    def peer_returned(self, bank: Ispb) -> None:
        """A peer that was down is up: what waits for it need not wait for its time."""
        self._returned.add(bank)
        self._wake.set()

    async def run(self) -> None:
        """For ever, from the moment when somebody was there to say whether this bank was put back (PROTOCOL 2.6): what
        an older database calls undecided may have been decided since. A bank that hears nobody goes on alone."""
        try:
            await asyncio.wait_for(self._peers.met(), ALONE_S)
        except TimeoutError:
            log.warning("nobody_heard")
        while True:
            try:
                busy = await self._round()
            except Unavailable:
                busy = False
            if not busy:
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), self._dice.between(*ROUND_S))
                except TimeoutError:
                    continue

    async def _round(self) -> bool:
        """Goes once through what is due; whether there may be more."""
        returned, self._returned = self._returned, set()
        if returned:
            await self._go_on_with(returned)
        records = await self._store.due(self._clock.now(), AT_ONCE)
        await self._take(records)
        if not records:
            self._tries.clear()
            self._register.forget()
        return len(records) == AT_ONCE

    async def _go_on_with(self, returned: set[Ispb]) -> None:
        after: EndToEndId | None = None
        while True:
            records = await self._store.unfinished(AT_ONCE, after)
            now = self._clock.now()
            await self._take(
                record
                for record in records
                if returned & {*record.untold, *others(record, self._bank.ispb)}
                and (record.state.decided or self._is_late(record, now))
            )
            if len(records) < AT_ONCE:
                return
            after = records[-1].id

    def _is_late(self, record: Record, now: int) -> bool:
        """By this bank's own clock alone: others' may be wrong."""
        if record.coordinated_by(self._bank.ispb):
            # It may have waited for signatures before it began.
            assert record.header is not None, "what is undecided has left its bank, and has a header"
            return now > record.header.deadline + GRACE_MS
        return now > record.created_at + self._bank.roster.deadline_ms + GRACE_MS

    async def _take(self, records: Iterable[Record]) -> None:
        """Claims the payments for this worker for a while, and then does for each what can be done now."""
        mine = []
        for record in records:
            tries = self._tries[record.id] = self._tries.get(record.id, -1) + 1
            longest = min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** min(tries, 10))
            if not self._somebody_is_up(record):
                # Their return will bring us back at once; until then there is nobody to talk to.
                longest = ALONE_WAIT_MS
            wait = ASK_TIMEOUT_MS + int(self._dice.between(longest / 2, longest))
            mine.append((record, Postpone(id=record.id, due=later(self._clock.now(), wait))))
        if mine:
            await asyncio.gather(*(self._batches.owe(postpone) for _, postpone in mine))
            await asyncio.gather(*(self._recover(record) for record, _ in mine))

    def _somebody_is_up(self, record: Record) -> bool:
        banks = record.untold or others(record, self._bank.ispb)
        return any(self._peers.reachable(bank) for bank in banks)

    async def _recover(self, record: Record) -> None:
        try:
            if record.state.decided:
                self._coordinator.tell(record)
            elif not self._coordinator.attempting(record.id):
                await self._find_decision(record)
        except Unavailable:
            # The database is away: the payment stays due.
            return

    async def _find_decision(self, record: Record) -> None:
        assert record.header is not None, "what is undecided has left its bank, and has a header"
        ours = record.coordinated_by(self._bank.ispb)
        if len(record.header.witnesses) > 1:
            found = await self._register.recover(record)
            if not found.state.decided:
                await self._ask_participants(record)
                return
        elif ours:
            # The attempt is dead, and this bank is the only witness: it decides abort (PROTOCOL 5.5).
            reply = await self._batches.owe(Decide(id=record.id, decision=Decision.ABORT, refusal=None))
            assert isinstance(reply, Known), f"a decision was answered with {reply}"
            found = reply.record or record
        else:
            await self._ask_participants(record)
            return
        if ours:
            self._coordinator.tell(found)
        else:
            self._coordinator.spread(found)

    async def _ask_participants(self, record: Record) -> None:
        """Asks the only witness, or where a majority cannot be reached any bank of the payment: of these answers
        only a decision counts (PROTOCOL 6.6)."""
        header = record.header
        assert header is not None, "what was prepared for another bank has a header"
        witnesses = header.witnesses if len(header.witnesses) == 1 else ()
        banks = [*witnesses, *(bank for bank in header.participants if bank not in header.witnesses)]
        for bank in banks:
            if bank == self._bank.ispb or not self._peers.reachable(bank):
                continue
            try:
                answer = await self._peers.ask(bank, Ask(header=header, ballot=None), ASK_TIMEOUT_MS)
            except PeerUnreachable:
                continue
            if isinstance(answer, Decided):
                learned = Learn(id=record.id, decision=answer.decision, refusal=answer.refusal, said_by=bank)
                await self._batches.owe(learned)
                return
            if isinstance(answer, Violated):
                log.warning("peer_reports_violation", peer=bank, payment=record.id, reason=answer.reason)
