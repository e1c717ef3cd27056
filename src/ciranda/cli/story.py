"""The story that the demo tells, step by step. It shows nothing that it did not ask a bank for.

Maria has money in three banks and buys bread at a fourth: one payment, out of all three accounts, or out of none.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from rich.table import Table
from rich.text import Text

from ciranda.cli.child import Child, all_ready
from ciranda.cli.screen import money, out, table
from ciranda.client import Account, BankAway, BankClient, Order, Payment, ProblemError
from ciranda.client.bank import new_key
from ciranda.instant import Instant, parse_rfc3339, rfc3339
from ciranda.money import spell
from ciranda.payment import Status
from ciranda.settings import OPERATOR_TOKEN, read_operator_token

Found = TypeVar("Found", bool, str)

PATIENCE_S = 60.0
"""How long a step may take that ought to take a few seconds."""


class Person(NamedTuple):
    name: str
    document: str
    kind: str


MARIA = Person("Maria da Areia", "11144477735", "individual")
BAKERY = Person("Padaria da Praia", "11222333000181", "business")
PASSWORD = "entre na roda"  # noqa: S105


class StoryBroken(Exception):
    """A step did not come out as the banks promise."""


class Place(NamedTuple):
    """One bank of the story: its process, its operator, its customer and the customer's account."""

    child: Child
    operator: BankClient
    customer: BankClient
    account: Account

    @property
    def name(self) -> str:
        return self.child.member.name

    @property
    def ispb(self) -> str:
        return self.child.member.ispb


def chapter(title: str, sentence: str) -> None:
    out.print()
    out.rule(Text(title, style="bold cyan"), align="left", style="cyan")
    out.print(sentence, style="dim")
    out.print()


def step(*parts: str | Text | tuple[str, str]) -> None:
    line = Table.grid(padding=(0, 1))
    line.add_row(Text("  ›", style="cyan"), Text.assemble(*parts))
    out.print(line)


EACH_ITS_OWN = (
    "Each is a process of its own, with its own database and its own key. They know each other from one file."
)


async def bring_up(children: list[Child]) -> None:
    """Starts the banks, and shows them when all of them know each other."""
    shown = table("bank", "ISPB", "address", "process", "ready after", right=("process", "ready after"))
    began = time.monotonic()
    for child in children:
        await child.start()
    with out.status("The banks are starting"):
        times = await asyncio.gather(*(_timed(child.ready(), began) for child in children))
        await all_ready(children)
    for child, seconds in zip(children, times, strict=True):
        member = child.member
        shown.add_row(member.name, member.ispb, member.public_url, str(child.pid), f"{seconds:.1f} s")
    out.print(shown)


class Story:
    """Four banks and what happens to them. `Maria` is a customer of the first three, the bakery of the last."""

    def __init__(self, folder: Path, children: list[Child], currency: str) -> None:
        self._folder = folder
        self._children = children
        self._currency = currency
        self._stack = AsyncExitStack()
        self._places: list[Place] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def tell(self) -> None:
        await self._banks_come_up()
        await self._customers_come()
        await self._one_payment_out_of_three_banks()
        await self._a_payment_is_refused()
        await self._a_bank_is_killed()

    async def _banks_come_up(self) -> None:
        chapter("Four banks", EACH_ITS_OWN)
        await bring_up(self._children)

    async def _customers_come(self) -> None:
        chapter("Customers", "They sign up, open accounts, and bring cash to the teller.")
        for child, person in zip(self._children, (MARIA, MARIA, MARIA, BAKERY), strict=True):
            place = await self._settle_in(child, person)
            self._places.append(place)
            step((f"{person.name:<18}", "bold"), f"{place.account.address}  at {place.name}")
        for place, cash in zip(self._places, (10_000, 10_000, 10_000, 0), strict=True):
            if cash:
                paid = await place.operator.deposit(
                    place.account.address, cash, description="Cash at the teller"
                )
                step(
                    f"{place.name}'s teller takes in ", money(paid.amount, self._currency), f": {paid.status}"
                )

    async def _one_payment_out_of_three_banks(self) -> None:
        ipe, jatoba, sumauma, buriti = self._places
        chapter(
            "One payment, four banks",
            f"Maria asks {jatoba.name} to pay the bakery at {buriti.name} out of her accounts at {ipe.name}, "
            f"{jatoba.name} and {sumauma.name}: in all four banks, or in none.",
        )
        before = await self._balances()
        payee = await jatoba.customer.payee(buriti.account.address)
        step(f"{jatoba.name} asks {buriti.name} whose account that is: ", (payee.name, "bold"))
        orders = await self._orders((1_000, 2_000, 3_000))
        step(f"Maria gives {jatoba.name} one mandate at {ipe.name} and one at {sumauma.name}")
        paid = await jatoba.customer.pay(orders, description="Bread for the dance")
        step("POST /v1/payments → ", _coloured(paid.status), f"  {paid.id}")
        if paid.status is not Status.SETTLED:
            raise StoryBroken(f"the payment {paid.id} is {paid.status}, and nothing stood in its way.")
        out.print(self._course(paid, await self._settled_everywhere(paid.id)))
        out.print()
        out.print(self._compared(before, await self._balances()))

    async def _a_payment_is_refused(self) -> None:
        ipe, jatoba, _, _ = self._places
        chapter(
            "A payment that cannot be",
            f"The same once more, but {ipe.name} is to pay more than Maria has there. {jatoba.name} and the others could.",
        )
        before = await self._balances()
        orders = await self._orders((50_000, 2_000, 3_000))
        try:
            paid = await jatoba.customer.pay(orders, description="Too much bread")
        except ProblemError as problem:
            refuser = self._name_of(str(problem.payload.get("bank")))
            step("POST /v1/payments → ", (str(problem.status), "red"), f" {problem.code}, by {refuser}")
            step(f"“{problem.detail}”")
        else:
            raise StoryBroken(f"the payment {paid.id} ought to have been refused, and is {paid.status}.")
        # The others promised; they are told of the refusal behind the client's back.
        await _until(self._nothing_held, "all banks have let go of what they held")
        if await self._balances() != before:
            raise StoryBroken("a refused payment changed a balance.")
        step("Not a centavo has moved, and nothing is held any more.")

    async def _a_bank_is_killed(self) -> None:
        ipe, jatoba, sumauma, buriti = self._places
        chapter(
            "A bank is killed in the middle of a payment",
            f"{buriti.name} is made to stand still, so that the payment must wait; then {jatoba.name}, which coordinates it, "
            "is killed.",
        )
        before = await self._balances()
        orders = await self._orders((1_000, 2_000, 3_000))
        key = new_key()
        buriti.child.pause()
        step("kill -STOP ", (buriti.name, "bold"), f"  (process {buriti.child.pid})")
        async with BankClient(jatoba.customer.url, jatoba.customer.token, tries=1) as impatient:
            asking = asyncio.create_task(impatient.pay(orders, description="More bread", key=key))
            id = await _until(
                lambda: self._promised_by(ipe, sumauma), f"{ipe.name} and {sumauma.name} have promised"
            )
            payment = await ipe.operator.payment(id)
            step(f"The payment is under way: {id}")
            witnesses = ", ".join(self._name_of(ispb) for ispb in payment.witnesses or [])
            step("Its witnesses, who keep a copy of the decision: ", (witnesses, "bold"))
            for place in (ipe, sumauma):
                audit = await place.operator.audit()
                step(f"{place.name} promised, and holds ", money(audit.held, self._currency))
            await jatoba.child.kill()
            step("kill -9 ", (jatoba.name, "bold"), "  It coordinates the payment, and is gone.")
            try:
                await asking
            except BankAway as away:
                step(f"What Maria is told: {away.reason}. She cannot know what becomes of her payment.")
        buriti.child.resume()
        step("kill -CONT ", (buriti.name, "bold"))
        began = time.monotonic()
        living = [ipe, sumauma, buriti]
        with out.status(f"{jatoba.name} is dead; the others ask the payment's witnesses"):
            await _until(lambda: self._none_in_doubt(living), "the living banks have decided")
        step(
            f"After {time.monotonic() - began:.1f} s nobody is in doubt, and ",
            (f"{jatoba.name} is still dead", "bold"),
            ": no bank's money waits for another's return.",
        )
        await self._show_outcome(id, living)
        began = time.monotonic()
        await jatoba.child.start()
        with out.status(f"{jatoba.name} is starting again"):
            await all_ready(self._children)
            await _until(lambda: self._none_in_doubt(self._places), f"{jatoba.name} knows the decision")
        step(
            f"{jatoba.name} is back after {time.monotonic() - began:.1f} s, and knows what was decided without it."
        )
        await self._show_outcome(id, [jatoba])
        await self._ask_again(orders, key, id)
        await _until(self._nothing_held, "all banks have let go of what they held")
        out.print()
        out.print(self._compared(before, await self._balances()))

    async def _ask_again(self, orders: list[Order], key: str, id: str) -> None:
        """The client that never got its answer asks again under the same key: the same payment, and its answer."""
        jatoba = self._places[1]
        try:
            paid = await jatoba.customer.pay(orders, description="More bread", key=key)
            same, answer = paid.id, str(paid.status)
        except ProblemError as problem:
            same, answer = str(problem.payload.get("payment")), problem.code
        if same != id:
            raise StoryBroken(f"asked again under its key, the payment {id} became {same}.")
        step(
            "Maria asks again, with the same Idempotency-Key: the same payment, answered now: ",
            (answer, "bold"),
        )
        paid = await jatoba.customer.pay(orders, description="More bread, again")
        step("And with a new one: ", _coloured(paid.status), f"  {paid.id}")
        await self._settled_everywhere(paid.id)

    # What the banks are asked.

    async def _settle_in(self, child: Child, person: Person) -> Place:
        """A new customer of this bank, with an account and a session."""
        url = child.member.public_url
        token = read_operator_token(self._folder / child.member.slug / OPERATOR_TOKEN)
        operator = await self._stack.enter_async_context(BankClient(url, token))
        customer = await self._stack.enter_async_context(BankClient(url))
        await customer.sign_up(person.document, person.name, PASSWORD)
        await customer.log_in(person.document, PASSWORD)
        return Place(child, operator, customer, await customer.open_account(person.kind))

    async def _orders(self, amounts: tuple[int, int, int]) -> list[Order]:
        """The transfers from Maria's three accounts to the bakery, with a mandate for those at other banks."""
        *sources, bakery = self._places
        coordinator = sources[1]
        orders = []
        for place, amount in zip(sources, amounts, strict=True):
            token = None
            if place is not coordinator:
                soon = rfc3339(Instant(int((datetime.now(UTC) + timedelta(minutes=10)).timestamp() * 1000)))
                mandate = await place.customer.give_mandate(
                    place.account.address, coordinator.ispb, soon, per_payment=amount
                )
                token = mandate.token
            orders.append(
                Order(
                    source=place.account.address, target=bakery.account.address, amount=amount, mandate=token
                )
            )
        return orders

    async def _balances(self) -> list[int]:
        accounts = await asyncio.gather(
            *(place.customer.account(place.account.address) for place in self._places)
        )
        return [account.balance for account in accounts]

    async def _nothing_held(self) -> bool:
        audits = await asyncio.gather(*(place.operator.audit() for place in self._places))
        return all(audit.held == 0 for audit in audits)

    async def _none_in_doubt(self, places: list[Place]) -> bool:
        audits = await asyncio.gather(*(place.operator.audit() for place in places))
        return all(audit.payments.in_doubt == 0 for audit in audits)

    async def _promised_by(self, *places: Place) -> str | None:
        """The payment that all of these hold money for, once they do."""
        audits = await asyncio.gather(*(place.operator.audit() for place in places))
        if any(audit.held == 0 for audit in audits):
            return None
        return audits[0].in_doubt[0].id

    async def _settled_everywhere(self, id: str) -> list[tuple[Place, Payment]]:
        """The payment as each bank knows it, once each knows that it is settled: the client's answer waits for none."""
        known: list[Payment] = []

        async def settled() -> bool:
            known[:] = await asyncio.gather(*(place.operator.payment(id) for place in self._places))
            return all(payment.status is Status.SETTLED for payment in known)

        await _until(settled, f"every bank has settled {id}")
        return list(zip(self._places, known, strict=True))

    # How it is shown.

    def _course(self, paid: Payment, known: list[tuple[Place, Payment]]) -> Table:
        """What happened when, by the clocks of the banks themselves."""
        began = parse_rfc3339(paid.created_at)
        events: list[tuple[int, int, str, str]] = []
        for place, payment in known:
            assert payment.decided_at is not None, "it is settled"
            sum = spell(payment.amount, self._currency)
            first, last = (
                ("began", "decided: settled")
                if payment.id[1:9] == place.ispb
                else (f"prepared its part, {sum}", "told, and posted")
            )
            events.append((parse_rfc3339(payment.created_at) - began, 0, place.name, first))
            events.append((parse_rfc3339(payment.decided_at) - began, 1, place.name, last))
        shown = table("   ", "after", "bank", "", right=("after",))
        for after_ms, _, bank, what in sorted(events, key=lambda event: event[:2]):
            shown.add_row("", f"{after_ms} ms", bank, what)
        return shown

    def _compared(self, before: list[int], after: list[int]) -> Table:
        figures = ("before", "after", "change")
        shown = table("   ", "bank", "customer", *figures, right=figures)
        for place, was, now in zip(self._places, before, after, strict=True):
            shown.add_row("", place.name, place.account.holders[0].name, *self._figures(was, now))
        shown.add_section()
        shown.add_row("", "all four", "", *self._figures(sum(before), sum(after)), style="bold")
        return shown

    def _figures(self, before: int, after: int) -> tuple[Text, Text, Text]:
        return (
            money(before, self._currency),
            money(after, self._currency),
            money(after - before, self._currency, signed=after != before),
        )

    async def _show_outcome(self, id: str, places: list[Place]) -> None:
        outcomes = set()
        for place in places:
            try:
                payment = await place.operator.payment(id)
            except ProblemError as problem:
                if problem.status != 404:
                    raise
                step(f"{place.name:<8} never heard of it")
                continue
            outcomes.add(payment.status)
            why = f"  ({payment.refusal.code})" if payment.refusal else ""
            step(f"{place.name:<8} ", _coloured(payment.status), why)
        if len(outcomes) > 1:
            raise StoryBroken(f"the banks disagree about {id}.")

    def _name_of(self, ispb: str) -> str:
        return next((place.name for place in self._places if place.ispb == ispb), ispb)


def _coloured(status: Status) -> Text:
    return Text(status, style="bold green" if status is Status.SETTLED else "bold yellow")


async def _timed(work: Awaitable[None], began: float) -> float:
    await work
    return time.monotonic() - began


async def _until(check: Callable[[], Awaitable[Found | None]], what: str) -> Found:
    """Asks until there is an answer that is neither nothing nor no. Raises StoryBroken if that takes too long."""
    patience_ends = time.monotonic() + PATIENCE_S
    while not (found := await check()):
        if time.monotonic() > patience_ends:
            raise StoryBroken(f"after {PATIENCE_S:.0f} s it is still not so that {what}.")
        await asyncio.sleep(random.uniform(0.02, 0.06))
    return found
