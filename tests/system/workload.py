"""Thousands of payments on a few accounts: customers who ask, and ask again, until they are told how it ended.

What each was told is kept, to be held against the banks' books afterwards (`reconciliation.py`).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.system.answers import Json
from tests.system.consortium import Bank, Consortium, Customer, Person, new_key, transfer

CUSTOMERS = 48
WAGES = 0.3
ANSWER_S = 10.0
"""How long a customer waits for one answer before they ask again."""


@dataclass
class Order:
    """A payment that somebody asks for, and all that they were told about it."""

    payer: Customer
    transfers: list[Json]
    goes_away_after_s: float | None
    """They ask only once, and do not wait for the answer."""
    key: str = field(default_factory=new_key)
    told: list[tuple[str, str]] = field(default_factory=list)
    """The payment's id and status, for each answer."""
    refusal: str | None = None
    """Its code, once they were told that the payment is refused."""

    @property
    def is_decided(self) -> bool:
        return any(status in ("settled", "refused") for _, status in self.told)


class Town:
    """Two people with an account in each bank, who may pay from any of the banks, and a shop at each bank."""

    def __init__(self, circle: Consortium, balance: int) -> None:
        self.banks = banks = circle.banks
        self.people = [Person(banks, banks, balance) for _ in range(2)]
        self.shops = [bank.someone("Rui Barbosa") for bank in banks]
        self.owner = {account: customer for customer, account in self.shops}
        self.opening = dict.fromkeys(self.owner, 0)
        for person in self.people:
            self.owner |= {account: person.at[bank] for bank, account in person.account.items()}
            self.opening |= dict.fromkeys(person.account.values(), balance)
        self.money = circle.money()

    def orders(self, dice: random.Random, count: int, tellers: Sequence[Bank] | None = None) -> list[Order]:
        """Payments of one to four transfers, most within what there is, some far beyond. Any bank is asked for them,
        unless it is said which."""
        return [self._order(dice, dice.choice(tellers or self.banks)) for _ in range(count)]

    def for_ever(self, dice: random.Random) -> Iterator[Order]:
        """The same without end: here shops pay wages, out of their own bank, so that nobody's money runs out."""
        while True:
            place = dice.randrange(len(self.banks))
            if dice.random() < WAGES:
                yield self._wage(dice, *self.shops[place])
            else:
                yield self._order(dice, self.banks[place])

    def _wage(self, dice: random.Random, shop: Customer, till: str) -> Order:
        person = dice.choice(self.people)
        account = dice.choice(list(person.account.values()))
        return Order(shop, [transfer(till, account, dice.randint(1, 700))], None)

    def _order(self, dice: random.Random, teller: Bank) -> Order:
        person = dice.choice(self.people)
        transfers = []
        for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
            source = dice.choice(self.banks)
            target = dice.choice([account for account in self.owner if account != person.account[source]])
            amount = 10**9 if dice.random() < 0.03 else dice.randint(1, 400)
            transfers.append(person.transfer(teller, source, target, amount))
        goes_away_after_s = dice.uniform(0.0, 0.2) if dice.random() < 0.1 else None
        return Order(person.at[teller], transfers, goes_away_after_s)


def ask(orders: Iterable[Order], within_s: float = 120.0) -> None:
    """The customers send these, many at a time, each until they are told the end of it, or have gone away, or until
    the time is up."""
    until = time.monotonic() + within_s
    asyncio.run(_ask(orders, lambda: time.monotonic() < until, again=False))


def ask_while(going_on: Callable[[], bool], orders: Iterable[Order], customers: int = CUSTOMERS) -> None:
    """The same, for as long as it goes on."""
    asyncio.run(_ask(orders, going_on, again=False, customers=customers))


def ask_again(orders: Iterable[Order]) -> None:
    """Everybody comes back once more, also who had gone away, and waits for an answer."""
    until = time.monotonic() + 60.0
    asyncio.run(_ask(orders, lambda: time.monotonic() < until, again=True))


async def _ask(
    orders: Iterable[Order], going_on: Callable[[], bool], again: bool, customers: int = CUSTOMERS
) -> None:
    waiting = iter(orders)
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:

        async def customer() -> None:
            while going_on() and (order := next(waiting, None)) is not None:
                if again or order.goes_away_after_s is None:
                    await _insist(http, order, going_on)
                else:
                    await _mention(http, order, order.goes_away_after_s)

        async with asyncio.TaskGroup() as crowd:
            for _ in range(customers):
                crowd.create_task(customer())


async def _insist(http: aiohttp.ClientSession, order: Order, going_on: Callable[[], bool]) -> None:
    pause_s = 0.02
    while going_on():
        if await _hear(http, order) in ("settled", "refused"):
            return
        await asyncio.sleep(random.uniform(0, pause_s))
        pause_s = min(2 * pause_s, 1.0)


async def _mention(http: aiohttp.ClientSession, order: Order, goes_away_after_s: float) -> None:
    try:
        async with asyncio.timeout(goes_away_after_s):
            await _hear(http, order)
    except TimeoutError:
        pass


async def _hear(http: aiohttp.ClientSession, order: Order) -> str | None:
    """Asks once, and writes down what was told. None: nothing was, or that nothing was recorded."""
    headers = {"Authorization": f"Bearer {order.payer.token}", "Idempotency-Key": order.key}
    url = f"{order.payer.bank.public_url}/v1/payments"
    try:
        async with http.post(url, json={"transfers": order.transfers}, headers=headers) as answer:
            status = answer.status
            body = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError):
        return None
    match status:
        case 201 | 202:
            order.told.append((body["id"], body["status"]))
        case 422:
            order.told.append((body["payment"], "refused"))
            order.refusal = body["code"]
        case 503:
            assert int(answer.headers["Retry-After"]) >= 1
            return None
        case _:
            raise AssertionError(f"{status}: {body}")
    return order.told[-1][1]
