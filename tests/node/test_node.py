"""The whole node, bank beside bank: what a payment does when all is well, and when it is not."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ciranda.agreement.message import Question
from ciranda.agreement.participant import State
from ciranda.identity import Ispb
from ciranda.ports import PeerUnreachable
from ciranda.refusal import Code
from tests.node.banks import ANA, BIA, DEADLINE_MS, Banks, consortium

A, B, C, D = (Ispb(f"1000000{digit}") for digit in "1234")


def run(
    folder: Path,
    story: Callable[[Banks], Awaitable[None]],
    witnesses: int = 3,
    deadline_ms: int = DEADLINE_MS,
) -> None:
    async def tell() -> None:
        async with consortium(folder, witnesses=witnesses, deadline_ms=deadline_ms) as banks:
            await story(banks)

    asyncio.run(tell())


async def package(banks: Banks, key: str | None = None) -> State:
    """Ana, at B, pays Bia at D out of her accounts at A, B and C."""
    tokens = [await banks.mandate(A, ANA, B), None, await banks.mandate(C, ANA, B)]
    shop = banks.accounts[D, BIA]
    record = await banks.pay(
        B,
        ANA,
        [(banks.accounts[bank, ANA], shop, amount) for bank, amount in ((A, 1_000), (B, 2_000), (C, 3_000))],
        tokens,
        key=key,
    )
    return record.state


def losing(sender: Ispb | None, receiver: Ispb | None, kind: str) -> Callable[..., Awaitable[None]]:
    async def lose(from_bank: Ispb, to_bank: Ispb, question: Question) -> None:
        if sender in (None, from_bank) and receiver in (None, to_bank) and type(question).__name__ == kind:
            raise PeerUnreachable(to_bank)

    return lose


def test_a_payment_from_three_banks_to_a_fourth_settles_in_all_of_them(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        assert await package(banks) is State.COMMITTED
        await banks.settled()
        assert await banks.balance(A, ANA) == (99_000, 0)
        assert await banks.balance(B, ANA) == (98_000, 0)
        assert await banks.balance(C, ANA) == (97_000, 0)
        assert await banks.balance(D, BIA) == (106_000, 0)
        await banks.audit()

    run(tmp_path, story)


def test_a_payment_that_one_bank_refuses_happens_in_none(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        tokens = [await banks.mandate(A, ANA, B), await banks.mandate(C, ANA, B, total=10)]
        shop = banks.accounts[D, BIA]
        record = await banks.pay(
            B, ANA, [(banks.accounts[A, ANA], shop, 500), (banks.accounts[C, ANA], shop, 11)], tokens
        )
        assert record.refusal is not None
        assert (record.refusal.code, record.refusal.bank) == (Code.MANDATE_EXCEEDED, C)
        await banks.settled()
        assert await banks.balance(A, ANA) == (100_000, 0)
        mandates = await banks.stores[A].mandates_of(ANA)
        assert [mandate.used for mandate in mandates] == [0]
        await banks.audit()

    run(tmp_path, story)


@pytest.mark.parametrize("lost", ["Prepare", "Propose", "Tell"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_message_is_only_a_delay(tmp_path: Path, lost: str, when: str) -> None:
    """The question is lost on its way there, or its answer on its way back, once for each bank."""

    async def story(banks: Banks) -> None:
        seen: set[tuple[Ispb, Ispb]] = set()

        async def lose_once(from_bank: Ispb, to_bank: Ispb, question: Question) -> None:
            if type(question).__name__ == lost and (from_bank, to_bank) not in seen:
                seen.add((from_bank, to_bank))
                raise PeerUnreachable(to_bank)

        setattr(banks.network, when, lose_once)
        state = await package(banks)
        await banks.settled()
        assert seen
        assert await banks.balance(D, BIA) == (106_000 if state is State.COMMITTED else 100_000, 0)
        await banks.audit()

    run(tmp_path, story)


def test_when_the_coordinator_dies_for_ever_after_the_votes_the_others_undo_the_payment(
    tmp_path: Path,
) -> None:
    """No hostage: the witnesses that live decide without it (PROTOCOL 6)."""

    async def story(banks: Banks) -> None:
        proposed = asyncio.Event()

        async def die(from_bank: Ispb, to_bank: Ispb, question: Question) -> None:
            if from_bank == B and type(question).__name__ == "Propose":
                proposed.set()
                raise PeerUnreachable(to_bank)

        banks.network.before = die
        paying = asyncio.create_task(package(banks))
        await asyncio.wait_for(proposed.wait(), 5)
        await banks.kill(B)
        paying.cancel()
        assert await banks.balance(A, ANA) == (100_000, 1_000)
        await banks.settled()
        assert await banks.balance(A, ANA) == (100_000, 0)
        assert await banks.balance(C, ANA) == (100_000, 0)
        banks.network.before = None
        await banks.start(B)
        await banks.settled()
        assert await banks.balance(B, ANA) == (100_000, 0)
        await banks.audit()

    run(tmp_path, story)


def test_when_the_coordinator_dies_after_a_majority_wrote_commit_the_others_finish_the_payment(
    tmp_path: Path,
) -> None:
    """PROTOCOL 4.4: what a majority accepted is the decision, though nobody was told yet."""

    async def story(banks: Banks) -> None:
        accepted: set[Ispb] = set()
        enough = asyncio.Event()

        async def die(from_bank: Ispb, to_bank: Ispb, question: Question) -> None:
            if from_bank == B and type(question).__name__ == "Propose":
                accepted.add(to_bank)
                if len(accepted) == 2:
                    enough.set()
                raise PeerUnreachable(to_bank)

        banks.network.after = die
        banks.network.before = losing(B, None, "Tell")
        paying = asyncio.create_task(package(banks))
        await asyncio.wait_for(enough.wait(), 5)
        await banks.kill(B)
        paying.cancel()
        await banks.settled()
        assert await banks.balance(A, ANA) == (99_000, 0)
        assert await banks.balance(D, BIA) == (104_000, 0) or await banks.balance(D, BIA) == (106_000, 0)
        banks.network.before = banks.network.after = None
        await banks.start(B)
        await banks.settled()
        assert await banks.balance(B, ANA) == (98_000, 0)
        await banks.audit()

    run(tmp_path, story)


def test_with_one_witness_the_others_wait_for_the_coordinator_and_then_learn(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        banks.network.before = losing(B, None, "Tell")
        assert await package(banks) is State.COMMITTED
        await banks.kill(B)
        assert await banks.balance(A, ANA) == (100_000, 1_000)
        banks.network.before = None
        await banks.start(B)
        await banks.settled()
        assert await banks.balance(A, ANA) == (99_000, 0)
        await banks.audit()

    run(tmp_path, story, witnesses=1)


def test_many_payments_at_once_over_the_same_accounts_keep_the_sum(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        async def one(number: int) -> State:
            source, target = banks.ispbs[number % 4], banks.ispbs[(number * 7 + 1) % 4]
            record = await banks.pay(
                source, ANA, [(banks.accounts[source, ANA], banks.accounts[target, BIA], 700)]
            )
            return record.state

        states = await asyncio.gather(*(one(number) for number in range(1_000)))
        await banks.settled()
        assert {State.COMMITTED, State.ABORTED} == set(states)
        await banks.audit()

    run(tmp_path, story, deadline_ms=30_000)


def test_one_key_sent_many_times_at_once_is_one_payment(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        def one() -> Awaitable[object]:
            return banks.pay(A, ANA, [(banks.accounts[A, ANA], banks.accounts[D, BIA], 100)], key="the same")

        records = await asyncio.gather(*(one() for _ in range(20)))
        assert len({repr(record) for record in records}) <= 2, "the same payment, told or not"
        await banks.settled()
        assert await banks.balance(D, BIA) == (100_100, 0)
        await banks.audit()

    run(tmp_path, story)
