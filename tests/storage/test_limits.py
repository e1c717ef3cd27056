"""Limits and mandates on both databases: counted once, under the same locks as the money, and given back."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from ciranda.agreement.header import Header, Part, leaf
from ciranda.agreement.message import Decision, Permission, Prepare, Vote
from ciranda.agreement.participant import State
from ciranda.engine.input import GiveMandate, Heard, Input, PauseMandate, SetLimits
from ciranda.engine.limits import Figures, Limit, LimitRules, Limits, Span
from ciranda.engine.mandate import Mandate, token_of
from ciranda.engine.reply import Answered, LimitsSet, MandateMade, Paid
from ciranda.identity import EndToEndId
from ciranda.instant import Instant, later, parse_rfc3339
from ciranda.payment import Transfer
from ciranda.period import Period
from ciranda.refusal import Code
from tests.storage.book import ANA, FAR, NOW, A, B, Book, address, pay, payment_id, tell
from tests.storage.test_workers import Told, in_processes, send

NOON = parse_rfc3339("2026-11-23T12:00:00-03:00")
EVENING = parse_rfc3339("2026-11-23T21:00:00-03:00")
DAY, NEXT_DAY, NIGHT = (Period(text) for text in ("2026-11-23", "2026-11-24", "2026-11-23 night"))
DAY_MS = 24 * 60 * 60 * 1000
RULES = LimitRules(
    persons=Figures(per_transfer=500, per_day=1_000, per_night=600),
    companies=Figures(),
)
MANDATE = Mandate(
    id="M1",
    account=address(1),
    giver=ANA,
    initiator=B,
    payer=ANA,
    scopes=("pay",),
    per_payment=None,
    total=None,
    used=0,
    created_at=NOW,
    expires_at=Instant(2**50),
    revoked_at=None,
    approved_at=NOW,
)
TOKEN = token_of("M1", bytes(32))


@pytest.fixture
def limited(url: str) -> Iterator[Book]:
    """A bank that keeps limits."""
    book = Book(url, limits=RULES)
    book.clock.time = NOON
    yield book
    book.close()


def debit(name: str, amount: int) -> Prepare:
    """The other bank asks for Ana: `amount` from account 1 to FAR."""
    transfer = Transfer(source=address(1), target=FAR, amount=amount)
    part = Part(index=0, transfer=transfer, salt="00" * 16)
    header = Header(
        id=payment_id(name, B),
        deadline=later(NOW, 5_000),
        participants=(A, B),
        witnesses=(B,),
        roster_version=1,
        leaves=(leaf(part),),
    )
    return Prepare(
        header=header,
        parts=(part,),
        payer=ANA,
        permissions=(Permission(index=0, mandate=TOKEN),),
        description="Luz",
        reference=None,
        time_left_ms=5_000,
    )


def votes(replies: Sequence[object]) -> Counter[Code | None]:
    """None: yes."""
    found: Counter[Code | None] = Counter()
    for reply in replies:
        assert isinstance(reply, Answered), reply
        assert isinstance(reply.answer, Vote), reply
        found[None if reply.answer.refusal is None else reply.answer.refusal.code] += 1
    return found


def spent(book: Book, *periods: Period) -> list[int]:
    """Out of account 1."""
    found = book.wait(book.store.spent(address(1), periods))
    return [found[period] for period in periods]


def refusals(book: Book, *orders: Input) -> list[Code | None]:
    codes = []
    for reply in book.do(*orders):
        assert isinstance(reply, Paid), reply
        codes.append(None if reply.record.refusal is None else reply.record.refusal.code)
    return codes


def test_what_leaves_an_account_is_counted_by_day_and_by_night_in_one_batch(limited: Book) -> None:
    ana, bia = limited.open_accounts(5_000, 0)
    assert refusals(
        limited,
        pay("P1", (ana, bia, 501)),
        pay("P2", (ana, bia, 500)),
        pay("P3", (ana, bia, 250), (ana, bia, 251)),
        pay("P4", (ana, FAR, 500)),
        pay("P5", (ana, bia, 1)),
        pay("P6", (bia, ana, 400)),
    ) == [Code.LIMIT_EXCEEDED, None, Code.LIMIT_EXCEEDED, None, Code.LIMIT_EXCEEDED, None]
    assert spent(limited, DAY, NIGHT) == [1_000, 0]
    limited.clock.time = later(EVENING, DAY_MS)
    assert refusals(limited, pay("P7", (ana, bia, 500)), pay("P8", (ana, bia, 101))) == [
        None,
        Code.LIMIT_EXCEEDED,
    ]
    assert spent(limited, DAY, NEXT_DAY, Period("2026-11-24 night")) == [1_000, 500, 500]
    assert limited.is_whole()


def test_an_abort_gives_back_what_was_counted_also_on_another_day(limited: Book) -> None:
    limited.clock.time = EVENING
    ana, bia = limited.open_accounts(5_000, 0)
    limited.do(GiveMandate(claim=None, mandate=replace(MANDATE, per_day=400)))
    asked = debit("P1", 400)
    assert votes(limited.do(Heard(sender=B, question=asked))) == {None: 1}
    assert spent(limited, DAY, NIGHT) == [400, 400]
    limited.clock.time = later(EVENING, DAY_MS)
    limited.do(pay("P2", (ana, bia, 300)))
    limited.hear(tell(asked, Decision.ABORT))
    limited.hear(tell(asked, Decision.ABORT))
    assert spent(limited, DAY, NIGHT, NEXT_DAY) == [0, 0, 300]
    limited.clock.time = EVENING
    assert votes(limited.do(Heard(sender=B, question=debit("P3", 400)))) == {None: 1}


def test_without_limits_nothing_is_counted(book: Book) -> None:
    ana, bia = book.open_accounts(5_000, 0)
    (record,) = book.paid(pay("P1", (ana, bia, 5_000)))
    assert record.counted == ()
    assert spent(book, DAY, NIGHT) == [0, 0]


def test_what_was_counted_before_limits_were_switched_off_is_given_back(
    url: str, books: Callable[[str], Book]
) -> None:
    before = Book(url, limits=RULES)
    before.clock.time = NOON
    before.open_accounts(5_000)
    before.do(GiveMandate(claim=None, mandate=MANDATE))
    asked = debit("P1", 400)
    before.hear(asked)
    before.close()
    after = books(url)
    after.hear(tell(asked, Decision.ABORT))
    assert spent(after, DAY) == [0]


def test_chosen_limits_are_kept_and_act_at_their_time(limited: Book) -> None:
    ana, bia = limited.open_accounts(5_000, 0)
    store = limited.store
    assert limited.wait(store.limits(address(1))) == Limits(account=address(1))
    amounts = {Span.DAY: 100, Span.NIGHT: 900}
    (reply,) = limited.do(SetLimits(caller=ANA, account=address(1), amounts=amounts))
    chosen = Limits(
        account=address(1),
        per_day=Limit(chosen=100),
        per_night=Limit(raised_to=900, raised_at=later(NOON, DAY_MS)),
    )
    assert reply == LimitsSet(limits=chosen)
    assert limited.wait(store.limits(address(1))) == chosen
    orders = [pay("P1", (ana, bia, 101)), pay("P2", (ana, bia, 100)), pay("P3", (ana, bia, 1))]
    assert refusals(limited, *orders) == [Code.LIMIT_EXCEEDED, None, Code.LIMIT_EXCEEDED]
    raised = SetLimits(caller=ANA, account=address(1), amounts={Span.DAY: 1_000})
    # What is chosen counts for what comes after it in the same batch.
    assert refusals(limited, pay("P4", (ana, bia, 1))) == [Code.LIMIT_EXCEEDED]
    limited.do(raised)
    limited.clock.time = later(EVENING, DAY_MS)
    assert refusals(
        limited, pay("P5", (ana, bia, 500)), pay("P6", (ana, bia, 400)), pay("P7", (ana, bia, 1))
    ) == [None, None, Code.LIMIT_EXCEEDED]


def test_the_uses_of_a_mandate_are_listed_with_what_became_of_them(book: Book) -> None:
    book.open_accounts(5_000)
    book.do(GiveMandate(claim=None, mandate=replace(MANDATE, per_day=1_000)))
    asked = [debit(f"P{n}", 100 + n) for n in range(4)]
    for n, one in enumerate(asked):
        book.clock.time = later(NOON, n // 2)
        assert book.hear(one) == book.hear(one)
    book.hear(tell(asked[0], Decision.COMMIT))
    book.hear(tell(asked[3], Decision.ABORT))
    store = book.store
    lines = book.wait(store.uses("M1", 10, None))
    assert [(line.use.amount, line.record.state, line.record.description) for line in lines] == [
        (103, State.ABORTED, "Luz"),
        (102, State.PREPARED, "Luz"),
        (101, State.PREPARED, "Luz"),
        (100, State.COMMITTED, "Luz"),
    ]
    place: tuple[Instant, EndToEndId] | None = None
    paged = []
    while some := book.wait(store.uses("M1", 1, place)):
        paged += some
        place = (some[-1].use.used_at, some[-1].use.payment)
    assert paged == lines
    assert book.wait(store.used_since(["M1", "M2"], NOON)) == {"M1": 303}
    assert book.wait(store.used_since(["M1"], later(NOON, 1))) == {"M1": 102}
    mandate = book.wait(store.mandate("M1"))
    assert mandate is not None
    assert mandate.used == 303


def test_a_mandate_is_paused_and_resumed(book: Book) -> None:
    book.open_accounts(5_000)
    book.do(GiveMandate(claim=None, mandate=MANDATE))
    paused = replace(MANDATE, paused_at=NOW)
    assert book.do(PauseMandate(caller=ANA, id="M1", paused=True)) == [MandateMade(mandate=paused)]
    assert book.wait(book.store.mandate("M1")) == paused
    assert votes(book.do(Heard(sender=B, question=debit("P1", 1)))) == {Code.NOT_PERMITTED: 1}
    book.do(PauseMandate(caller=ANA, id="M1", paused=False))
    assert votes(book.do(Heard(sender=B, question=debit("P2", 1)))) == {None: 1}


# At the same moment.


def test_fifty_debits_at_once_never_pass_a_mandates_total(limited: Book) -> None:
    limited.open_accounts(5_000)
    limited.do(GiveMandate(claim=None, mandate=replace(MANDATE, total=310)))
    replies = send(limited, [Heard(sender=B, question=debit(f"P{n}", 30)) for n in range(50)], 3)
    assert votes(replies) == {None: 10, Code.MANDATE_EXCEEDED: 40}
    assert spent(limited, DAY) == [300]


def test_fifty_debits_at_once_never_pass_the_holders_limit(limited: Book) -> None:
    limited.open_accounts(5_000)
    limited.do(GiveMandate(claim=None, mandate=MANDATE))
    replies = send(limited, [Heard(sender=B, question=debit(f"P{n}", 30)) for n in range(50)], 3)
    assert votes(replies) == {None: 33, Code.LIMIT_EXCEEDED: 17}
    assert spent(limited, DAY) == [990]


def debit_and_pay(worker: int, url: str) -> Told:
    """Debits of the other bank, some of them undone at once, among payments of the holder's own."""
    book, dice = Book(url, seed=worker, limits=RULES), random.Random(worker)
    book.clock.time = NOON
    asked = [debit(f"w{worker}n{n}", 10) for n in range(50)]
    inputs: list[Input] = [Heard(sender=B, question=one) for one in asked]
    inputs += [pay(f"own{worker}n{n}", (address(1), address(2), 10)) for n in range(50)]
    dice.shuffle(inputs)
    undone = [one for n, one in enumerate(asked) if n % 5 == 0]
    send(book, inputs, 5)
    send(book, [Heard(sender=B, question=tell(one, Decision.ABORT)) for one in undone], 5)
    send(book, [Heard(sender=B, question=debit(f"again{worker}n{n}", 10)) for n in range(20)], 5)
    book.close()
    return []


def test_many_workers_never_pass_a_mandate_nor_a_limit_and_give_back_what_is_undone(
    postgresql_url: str,
) -> None:
    book = Book(postgresql_url, limits=RULES)
    book.clock.time = NOON
    ana, _ = book.open_accounts(50_000, 0)
    book.do(GiveMandate(claim=None, mandate=replace(MANDATE, total=400, per_day=350)))
    in_processes(debit_and_pay, postgresql_url)
    records = book.wait(book.store.all_payments(10_000, None))
    alive = [record for record in records if record.state in (State.PREPARED, State.COMMITTED)]
    under_mandate = sum(record.amount for record in alive if record.clauses[0].mandate == "M1")
    own = sum(record.amount for record in alive if record.clauses[0].transfer.source == ana)
    mandate = book.wait(book.store.mandate("M1"))
    assert mandate is not None
    # What was undone was free again before the last debits came, and there were more of those than fitted.
    assert mandate.used == under_mandate <= 350
    assert own <= 1_000
    assert own == 1_000 or under_mandate == 350
    assert spent(book, DAY) == [own]
    assert any(record.state is State.ABORTED and record.counted for record in records)
    assert book.is_whole()
    book.close()
