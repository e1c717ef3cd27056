"""How the books look when a simulation begins: every customer has money in every bank, and mandates for all others.

The banks found themselves, with their own code and no faults. It is done once for each size of consortium; each
seed begins with copies.
"""

import asyncio
import tempfile
from functools import cache
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stdnum.br import cpf

from ciranda.agreement.message import Answer, Question
from ciranda.engine.customer import Customer
from ciranda.engine.reply import Denied
from ciranda.identity import VAULT, Address, Document, Ispb
from ciranda.instant import Instant
from ciranda.ledger.account import AccountKind
from ciranda.node.node import Node
from ciranda.node.order import AccountOrder, MandateOrder, Once, PaymentOrder
from ciranda.payment import Kind, Transfer
from ciranda.roster import Member, Roster
from ciranda.simulator.bank import SimulatedBank
from ciranda.simulator.dice import SeededDice
from ciranda.simulator.disk import Disk
from ciranda.simulator.loop import Process, VirtualLoop
from ciranda.simulator.network import Network, url_of
from ciranda.storage import migrate

NAMES = ("ipe", "jatoba", "sumauma", "buriti", "cedro", "angico", "aroeira")
CUSTOMERS = ("Ana", "Bia", "Caio")
BALANCE = 100_000
"""What each customer has in each bank at first."""
SMALL_TOTAL = 3_000
"""What may be taken under each of the small mandates, all in all."""
_LONG_ENOUGH = Instant(2**50)


class Founded(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the clients of a consortium know, and the disks of its banks."""

    banks: tuple[Ispb, ...]
    customers: tuple[Document, ...]
    images: dict[Ispb, bytes]
    accounts: dict[tuple[Ispb, Document], Address]
    mandates: dict[tuple[Ispb, Document, Ispb], str]
    """The token with which a customer spends at the third bank what it has in the first."""
    small_mandates: dict[tuple[Ispb, Document, Ispb], str]
    joint: dict[Ispb, Address]
    """In each bank an account of all customers, for which all of them sign."""


def key_of(bank: Ispb) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bank.encode() * 4)


def roster_of(banks: tuple[Ispb, ...], witnesses: int, deadline_ms: int, credit_limit: int) -> Roster:
    return Roster(
        name="Simulation",
        currency="BRL",
        version=1,
        witnesses=witnesses,
        deadline_ms=deadline_ms,
        members={
            bank: Member(
                ispb=bank,
                name=name,
                slug=name,
                public_url=url_of(bank),
                peer_url=url_of(bank),
                public_key=key_of(bank).public_key().public_bytes_raw(),
                credit_limit=credit_limit,
            )
            for bank, name in zip(banks, NAMES, strict=False)
        },
    )


@cache
def blank_image() -> bytes:
    """An empty database with today's schema."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "blank.db")
        migrate(f"sqlite:///{file}")
        return file.read_bytes()


@cache
def found(count: int) -> Founded:
    banks = tuple(Ispb(f"1000000{digit}") for digit in range(1, count + 1))
    people = tuple(Document(cpf.validate(text)) for text in ("52998224725", "16899535009", "11144477735"))
    loop = VirtualLoop()
    network = Network(loop, SeededDice(0, "network"), _Nobody())
    roster = roster_of(banks, 1, 5_000, 10**12)
    disks = {
        bank: Disk(slot, blank_image(), SeededDice(0, f"disk {bank}")) for slot, bank in enumerate(banks)
    }
    founded = Founded(
        banks=banks, customers=people, images={}, accounts={}, mandates={}, small_mandates={}, joint={}
    )

    async def establish() -> None:
        for bank in banks:
            simulated = SimulatedBank(
                bank, bank, roster, key_of(bank), disks[bank], 1, loop, network, 0, lambda _who, _what: None
            )
            simulated.start()
            while not (simulated.up and simulated.workers[0].answers_clients):
                await asyncio.sleep(0.1)
            for customer in people:
                await simulated.ask(lambda node, c=customer: _welcome(node, c, founded), 60)  # type: ignore[misc]
            await simulated.ask(lambda node: _unite(node, founded), 60)
            founded.images[bank] = disks[bank].image()
            simulated.crash("it is founded")

    try:
        loop.run_until_complete(establish())
    finally:
        loop.close()
        for disk in disks.values():
            disk.close()
    return founded


async def _welcome(node: Node, customer: Document, founded: Founded) -> None:
    bank = node.bank.ispb
    name = CUSTOMERS[founded.customers.index(customer)]
    await node.store.add_customer(
        Customer(document=customer, name=name, individual=None, created_at=Instant(0)), "", None, None
    )
    account = await node.open_account(
        AccountOrder(
            once=None, caller=customer, kind=AccountKind.INDIVIDUAL, holders=(customer,), signatures=None
        )
    )
    assert not isinstance(account, Denied), "the first account is theirs"
    address = founded.accounts[bank, customer] = Address(account.id)
    await _fill(node, address)
    for other in founded.banks:
        if other != bank:
            for total, book in ((None, founded.mandates), (SMALL_TOTAL, founded.small_mandates)):
                given = await node.give_mandate(
                    MandateOrder(
                        once=None,
                        caller=customer,
                        account=address,
                        initiator=other,
                        payer=customer,
                        scopes=("pay",),
                        per_payment=None,
                        total=total,
                        expires_at=_LONG_ENOUGH,
                    )
                )
                assert not isinstance(given, Denied), "it is their own account"
                book[bank, customer, other] = given[1]


async def _unite(node: Node, founded: Founded) -> None:
    people = founded.customers
    account = await node.open_account(
        AccountOrder(once=None, caller=people[0], kind=AccountKind.JOINT, holders=people, signatures="all")
    )
    assert not isinstance(account, Denied), "they are all its customers"
    founded.joint[node.bank.ispb] = Address(account.id)
    await _fill(node, Address(account.id))


async def _fill(node: Node, address: Address) -> None:
    await node.pay(
        PaymentOrder(
            once=Once(key=address, route="deposits", body=""),
            kind=Kind.DEPOSIT,
            caller=None,
            transfers=(Transfer(source=VAULT, target=address, amount=BALANCE),),
            tokens=(None,),
            description=None,
            reference=None,
        )
    )


class _Nobody:
    """Watches nothing."""

    def asked(self, process: Process, sender: Ispb, receiver: Ispb, question: Question) -> None: ...

    def answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None: ...

    def delivered(self, process: Process, answering: Ispb, question: Question, answer: Answer) -> None: ...

    def missed(self, sender: Ispb, receiver: Ispb, what: str) -> None: ...
