"""A member with a valid key that does what no honest bank does: what it gets, and what is seen of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.header import Header, digest
from ciranda.agreement.message import (
    Answer,
    Ask,
    Busy,
    Decision,
    Done,
    Outbid,
    Propose,
    Question,
    Tell,
    Violated,
    Vote,
)
from ciranda.agreement.participant import State
from ciranda.assembly import SystemDice
from ciranda.identity import EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.node import answers
from ciranda.node.register import RegisterClient
from ciranda.ports import PeerUnreachable
from ciranda.refusal import Code, Refusal
from tests.node.banks import ANA, BIA, Banks, consortium

A, B, C = (Ispb(f"1000000{digit}") for digit in "123")

Lie = Callable[[Question], Answer | None]
"""What the liar answers; None: the truth."""


def run(folder: Path, story: Callable[[Banks], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with consortium(folder, count=3) as banks:
            await story(banks)

    asyncio.run(tell())


def lies(banks: Banks, liar: Ispb, lie: Lie) -> None:
    doors = banks[liar].answers
    truth = doors.respond

    async def respond(sender: Ispb, questions: Sequence[Question]) -> list[Answer]:
        honest = await truth(sender, questions)
        return [lie(question) or answer for question, answer in zip(questions, honest, strict=True)]

    doors.respond = respond  # type: ignore[method-assign]


def test_a_bank_that_answers_with_the_highest_ballot_of_all_keeps_nobody_from_deciding(
    tmp_path: Path,
) -> None:
    """Whoever outranked it would come to a round that no honest witness believes, and never down again."""

    async def story(banks: Banks) -> None:
        rounds: list[int] = []

        def highest(question: Question) -> Answer | None:
            if not isinstance(question, Ask | Propose):
                return None
            return Outbid(id=question.header.id, ballot=Ballot(2**62, C, 2**64 - 1))

        async def lose(_sender: Ispb, receiver: Ispb, question: Question) -> None:
            ballot = question.ballot if isinstance(question, Ask | Propose) else None
            if ballot is not None:
                rounds.append(ballot.round)
                if receiver != C:
                    raise PeerUnreachable(receiver)

        lies(banks, C, highest)
        banks.network.before = lose
        token = await banks.mandate(A, ANA, B)
        source, target = banks.accounts[A, ANA], banks.accounts[C, BIA]
        record = await banks.pay(B, ANA, [(source, target, 500)], [token])
        assert not record.state.decided
        node = banks[B]
        register = RegisterClient(node.bank, node.batches, node.peers, banks.clock, SystemDice())
        for _ in range(3):
            await register.recover(record)
        assert max(rounds) < 100
        banks.network.before = None
        await banks.settled()
        await banks.audit()

    run(tmp_path, story)


def test_a_customer_is_told_who_really_refused_a_payment(tmp_path: Path) -> None:
    async def story(banks: Banks) -> None:
        def blame(question: Question) -> Answer | None:
            header = getattr(question, "header", None)
            return header and Vote(id=header.id, refusal=Refusal(code=Code.INSUFFICIENT_FUNDS, bank=A))

        lies(banks, C, blame)
        record = await banks.pay(
            B, ANA, [(banks.accounts[B, ANA], banks.accounts[at, BIA], 500) for at in (A, C)]
        )
        assert record.refusal == Refusal(code=Code.INSUFFICIENT_FUNDS, bank=C)

    run(tmp_path, story)


def test_a_bank_that_asks_without_measure_does_not_keep_our_customers_from_paying(tmp_path: Path) -> None:
    """It filled the queue, and every customer was told that the bank is overloaded."""

    async def story(banks: Banks) -> None:
        def telling(number: int) -> Tell:
            header = Header(
                id=EndToEndId(f"E{C}202611230514{number:011d}"),
                deadline=Instant(0),
                participants=(A, C),
                witnesses=(C,),
                roster_version=1,
                leaves=("0" * 64,),
            )
            return Tell(
                id=header.id, digest=digest(header), decision=Decision.ABORT, refusal=None, header=header
            )

        node = banks[A]
        questions = [telling(number) for number in range(4 * answers.TURNS_MAX)]
        flood = asyncio.gather(*(node.answers.respond(C, questions) for _ in range(4)))
        await asyncio.sleep(0)
        assert node.batches.waiting <= answers.TURNS_MAX
        assert not node.batches.busy
        paid = await banks.pay(A, ANA, [(banks.accounts[A, ANA], banks.accounts[A, BIA], 500)])
        assert paid.state is State.COMMITTED
        assert not flood.done(), "the customer waits for some of it, and not for all"
        assert {type(answer) for said in await flood for answer in said} == {Done}
        more = questions * (answers.QUESTIONS_MAX // len(questions) + 1)
        assert set(await node.answers.respond(C, more)) == {Busy()}

    run(tmp_path, story)


def test_what_a_bank_does_wrong_is_written_down_until_it_is_too_much_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each violation is a row for ever: a bank that makes them without measure fills nobody's disk."""
    monkeypatch.setattr(answers, "LIES_MAX", 3)

    async def story(banks: Banks) -> None:
        token = await banks.mandate(A, ANA, B)
        paid = await banks.pay(B, ANA, [(banks.accounts[A, ANA], banks.accounts[C, BIA], 500)], [token])
        assert paid.header is not None
        unknown = replace(paid.header, id=EndToEndId(f"E{A}202611230514abcDEF12345"), witnesses=(A,))
        said = [(await banks[A].answers.respond(C, [Ask(header=unknown, ballot=None)]))[0] for _ in range(5)]
        assert [type(answer) for answer in said] == [Violated] * 3 + [Busy] * 2
        assert len(await banks.stores[A].violations(10)) == 3
        (other,) = await banks[A].answers.respond(B, [Ask(header=unknown, ballot=None)])
        assert isinstance(other, Violated), "each bank has its own measure"
        banks.clock.ahead_ms += 60_000
        (later,) = await banks[A].answers.respond(C, [Ask(header=unknown, ballot=None)])
        assert isinstance(later, Violated)
        await banks.settled()

    run(tmp_path, story)
