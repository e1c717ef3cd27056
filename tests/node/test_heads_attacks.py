"""A bank that has altered its own software as well, and answers what its peers want to hear."""

import asyncio
from pathlib import Path

from ciranda.agreement.message import HeadShown
from ciranda.identity import Ispb
from ciranda.wire.head import Hand
from tests.node.banks import KEYS, consortium

A, B = Ispb("10000001"), Ispb("10000002")


def test_two_heads_that_a_bank_signed_for_one_folio_are_evidence_whatever_it_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with consortium(tmp_path, count=2, witnesses=1) as banks:
            keeper, store = banks[B]._heads, banks.stores[B]
            hand, now = Hand(A, banks.roster, KEYS[A]), banks.clock.now()
            one, other = (hand.sign(1_000, hash, now) for hash in (b"1" * 32, b"2" * 32))
            await keeper._take(A, None, HeadShown(head=one, hash=None))
            await keeper._take(A, one, HeadShown(head=one, hash=one.hash))
            assert await store.disputes(10) == []
            await keeper._take(A, one, HeadShown(head=other, hash=one.hash))
            (dispute,) = await store.disputes(10)
            assert (dispute.head, dispute.shown) == (one, other.hash)
            assert await store.newest_head(A) == one

    asyncio.run(story())
