"""Banks hold each other to the heads of their chains; and a payment never waits for that."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ciranda.agreement.message import HeadShown, Question, ShowHead
from ciranda.agreement.participant import State
from ciranda.chain import SignedHead
from ciranda.identity import Ispb
from ciranda.ports import PeerUnreachable
from ciranda.wire.head import Hand, is_signed
from tests.node.banks import ANA, BIA, DEADLINE_MS, KEYS, Banks, consortium
from tests.storage.forger import Forger

A, B = Ispb("10000001"), Ispb("10000002")


def run(folder: Path, story: Callable[[Banks], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with consortium(folder, count=2, deadline_ms=DEADLINE_MS) as banks:
            await story(banks)

    asyncio.run(tell())


async def exchange(banks: Banks, at: Ispb) -> None:
    await banks[at]._heads.exchange()


async def copy_of(banks: Banks, holder: Ispb, bank: Ispb) -> SignedHead:
    copy = await banks.stores[holder].newest_head(bank)
    assert copy is not None
    return copy


def forge(banks: Banks, ispb: Ispb) -> None:
    """A careful hand in the bank's file, behind its back."""
    forger = Forger(banks.folder / f"{ispb}.db")
    forger.do("UPDATE entries SET booked_at = booked_at + 1")
    forger.make_fit()


async def disputes_of(banks: Banks, holder: Ispb) -> list[tuple[Ispb, Ispb, int, bool]]:
    found = await banks.stores[holder].disputes(10)
    return [(one.head.bank, one.holder, one.head.number, one.shown is None) for one in found]


def test_a_bank_holds_a_signed_copy_of_its_peers_head(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        await exchange(banks, A)
        copy = await copy_of(banks, A, B)
        number, hash, _ = await banks.stores[B].chain(None)
        assert (copy.bank, copy.number, copy.hash) == (B, number, hash)
        assert is_signed(copy)
        assert not is_signed(replace(copy, number=copy.number - 1))
        assert await disputes_of(banks, A) == []

    run(tmp_path, story)


def test_a_chain_that_goes_on_is_followed(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        await exchange(banks, A)
        before = await copy_of(banks, A, B)
        await banks.pay(B, ANA, [(banks.accounts[B, ANA], banks.accounts[B, BIA], 5)])
        await exchange(banks, A)
        assert (await copy_of(banks, A, B)).number > before.number
        assert await disputes_of(banks, A) == await disputes_of(banks, B) == []

    run(tmp_path, story)


def test_banks_at_rest_write_nothing(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        for at in (A, B, A, B):
            await exchange(banks, at)
        heights = [await store.read_height() for store in banks.stores.values()]
        chains = [await store.chain(None) for store in banks.stores.values()]
        await exchange(banks, A)
        assert [await store.read_height() for store in banks.stores.values()] == heights
        assert [await store.chain(None) for store in banks.stores.values()] == chains

    run(tmp_path, story)


def test_a_bank_that_rewrote_its_history_is_caught_by_its_peers_copy_and_payments_go_on(
    tmp_path: Path,
) -> None:
    async def story(banks: Banks) -> None:
        await exchange(banks, A)
        copy = await copy_of(banks, A, B)
        forge(banks, B)
        await banks.pay(B, ANA, [(banks.accounts[B, ANA], banks.accounts[B, BIA], 5)])
        with capture_logs() as logs:
            await exchange(banks, A)
            await exchange(banks, A)
        told = [
            (line["of"], line["holder"], line["folio"])
            for line in logs
            if line["event"] == "history_disputed"
        ]
        assert told == [(B, A, copy.number)] * 2, "each of the two banks says it once"
        assert await disputes_of(banks, A) == await disputes_of(banks, B) == [(B, A, copy.number, False)]
        assert await copy_of(banks, A, B) == copy, "the evidence stays"
        token = await banks.mandate(B, ANA, A)
        record = await banks.pay(A, ANA, [(banks.accounts[B, ANA], banks.accounts[A, ANA], 7)], [token])
        assert record.state is State.COMMITTED

    run(tmp_path, story)


def test_a_chain_that_was_cut_is_disputed(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        await exchange(banks, A)
        copy = await copy_of(banks, A, B)
        Forger(banks.folder / f"{B}.db").do("DELETE FROM folios WHERE number > ?", copy.number - 1)
        await exchange(banks, A)
        assert await disputes_of(banks, A) == [(B, A, copy.number, True)]

    run(tmp_path, story)


def test_a_head_that_the_peer_did_not_sign_is_not_kept(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        before = await banks.stores[A].newest_head(B)
        await banks.pay(B, ANA, [(banks.accounts[B, ANA], banks.accounts[B, BIA], 5)])
        banks[B]._heads._hand = Hand(B, banks.roster, KEYS[A])
        with capture_logs() as logs:
            await exchange(banks, A)
        assert await banks.stores[A].newest_head(B) == before
        assert [line["event"] for line in logs] == ["head_not_signed"]

    run(tmp_path, story)


def test_a_copy_that_a_bank_did_not_sign_itself_is_no_evidence_against_it(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        made_up = Hand(B, banks.roster, KEYS[A]).sign(3, bytes(32), banks.clock.now())
        (answer,) = await banks[B].answers.respond(A, [ShowHead(copy=made_up)])
        assert isinstance(answer, HeadShown)
        true = Hand(A, banks.roster, KEYS[A]).sign(3, bytes(32), banks.clock.now())
        await banks[B].answers.respond(A, [ShowHead(copy=true)])
        assert await disputes_of(banks, B) == []

    run(tmp_path, story)


@pytest.mark.parametrize("fails", [True, False])
def test_a_peer_that_does_not_answer_is_asked_next_time(tmp_path: Path, fails: bool) -> None:
    async def story(banks: Banks) -> None:
        async def lose(_from: Ispb, to_bank: Ispb, question: Question) -> None:
            if isinstance(question, ShowHead):
                raise PeerUnreachable(to_bank)

        if fails:
            banks.network.before = lose
        else:
            banks.network.down.add(B)
        before = await banks.stores[A].newest_head(B)
        await banks.pay(B, ANA, [(banks.accounts[B, ANA], banks.accounts[B, BIA], 5)])
        await exchange(banks, A)
        assert await banks.stores[A].newest_head(B) == before
        banks.network.before = None
        banks.network.down.clear()
        await exchange(banks, A)
        assert await copy_of(banks, A, B) != before

    run(tmp_path, story)


def test_a_bank_begins_to_exchange_by_itself(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        # The second one to start finds the first one there.
        async with asyncio.timeout(10):
            while await banks.stores[B].newest_head(A) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(tmp_path, story)


def test_what_was_kept_of_a_peer_can_be_read_by_anybody_with_the_file(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        await exchange(banks, A)
        with closing(sqlite3.connect(banks.folder / f"{A}.db")) as connection:
            rows = connection.execute("SELECT ispb, length(signature) FROM heads").fetchall()
        assert set(rows) == {(B, 64)}

    run(tmp_path, story)
