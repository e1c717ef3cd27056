"""Several whole banks in one process: the real node, engine and store on SQLite files; only the network is ours.

The network hands a question straight to the other bank's listener, and can be told to lose questions or answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.agreement.message import Answer, Probe, Question, ShowHead
from ciranda.assembly import SystemDice, WallClock, make_node
from ciranda.engine.bank import Bank
from ciranda.engine.customer import Customer
from ciranda.engine.limits import LimitRules
from ciranda.engine.operator import TwoPerson
from ciranda.engine.record import Record
from ciranda.engine.reply import Denied
from ciranda.identity import VAULT, AccountId, Address, Document, Ispb, parse_document
from ciranda.instant import Instant
from ciranda.ledger.account import AccountKind
from ciranda.node.heights import HeightKeeper
from ciranda.node.node import Node
from ciranda.node.order import AccountOrder, MandateOrder, Once, PaymentOrder
from ciranda.node.people import USUAL_RULES, PeopleRules
from ciranda.payment import Kind, Transfer
from ciranda.ports import PeerUnreachable
from ciranda.roster import Member, Roster
from ciranda.settings import raw_public
from ciranda.storage import make_store, migrate
from ciranda.storage.store import SqlStore
from ciranda.wire.head import Hand

ISPBS = [Ispb(f"1000000{digit}") for digit in range(1, 6)]
KEYS = {ispb: Ed25519PrivateKey.from_private_bytes(ispb.encode() * 4) for ispb in ISPBS}
ANA = parse_document("529.982.247-25")
BIA = parse_document("168.995.350-09")
DEADLINE_MS = 400
"""Short, for most tests wait until it has passed."""

Fault = Callable[[Ispb, Ispb, Question], Awaitable[None]]


class Network:
    """`before` and `after` may raise PeerUnreachable, or wait: what they do happens to every question."""

    def __init__(self) -> None:
        self.nodes: dict[Ispb, Node] = {}
        self.down: set[Ispb] = set()
        self.before: Fault | None = None
        self.after: Fault | None = None
        self.asked: list[tuple[Ispb, Ispb, str]] = []


class DirectPeers:
    """The port Peers over such a network."""

    def __init__(self, own: Ispb, network: Network) -> None:
        self._own = own
        self._network = network

    async def ask(self, bank: Ispb, question: Question, timeout_ms: int) -> Answer:
        network = self._network
        if bank in network.down or self._own in network.down or bank not in network.nodes:
            raise PeerUnreachable(bank)
        if not isinstance(question, Probe | ShowHead):
            network.asked.append((self._own, bank, type(question).__name__))
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                if network.before is not None:
                    await network.before(self._own, bank, question)
                node = network.nodes.get(bank)
                if node is None:
                    raise PeerUnreachable(bank)
                (answer,) = await node.answers.respond(self._own, [question])
                if network.after is not None:
                    await network.after(self._own, bank, question)
                return answer
        except TimeoutError:
            raise PeerUnreachable(bank) from None

    def reachable(self, bank: Ispb) -> bool:
        return bank not in self._network.down

    async def met(self) -> None:
        """Somebody is always there."""


class MovableClock(WallClock):
    """The wall's, put ahead by hand, so that nobody need sleep."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now(self) -> Instant:
        return Instant(super().now() + self.ahead_ms)


class Banks:
    """A consortium of such banks. Every one has Ana and Bia as customers, each with R$ 1.000 in her account."""

    def __init__(
        self,
        folder: Path,
        count: int,
        witnesses: int,
        deadline_ms: int,
        two_person: TwoPerson | None,
        limits: LimitRules | None,
        rules: PeopleRules,
    ) -> None:
        self.folder = folder
        self.two_person = two_person
        self.rules = rules
        self.clock = MovableClock()
        self.network = Network()
        self.limits = limits
        self.ispbs = ISPBS[:count]
        self.roster = Roster(
            name="Roda",
            currency="BRL",
            version=1,
            witnesses=witnesses,
            deadline_ms=deadline_ms,
            members={
                ispb: Member(
                    ispb=ispb,
                    name=ispb,
                    slug=ispb,
                    public_url="",
                    peer_url="",
                    public_key=raw_public(KEYS[ispb]),
                    credit_limit=10**12,
                )
                for ispb in self.ispbs
            },
        )
        self.stores: dict[Ispb, SqlStore] = {}
        self.accounts: dict[tuple[Ispb, Document], Address] = {}
        self._keys = 0

    def __getitem__(self, ispb: Ispb) -> Node:
        return self.network.nodes[ispb]

    async def start(self, ispb: Ispb) -> Node:
        bank = Bank(
            ispb=ispb,
            roster=self.roster,
            mandate_secret=ispb.encode() * 4,
            two_person=self.two_person,
            limits=self.limits,
        )
        clock, dice = self.clock, SystemDice()
        url = f"sqlite:///{self.folder}/{ispb}.db"
        migrate(url)
        store = make_store(url, bank, clock, dice)
        await store.open()
        peers = DirectPeers(ispb, self.network)
        heights = HeightKeeper(store, lambda why: None, ispb.encode(), clock)
        node = make_node(
            bank,
            store,
            heights,
            peers,
            clock,
            dice,
            operator_token="operator",
            sealing_key=bytes(32),
            hand=Hand(ispb, self.roster, KEYS[ispb]),
            rules=self.rules,
        )
        self.stores[ispb] = store
        self.network.nodes[ispb] = node
        await node.start()
        return node

    async def kill(self, ispb: Ispb) -> None:
        """The bank's process is gone: whatever it was doing is left as it stands in its database."""
        node = self.network.nodes.pop(ispb)
        await node.abandon()
        self.stores.pop(ispb).close()

    async def open_accounts(self) -> None:
        for ispb in self.ispbs:
            for document in (ANA, BIA):
                await self.stores[ispb].add_customer(
                    Customer(document=document, name="Ana", individual=None, created_at=Instant(0)),
                    "",
                    None,
                    None,
                )
                account = await self[ispb].open_account(
                    AccountOrder(
                        once=None,
                        caller=document,
                        kind=AccountKind.INDIVIDUAL,
                        holders=(document,),
                        signatures=None,
                    )
                )
                assert not isinstance(account, Denied)
                self.accounts[ispb, document] = Address(account.id)
                await self.pay(ispb, None, [(VAULT, account.id, 100_000)], kind=Kind.DEPOSIT)

    async def mandate(self, issuer: Ispb, giver: Document, initiator: Ispb, **limits: Any) -> str:
        given = await self[issuer].give_mandate(
            MandateOrder(
                once=None,
                caller=giver,
                account=self.accounts[issuer, giver],
                initiator=initiator,
                payer=giver,
                scopes=("pay", "read"),
                per_payment=limits.get("per_payment"),
                total=limits.get("total"),
                expires_at=Instant(2**50),
            )
        )
        assert not isinstance(given, Denied)
        return given[1]

    async def pay(
        self,
        at: Ispb,
        caller: Document | None,
        transfers: list[tuple[AccountId, AccountId, int]],
        tokens: Sequence[str | None] | None = None,
        kind: Kind = Kind.PAYMENT,
        key: str | None = None,
    ) -> Record:
        self._keys += 1
        record = await self[at].pay(
            PaymentOrder(
                once=Once(key=key or str(self._keys), route="payments", body=str(transfers)),
                kind=kind,
                caller=caller,
                transfers=tuple(Transfer(source=s, target=t, amount=a) for s, t, a in transfers),
                tokens=tuple(tokens or [None] * len(transfers)),
                description=None,
                reference=None,
            )
        )
        assert not isinstance(record, Denied), record
        return record

    async def balance(self, ispb: Ispb, document: Document) -> tuple[int, int]:
        """Balance and what is held."""
        account = await self.stores[ispb].account(self.accounts[ispb, document])
        assert account is not None
        return account.balance, account.held

    async def audit(self) -> None:
        """I1, I2 and I4 over all banks that are up; nothing in doubt."""
        outcomes: dict[str, set[str]] = {}
        positions: dict[tuple[Ispb, Ispb], int] = {}
        for ispb, store in self.stores.items():
            balances, counts = await store.trial_balance()
            assert balances.sum == 0
            assert balances.held == 0
            assert counts.in_doubt == 0
            for peer, balance in balances.clearing.items():
                positions[ispb, peer] = balance
            for record in await store.all_payments(10_000, None):
                if record.digest is not None and record.clauses:
                    outcomes.setdefault(record.id, set()).add(record.state)
        assert all(len(states) == 1 for states in outcomes.values()), outcomes
        for (a, b), balance in positions.items():
            if (b, a) in positions:
                assert balance + positions[b, a] == 0

    async def settled(self, limit_s: float = 20) -> None:
        """Waits until no living bank has anything left to do, decide or tell."""
        async with asyncio.timeout(limit_s):
            while any([await store.unfinished(1) for store in self.stores.values()]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@asynccontextmanager
async def consortium(
    folder: Path,
    count: int = 4,
    witnesses: int = 3,
    deadline_ms: int = DEADLINE_MS,
    two_person: TwoPerson | None = None,
    limits: LimitRules | None = None,
    rules: PeopleRules = USUAL_RULES,
) -> Any:
    banks = Banks(folder, count, witnesses, deadline_ms, two_person, limits, rules)
    for ispb in banks.ispbs:
        await banks.start(ispb)
    await banks.open_accounts()
    try:
        yield banks
    finally:
        for ispb in list(banks.network.nodes):
            await banks.kill(ispb)
