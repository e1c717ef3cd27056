"""One bank's database, for the tests: the real store, a clock that is set by hand, and orders in short."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from ciranda.agreement.header import Header, Part, digest, leaf
from ciranda.agreement.message import Answer, Decision, Prepare, Question, Tell
from ciranda.engine.bank import Bank
from ciranda.engine.customer import Customer
from ciranda.engine.input import Begin, Heard, Input, OpenAccount
from ciranda.engine.key import Claim
from ciranda.engine.limits import LimitRules
from ciranda.engine.operator import TwoPerson
from ciranda.engine.record import Record
from ciranda.engine.reply import AccountMade, Answered, Paid, Reply
from ciranda.identity import (
    VAULT,
    AccountId,
    Address,
    Document,
    EndToEndId,
    Ispb,
    make_address,
    make_end_to_end_id,
    parse_document,
)
from ciranda.instant import Instant
from ciranda.ledger.account import Account, AccountKind
from ciranda.payment import Kind, Transfer
from ciranda.ports import Session
from ciranda.roster import Member, Roster
from ciranda.storage import make_store

T = TypeVar("T")

A, B = Ispb("10000001"), Ispb("10000002")
ANA, BIA = parse_document("529.982.247-25"), parse_document("168.995.350-09")
NOW = Instant(1_795_400_000_000)
FAR = make_address(B, "0001", "7")
"""An account at the other bank."""


class HandSetClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> Instant:
        return self.time

    def steady_ms(self) -> int:
        return int(self.time)


class SeededDice:
    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def token(self) -> str:
        return f"{self._random.getrandbits(256):064x}"

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)

    def between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


def bank(
    ispb: Ispb = A,
    credit_limit: int = 1_000_000,
    two_person: TwoPerson | None = None,
    limits: LimitRules | None = None,
) -> Bank:
    members = {
        member: Member(
            ispb=member,
            name=member,
            slug=member,
            public_url="",
            peer_url="",
            public_key=bytes(32),
            credit_limit=credit_limit,
        )
        for member in (A, B)
    }
    roster = Roster(name="Roda", currency="BRL", version=1, witnesses=1, deadline_ms=5_000, members=members)
    return Bank(ispb=ispb, roster=roster, mandate_secret=bytes(32), two_person=two_person, limits=limits)


def customer(document: Document, name: str = "Ana") -> Customer:
    return Customer(document=document, name=name, individual=None, created_at=NOW)


def payment_id(name: str, at: Ispb = A) -> EndToEndId:
    return make_end_to_end_id(at, NOW, name.rjust(11, "0"))


def address(number: int) -> Address:
    return make_address(A, "0001", f"{number:06d}")


def open_account(number: int, document: Document, *, key: str | None = None) -> OpenAccount:
    """A business account: of those one may have any number."""
    return OpenAccount(
        claim=None if key is None else Claim(scope="accounts", key=key, body=""),
        caller=document,
        address=address(number),
        kind=AccountKind.JOINT,
        holders=(ANA, BIA),
        signatures="any",
    )


def pay(
    name: str,
    *transfers: tuple[AccountId, AccountId, int],
    key: str | None = None,
    body: str | None = None,
    kind: Kind = Kind.PAYMENT,
    caller: Document | None = ANA,
    description: str | None = None,
) -> Begin:
    moves = tuple(
        Transfer(source=source, target=target, amount=amount) for source, target, amount in transfers
    )
    return Begin(
        id=payment_id(name),
        kind=kind,
        claim=Claim(scope="payments", key=key or name, body=body or str(transfers)),
        caller=caller,
        transfers=moves,
        tokens=(None,) * len(moves),
        salts=tuple(f"{index:032x}" for index in range(len(moves))),
        description=description,
        reference=None,
        deadline=Instant(NOW + 5_000),
        unreachable=frozenset(),
    )


def deposit(name: str, account: AccountId, amount: int) -> Begin:
    return pay(name, (VAULT, account, amount), kind=Kind.DEPOSIT, caller=None)


def prepare(name: str, target: AccountId, amount: int) -> Prepare:
    """The other bank asks: may FAR's holder pay this into `target`?"""
    part = Part(index=0, transfer=Transfer(source=FAR, target=target, amount=amount), salt="00" * 16)
    header = Header(
        id=payment_id(name, B),
        deadline=Instant(NOW + 5_000),
        participants=(A, B),
        witnesses=(B,),
        roster_version=1,
        leaves=(leaf(part),),
    )
    return Prepare(
        header=header,
        parts=(part,),
        payer=BIA,
        permissions=(),
        description=None,
        reference=None,
        time_left_ms=5_000,
    )


def tell(prepared: Prepare, decision: Decision) -> Tell:
    header = prepared.header
    return Tell(id=header.id, digest=digest(header), decision=decision, refusal=None, header=header)


class Book:
    """The store of bank A, opened on `url`, and a word for each thing that the tests do with it."""

    def __init__(
        self,
        url: str,
        ispb: Ispb = A,
        seed: int = 0,
        credit_limit: int = 1_000_000,
        two_person: TwoPerson | None = None,
        limits: LimitRules | None = None,
    ) -> None:
        self.clock = HandSetClock()
        its_bank = bank(ispb, credit_limit, two_person, limits)
        self.store = make_store(url, its_bank, self.clock, SeededDice(seed))
        try:
            self.wait(self.store.open())
        except BaseException:
            self.store.close()
            raise

    def close(self) -> None:
        self.store.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)

    def do(self, *inputs: Input) -> list[Reply]:
        return self.wait(self.store.transact(inputs))

    def begin_session(self, token_hash: bytes, end: int = NOW + 1_000, **more: Any) -> bool:
        return self.wait(self.beginning(token_hash, end, **more))

    async def beginning(
        self,
        token_hash: bytes,
        end: int = NOW + 1_000,
        *,
        used_at: int = NOW,
        verified: str = "",
        rehashed: str | None = None,
    ) -> bool:
        """A session of Ana's, whose password's hash is empty at first."""
        session = Session(
            id=token_hash.hex(),
            customer=customer(ANA),
            created_at=NOW,
            used_at=Instant(used_at),
            expires_at=Instant(end),
            address=None,
            agent=None,
        )
        return await self.store.add_session(token_hash, session, verified, rehashed, "document")

    def paid(self, *orders: Begin) -> list[Record]:
        return [reply.record for reply in self.do(*orders) if isinstance(reply, Paid)]

    def hear(self, question: Question, sender: Ispb = B) -> Answer:
        (reply,) = self.do(Heard(sender=sender, question=question))  # type: ignore[arg-type]
        assert isinstance(reply, Answered), reply
        return reply.answer

    def open_accounts(self, *amounts: int) -> list[Address]:
        """Accounts 1, 2, 3 … with so much money in each; Ana and Bia hold them all."""
        for document in (ANA, BIA):
            self.wait(self.store.add_customer(customer(document), "hash", None, None))
        addresses = [address(number) for number in range(1, len(amounts) + 1)]
        opened = self.do(*(open_account(number, ANA) for number in range(1, len(amounts) + 1)))
        assert all(isinstance(reply, AccountMade) for reply in opened), opened
        self.do(
            *(
                deposit(f"cash{n}", one, sum)
                for n, (one, sum) in enumerate(zip(addresses, amounts, strict=True))
                if sum
            )
        )
        return addresses

    def account(self, id: AccountId) -> Account:
        account = self.wait(self.store.account(id))
        assert account is not None
        return account

    def balance(self, id: AccountId) -> int:
        return self.account(id).balance

    def is_whole(self) -> bool:
        """PROTOCOL I1, over the whole book, as the database adds it up."""
        balances, _ = self.wait(self.store.trial_balance())
        return balances.sum == 0
