"""The crowd: people with an account in every bank, who pay each other without a pause, out of several banks at once.

Whoever gets no answer asks again under the same key until there is one: so what they were told in the end is what
happened, and money moves once.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from ciranda.cli.child import Child
from ciranda.cli.tally import Tally
from ciranda.client import BankAway, BankClient, Order, ProblemError
from ciranda.client.bank import new_key
from ciranda.instant import Instant, rfc3339
from ciranda.payment import Status

PEOPLE = {
    "Maria da Areia": "11144477735",
    "João do Mar": "11122233396",
    "Lia da Mata": "12345678909",
    "Rui do Rio": "24681357928",
}
PASSWORD = "entre na roda"  # noqa: S105
CASH = 100_000
PAYMENTS_AT_ONCE = 12
ANSWER_S = 10.0
_AGAIN_S = (0.1, 0.5)


class Somebody:
    """One person: a session and an account in each bank, and a mandate from each bank to each other one."""

    def __init__(self, name: str, document: str) -> None:
        self.name = name
        self.document = document
        self.at: list[BankClient] = []
        self.accounts: list[str] = []
        self._mandates: dict[tuple[int, int], str] = {}

    async def settle_in(self, children: Sequence[Child], operators: Sequence[BankClient]) -> None:
        for child, operator in zip(children, operators, strict=True):
            client = BankClient(child.member.public_url, tries=1, timeout_s=ANSWER_S)
            self.at.append(client)
            await client.sign_up(self.document, self.name, PASSWORD)
            await client.log_in(self.document, PASSWORD)
            account = await client.open_account("individual")
            self.accounts.append(account.address)
            await operator.deposit(account.address, CASH, description="Cash at the teller")
        tomorrow = rfc3339(Instant(int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000)))
        for source, client in enumerate(self.at):
            for teller, child in enumerate(children):
                if teller != source:
                    mandate = await client.give_mandate(
                        self.accounts[source], child.member.ispb, tomorrow, per_payment=CASH
                    )
                    assert mandate.token is not None, "who gives a mandate is shown its token"
                    self._mandates[source, teller] = mandate.token

    def order(self, source: int, target: str, amount: int, teller: int) -> Order:
        """Out of the account at `source`, as the bank `teller` is to be asked for it."""
        mandate = self._mandates.get((source, teller))
        return Order(source=self.accounts[source], target=target, amount=amount, mandate=mandate)


class Crowd:
    def __init__(self, children: Sequence[Child], operators: Sequence[BankClient], tally: Tally) -> None:
        self._children = children
        self._operators = operators
        self._tally = tally
        self._people = [Somebody(*person) for person in PEOPLE.items()]
        self.asking_again = 0
        """How many payments are asked for again now, because there was no answer, or none that stands."""

    async def settle_in(self) -> None:
        for person in self._people:
            await person.settle_in(self._children, self._operators)

    async def close(self) -> None:
        for person in self._people:
            for client in person.at:
                await client.close()

    async def pay(self, dice: random.Random, goes_on: Callable[[], bool]) -> None:
        """Many payments at a time, for as long as it goes on; returns when the last of them has ended. Raises
        ProblemError at an answer that no customer should get."""

        async def one_after_another() -> None:
            while goes_on():
                await self._pay(dice)

        try:
            async with asyncio.TaskGroup() as crowd:
                for _ in range(PAYMENTS_AT_ONCE):
                    crowd.create_task(one_after_another())
        except ExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _pay(self, dice: random.Random) -> None:
        """One payment, out of one to three banks, until its end is known."""
        payer, payee = dice.sample(self._people, 2)
        banks = range(len(self._children))
        teller = dice.choice(banks)
        sources = dice.sample(banks, dice.choice((1, 2, 2, 3)))
        target = dice.choice(payee.accounts)
        orders = [payer.order(source, target, dice.randint(1, 2_000), teller) for source in sources]
        key = new_key()
        self._tally.tried += 1
        if await self._is_decided(payer.at[teller], orders, key):
            return
        self.asking_again += 1
        decided = False
        while not decided:
            await asyncio.sleep(random.uniform(*_AGAIN_S))
            decided = await self._is_decided(payer.at[teller], orders, key)
        self.asking_again -= 1

    async def _is_decided(self, bank: BankClient, orders: list[Order], key: str) -> bool:
        """Asks for the payment, and counts its end, if it is told. Raises ProblemError at an answer that is no end."""
        try:
            paid = await bank.pay(orders, key=key)
        except BankAway:
            return False
        except ProblemError as problem:
            if problem.status == 503:
                return False
            if "payment" not in problem.payload:
                raise
            self._tally.refused[problem.code] += 1
            return True
        if paid.status is not Status.SETTLED:
            self._tally.pending += 1
            return False
        self._tally.settled += 1
        return True
