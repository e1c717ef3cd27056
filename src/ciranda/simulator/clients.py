"""The banks' customers: what they order, what they are told, and how they ask again.

A client that was not answered, or only told that it must wait, sends the very same order under the very same key, until
it knows. What it was told once it never expects to hear otherwise.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum

import msgspec

from ciranda.engine.record import Record
from ciranda.engine.reply import Denied
from ciranda.identity import Document, EndToEndId, Ispb
from ciranda.node.batches import Overloaded
from ciranda.node.order import Once, PaymentOrder
from ciranda.payment import Kind, Status, Transfer
from ciranda.ports import PeerUnreachable, Unavailable
from ciranda.simulator.bank import Away, SimulatedBank
from ciranda.simulator.dice import SeededDice, Span

_PATIENCE_S = 30.0
_AGAIN_S: Span = (0.2, 2.0)


class Outcome(StrEnum):
    SETTLED = "settled"
    REFUSED = "refused"
    PENDING = "pending"
    DENIED = "denied"
    """No payment was made."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    bank: Ispb
    """Where it is placed: the coordinator."""
    caller: Document
    transfers: tuple[Transfer, ...]
    tokens: tuple[str | None, ...]
    hopeless: bool
    """It must not be settled, whatever happens."""

    @property
    def key(self) -> str:
        return f"order-{self.number}"

    def payment(self, *, altered: bool = False) -> PaymentOrder:
        return PaymentOrder(
            once=Once(key=self.key, route="payments", body="altered" if altered else self.key),
            kind=Kind.PAYMENT,
            caller=self.caller,
            transfers=self.transfers,
            tokens=self.tokens,
            description=None,
            reference=f"{self.number}",
        )


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one client."""

    order: Order
    outcome: Outcome
    payment: EndToEndId | None
    why: str
    """Of what was refused: who refused it, and its code."""


class Clients:
    """`hear` is called with each answer; `note` writes into the transcript."""

    def __init__(
        self,
        banks: dict[Ispb, SimulatedBank],
        dice: SeededDice,
        hear: Callable[[Told], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._banks = banks
        self._dice = dice
        self._hear = hear
        self._note = note
        self.orders: list[Order] = []
        self.final: dict[int, Told] = {}
        """By the order's number: the last word."""
        self.waiting: dict[int, EndToEndId] = {}
        """By the order's number: the payment, once a client has heard of it."""
        self.approved: set[tuple[EndToEndId, Document]] = set()
        """Who has said yes to which payment, whether the bank heard it or not."""

    def place(
        self,
        bank: Ispb,
        caller: Document,
        transfers: list[Transfer],
        tokens: list[str | None],
        *,
        hopeless: bool = False,
    ) -> Order:
        order = Order(
            number=len(self.orders) + 1,
            bank=bank,
            caller=caller,
            transfers=tuple(transfers),
            tokens=tuple(tokens),
            hopeless=hopeless,
        )
        self.orders.append(order)
        ways = ", ".join(f"{t.amount} from {t.source} to {t.target}" for t in transfers)
        self._note("client", f"orders {order.key} at {self._banks[bank].name}: {ways}")
        return order

    async def insist(self, order: Order) -> None:
        """Asks until the outcome is known."""
        while order.number not in self.final:
            await self.ask(order)
            await asyncio.sleep(self._dice.within(_AGAIN_S))

    async def alter(self, order: Order) -> Told | None:
        """Once its outcome is known, asks for another payment under the same key."""
        await self.insist(order)
        return await self._ask(order, altered=True)

    async def ask(self, order: Order) -> None:
        """Asks once."""
        told = await self._ask(order, altered=False)
        if told is None:
            return
        what = f"{told.payment or 'no payment'} {told.why}".strip()
        self._note("client", f"is told that {order.key} is {told.outcome.value}: {what}")
        self._take(told)

    async def sign(self, order: Order, holder: Document, approves: bool) -> None:
        """One more holder says what it wants of a payment that waits for all; once."""
        payment = self.waiting[order.number]
        word = "approves" if approves else "refuses"
        self._note("client", f"{holder} {word} {payment}")
        if approves:
            self.approved.add((payment, holder))
        try:
            answer = await self._banks[order.bank].ask(
                lambda node: (
                    node.approve_payment(holder, payment, None)
                    if approves
                    else node.decline_payment(holder, payment)
                ),
                _PATIENCE_S,
            )
        except (Away, Unavailable, Overloaded, PeerUnreachable, TimeoutError) as error:
            self._note("client", f"hears nothing of {order.key}: {type(error).__name__}")
            return
        if isinstance(answer, Denied):
            self._note("client", f"comes too late to refuse {order.key}: {answer.code.value}")
        else:
            self._take(_told(order, answer))

    def _take(self, told: Told) -> None:
        if told.payment is not None:
            self.waiting.setdefault(told.order.number, told.payment)
        if told.outcome is not Outcome.PENDING:
            self.final.setdefault(told.order.number, told)
        self._hear(told)

    async def _ask(self, order: Order, *, altered: bool) -> Told | None:
        payment = order.payment(altered=altered)
        try:
            answer = await self._banks[order.bank].ask(lambda node: node.pay(payment), _PATIENCE_S)
        except (Away, Unavailable, Overloaded, PeerUnreachable, TimeoutError) as error:
            self._note("client", f"hears nothing of {order.key}: {type(error).__name__}")
            return None
        return _told(order, answer)


def _told(order: Order, answer: Record | Denied) -> Told:
    if isinstance(answer, Denied):
        return Told(order=order, outcome=Outcome.DENIED, payment=None, why=answer.code.value)
    outcome = {Status.SETTLED: Outcome.SETTLED, Status.REFUSED: Outcome.REFUSED}.get(
        answer.status, Outcome.PENDING
    )
    refusal = answer.refusal
    why = "" if refusal is None else f"by {refusal.bank}, {refusal.code.value}"
    return Told(order=order, outcome=outcome, payment=answer.id, why=why)
