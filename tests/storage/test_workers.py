"""Several processes serve one bank from one PostgreSQL database: no account is overdrawn, no key is used twice."""

import asyncio
import multiprocessing
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from ciranda.agreement.message import Decision, Vote
from ciranda.agreement.participant import State
from ciranda.engine.input import Decide, Heard, Input
from ciranda.engine.reply import AccountMade, Answered, Known, Paid
from ciranda.identity import Address
from tests.storage.book import (
    ANA,
    FAR,
    B,
    Book,
    address,
    open_account,
    pay,
    payment_id,
    prepare,
    tell,
)

WORKERS = 3
Told = list[tuple[str, str, str]]
"""Key, payment, state: as a worker was answered."""


def in_processes(work: Callable[..., Told], *arguments: object) -> list[Told]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        futures = [pool.submit(work, worker, *arguments) for worker in range(WORKERS)]
        return [future.result(timeout=60) for future in futures]


def send(book: Book, inputs: list[Input], batch: int) -> list[object]:
    """In batches, as many at once as the database takes."""

    async def all_batches() -> list[object]:
        batches = [inputs[at : at + batch] for at in range(0, len(inputs), batch)]
        replies = await asyncio.gather(*map(book.store.transact, batches))
        return [reply for some in replies for reply in some]

    return book.wait(all_batches())


def spend(worker: int, url: str, ana: Address, others: list[Address]) -> Told:
    """A hundred orders of 1 from one account, each with its own key, in another order in each process."""
    book, dice = Book(url, seed=worker), random.Random(worker)
    orders = [pay(f"w{worker}n{n}", (ana, others[n % len(others)], 1), key=f"K{n}") for n in range(100)]
    dice.shuffle(orders)
    replies = send(book, list(orders), 7)
    book.close()
    told = []
    for order, reply in zip(orders, replies, strict=True):
        assert isinstance(reply, Paid), reply
        assert order.claim is not None, "what a client orders has a key"
        told.append((order.claim.key, str(reply.record.id), reply.record.state.value))
    return told


def test_many_workers_never_overdraw_an_account_nor_use_a_key_twice(postgresql_url: str) -> None:
    """PROTOCOL I1, I6."""
    book = Book(postgresql_url)
    ana, *others = book.open_accounts(60, 0, 0, 0)
    answers = in_processes(spend, postgresql_url, ana, others)
    outcomes = {key: (payment, state) for key, payment, state in answers[0]}
    for told in answers:
        assert {key: (payment, state) for key, payment, state in told} == outcomes
    settled = [key for key, (_, state) in outcomes.items() if state == State.COMMITTED]
    assert (len(outcomes), len(settled)) == (100, 60)
    assert book.balance(ana) == 0
    assert sum(map(book.balance, others)) == 60
    numbers = [line.entry.number for line in book.wait(book.store.entries(ana, 500, after=0))]
    assert numbers == list(range(1, 62))
    _, counts = book.wait(book.store.trial_balance())
    assert (counts.settled, counts.refused) == (61, 40)
    assert book.is_whole()
    book.close()


def answer_peers(worker: int, url: str, accounts: list[Address]) -> Told:
    """The same questions of the other bank reach every worker, twice, among payments in all directions."""
    book, dice = Book(url, seed=worker), random.Random(worker)
    inputs: list[Input] = []
    for n in range(40):
        asked = prepare(f"peer{n}", accounts[n % 3], 1)
        decision = Decision.COMMIT if n % 2 else Decision.ABORT
        inputs += [Heard(sender=B, question=asked), Heard(sender=B, question=asked)]
        inputs.append(Heard(sender=B, question=tell(asked, decision)))
        source, target = dice.sample(accounts, 2)
        inputs.append(pay(f"w{worker}n{n}", (source, target, 5), (target, source, 3)))
        inputs.append(pay(f"out{worker}n{n}", (source, FAR, 1)))
    voted = [i for i, one in enumerate(inputs) if isinstance(one, Heard)]
    replies = send(book, inputs, 10)
    told = []
    for index in voted:
        reply = replies[index]
        assert isinstance(reply, Answered), reply
        if isinstance(reply.answer, Vote):
            told.append(("vote", str(reply.answer.id), str(reply.answer.refusal is None)))
    decide = [
        Decide(id=payment_id(f"out{worker}n{n}"), decision=Decision.COMMIT, refusal=None) for n in range(40)
    ]
    for one in send(book, list(decide), 10):
        assert isinstance(one, Known)
        assert one.record is not None
        assert one.record.state.decided
    book.close()
    return told


def test_many_workers_place_and_post_one_payment_of_a_peer_once(postgresql_url: str) -> None:
    """PROTOCOL 2.5, I8. Whatever the decision overtook, each payment has one outcome, and the book is whole."""
    book = Book(postgresql_url)
    accounts = book.open_accounts(1_000, 1_000, 1_000)
    in_processes(answer_peers, postgresql_url, accounts)
    committed, sent = 0, 0
    for record in book.wait(book.store.all_payments(1_000, None)):
        if record.id.startswith(f"E{B}"):
            assert record.state.decided
            committed += record.state is State.COMMITTED
        elif record.header is not None:
            sent += record.state is State.COMMITTED
    assert sum(map(book.balance, accounts)) == 3_000 + committed - sent
    assert all((book.account(one).held, book.account(one).incoming) == (0, 0) for one in accounts)
    assert book.is_whole()
    book.close()


def open_accounts(worker: int, url: str) -> Told:
    """Each worker brings addresses of its own for the same keys."""
    book = Book(url, seed=worker)
    replies = send(book, [open_account(10 * worker + 10 + n, ANA, key=f"K{n}") for n in range(5)], 2)
    book.close()
    assert all(isinstance(reply, AccountMade) for reply in replies), replies
    return [(f"K{n}", one.account.id, "") for n, one in enumerate(replies) if isinstance(one, AccountMade)]


def test_many_workers_open_one_account_for_one_key(postgresql_url: str) -> None:
    """PROTOCOL I6."""
    book = Book(postgresql_url)
    book.open_accounts(0)
    first, *others = in_processes(open_accounts, postgresql_url)
    assert all(one == first for one in others)
    opened = {account.id for account in book.wait(book.store.accounts_of(ANA))}
    assert opened == {address(1), *(id for _, id, _ in first)}
    book.close()
