"""Heads: the banks hold copies of how far each other's chains go, so that none can write its history anew unseen.

Now and then each bank asks every other for the signed head of its chain, and shows its newest copy of an earlier one.
The other says what its chain has at that number. A chain only grows: if it is shorter than the copy, or has another
hash there, the bank's history is not what it signed. Then the copy stays, what is shown instead is not taken, and the
copy itself is the evidence: it is written down by its holder, and by the bank that is shown its own signature.

That is all that happens. No payment waits for it, and none is refused because of it: which of two histories is true is
for people to find out (docs/OPERATING.md).
"""

import asyncio
from contextlib import suppress

import structlog

from ciranda.agreement.message import HeadShown, ShowHead
from ciranda.chain import SignedHead
from ciranda.engine.bank import Bank
from ciranda.identity import Ispb
from ciranda.instant import later
from ciranda.ports import Clock, Dice, Dispute, Hand, Peers, PeerUnreachable, Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

EXCHANGE_EVERY_S = 60.0
ASK_TIMEOUT_MS = 3_000
MEET_S = 15.0
KEPT_MS = 366 * 24 * 60 * 60 * 1000


class HeadKeeper:
    def __init__(
        self,
        bank: Bank,
        store: Store,
        peers: Peers,
        hand: Hand,
        clock: Clock,
        dice: Dice,
        every_s: float = EXCHANGE_EVERY_S,
    ) -> None:
        self._bank = bank
        self._store = store
        self._peers = peers
        self._hand = hand
        self._clock = clock
        self._dice = dice
        self._every_s = every_s

    async def run(self) -> None:
        """For ever, from the moment when somebody is there to be asked."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._peers.met(), MEET_S)
        while True:
            await self.exchange()
            # Not all banks at once, nor all workers of one.
            await asyncio.sleep(self._dice.between(0.75, 1.25) * self._every_s)

    async def exchange(self) -> None:
        """Asks every peer that is up. One that does not answer is asked next time."""
        peers = [member.ispb for member in self._bank.roster.peers_of(self._bank.ispb)]
        await asyncio.gather(*(self._ask(peer) for peer in peers if self._peers.reachable(peer)))

    async def _ask(self, peer: Ispb) -> None:
        try:
            copy = await self._store.newest_head(peer)
            answer = await self._peers.ask(peer, ShowHead(copy=copy), ASK_TIMEOUT_MS)
            if isinstance(answer, HeadShown):
                await self._take(peer, copy, answer)
        except (PeerUnreachable, Unavailable):
            return

    async def _take(self, peer: Ispb, copy: SignedHead | None, shown: HeadShown) -> None:
        if shown.head.bank != peer or not self._hand.is_of_member(shown.head):
            log.warning("head_not_signed", peer=peer, number=shown.head.number)
        elif copy is not None and _contradicts(copy, shown.head.number, shown.hash):
            await self._dispute(self._bank.ispb, copy, shown.hash)
        elif copy is not None and shown.head.number == copy.number and shown.head.hash != copy.hash:
            # Whatever it says of the copy, it has signed two histories.
            await self._dispute(self._bank.ispb, copy, shown.head.hash)
        elif copy is None or shown.head.number > copy.number:
            now = self._clock.now()
            await self._store.keep_head(shown.head, now, forget_before=later(now, -KEPT_MS))

    async def show(self, sender: Ispb, question: ShowHead) -> HeadShown:
        """Our own head, and what our chain has where the peer's copy of an earlier one stands."""
        copy = question.copy
        number, hash, there = await self._store.chain(None if copy is None else copy.number)
        own = copy is not None and copy.bank == self._bank.ispb and self._hand.is_of_member(copy)
        if copy is not None and own and _contradicts(copy, number, there):
            await self._dispute(sender, copy, there)
        return HeadShown(head=self._hand.sign(number, hash, self._clock.now()), hash=there)

    async def _dispute(self, holder: Ispb, copy: SignedHead, shown: bytes | None) -> None:
        dispute = Dispute(holder=holder, head=copy, shown=shown, seen_at=self._clock.now())
        if await self._store.add_dispute(dispute):
            log.error("history_disputed", of=copy.bank, holder=holder, folio=copy.number)


def _contradicts(copy: SignedHead, number: int, there: bytes | None) -> bool:
    """Whether a chain that ends at `number`, with the hash `there` where the copy stands, is not the copy's."""
    return number < copy.number or there != copy.hash
