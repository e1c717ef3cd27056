"""Customers, sessions, accounts and money for a bank that is not running yet, by its own engine and storage.

Through the doors it would take hours: each password costs a tenth of a second of hashing. So customers are written as
signing up writes them, but for a hash that no password fits, and everything else goes through `Store.transact` in full
batches. The books are as if the customers had come one by one: opening deposits, statements and vault agree.
"""

import asyncio
import multiprocessing
import os
import secrets
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec
from stdnum.br import cpf

from ciranda.assembly import SystemDice, WallClock, bank_of
from ciranda.engine.customer import Customer
from ciranda.engine.input import Begin, GiveMandate, Input, OpenAccount
from ciranda.engine.key import Claim
from ciranda.engine.mandate import Mandate, token_of
from ciranda.engine.reply import AccountMade, MandateMade, Paid
from ciranda.identity import VAULT, Address, Document, Ispb, make_address, make_end_to_end_id
from ciranda.instant import later
from ciranda.ledger.account import AccountKind
from ciranda.node.attempts import of_document
from ciranda.payment import TRANSFERS_MAX, Kind, Status, Transfer
from ciranda.ports import Session
from ciranda.settings import load
from ciranda.storage import make_store
from ciranda.storage.store import SqlStore

OPENING_BALANCE = 100_000_000
"""What each account has at first: a million in the currency's major unit."""

ACCOUNTS_OF_ONE = 100
"""Each customer has so many accounts, or more in a bank of more than a hundred thousand."""
CUSTOMERS_MAX = 1_000
FEW = 2_000
"""So few accounts are filled sooner than a process of their own has started."""

_BRANCH = "0001"
_NUMBERS = 100_000_000
_STRIDE = 61_803_399
"""Without a divisor in common with `_NUMBERS`: it scatters the accounts over all numbers, as a bank's dice would."""
_AT_ONCE = 1_000
_SESSION_MS = 12 * 60 * 60 * 1000
_NO_HASH = "none"
"""No password fits it."""

_Value = TypeVar("_Value")


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What the load generator knows of one bank's customers. Account i is of customer i mod (number of customers)."""

    ispb: Ispb
    accounts: int
    tokens: list[str]
    """Of each customer's session."""
    mandates: list[str]
    """Of each account, if there are any: the token with which its holder pays out of it from the initiator's bank."""

    def address(self, account: int) -> Address:
        return address(self.ispb, account)

    def token(self, account: int) -> str:
        """Of a holder's session."""
        return self.tokens[account % len(self.tokens)]


def address(bank: Ispb, account: int) -> Address:
    return make_address(bank, _BRANCH, f"{account * _STRIDE % _NUMBERS:08d}")


def customers_for(accounts: int) -> int:
    """Every account is joint, of two neighbours, for a person may have but one of their own."""
    return max(2, min(CUSTOMERS_MAX, -(-accounts // ACCOUNTS_OF_ONE)))


def document(customer: int) -> Document:
    """The same person has the same number in each bank."""
    candidates = (f"{100_000_000 + customer:09d}{check:02d}" for check in range(100))
    return Document(next(text for text in candidates if cpf.is_valid(text)))


async def fill_all(folders: Sequence[Path], accounts: int, initiator: Ispb | None) -> list[Filled]:
    """Fills the banks whose `bank.toml` these are, several at once. `initiator`: every account of the others gives
    that bank a mandate for its holder."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        pool: Executor
        if accounts <= FEW:
            pool = stack.enter_context(ThreadPoolExecutor(1))
        else:
            # Spawned, so that no thread or loop of ours is copied into them.
            context = multiprocessing.get_context("spawn")
            processes = min(len(folders), os.cpu_count() or 1)
            pool = stack.enter_context(ProcessPoolExecutor(processes, mp_context=context))
        filling = [loop.run_in_executor(pool, fill, path, accounts, initiator) for path in folders]
        return await asyncio.gather(*filling)


def fill(bank_toml: Path, accounts: int, initiator: Ispb | None) -> Filled:
    return asyncio.run(_fill(bank_toml, accounts, initiator))


async def _fill(bank_toml: Path, accounts: int, initiator: Ispb | None) -> Filled:
    settings = load(bank_toml)
    bank, clock = bank_of(settings), WallClock()
    store = make_store(settings.database, bank, clock, SystemDice())
    try:
        await store.open()
        owners = customers_for(accounts)
        people = [document(customer) for customer in range(owners)]
        tokens = [await _settle_in(store, person, clock) for person in people]
        addresses = [address(bank.ispb, account) for account in range(accounts)]
        holders = [(people[account % owners], people[(account + 1) % owners]) for account in range(accounts)]
        await _write(
            store,
            [
                OpenAccount(
                    claim=None,
                    caller=of[0],
                    address=opened,
                    kind=AccountKind.JOINT,
                    holders=of,
                    signatures="any",
                )
                for opened, of in zip(addresses, holders, strict=True)
            ],
        )
        await _write(store, [_deposit(bank.ispb, some, clock) for some in _parts(addresses, TRANSFERS_MAX)])
        mandates: list[Mandate] = []
        if initiator not in (None, bank.ispb):
            mandates = [
                _mandate(given, of[0], initiator, clock) for given, of in zip(addresses, holders, strict=True)
            ]
            await _write(store, [GiveMandate(claim=None, mandate=mandate) for mandate in mandates])
        return Filled(
            ispb=bank.ispb,
            accounts=accounts,
            tokens=tokens,
            mandates=[token_of(mandate.id, bank.mandate_secret) for mandate in mandates],
        )
    finally:
        store.close()


async def _settle_in(store: SqlStore, customer: Document, clock: WallClock) -> str:
    """Signs the customer up and in; the session's token."""
    now = clock.now()
    person = Customer(document=customer, name="Maria da Roda", individual=None, created_at=now)
    added = await store.add_customer(person, _NO_HASH, None, None)
    assert added, "the bank was empty"
    token = secrets.token_urlsafe(32)
    session = Session(
        id=secrets.token_hex(16),
        customer=person,
        created_at=now,
        used_at=now,
        expires_at=later(now, _SESSION_MS),
        address=None,
        agent=None,
    )
    begun = await store.add_session(
        sha256(token.encode()).digest(), session, _NO_HASH, None, of_document(customer)
    )
    assert begun, "nobody changed the password meanwhile"
    return token


def _deposit(bank: Ispb, addresses: Sequence[Address], clock: WallClock) -> Begin:
    """One payment brings as many accounts their first money as a payment can."""
    now = clock.now()
    return Begin(
        id=make_end_to_end_id(bank, now, secrets.token_hex(6)[:11]),
        kind=Kind.DEPOSIT,
        claim=Claim(scope="operator/deposits", key=addresses[0], body=""),
        caller=None,
        transfers=tuple(
            Transfer(source=VAULT, target=target, amount=OPENING_BALANCE) for target in addresses
        ),
        tokens=(None,) * len(addresses),
        salts=("",) * len(addresses),
        description=None,
        reference=None,
        deadline=later(now, 60_000),
        unreachable=frozenset(),
    )


def _mandate(account: Address, giver: Document, initiator: Ispb, clock: WallClock) -> Mandate:
    now = clock.now()
    return Mandate(
        id=secrets.token_hex(16),
        account=account,
        giver=giver,
        initiator=initiator,
        payer=giver,
        scopes=("pay",),
        per_payment=None,
        total=None,
        used=0,
        created_at=now,
        expires_at=later(now, _SESSION_MS),
        revoked_at=None,
        approved_at=now,
    )


async def _write(store: SqlStore, inputs: Sequence[Input]) -> None:
    for some in _parts(inputs, _AT_ONCE):
        for reply in await store.transact(some):
            match reply:
                case AccountMade() | MandateMade():
                    pass
                case Paid(record=record) if record.status is Status.SETTLED:
                    pass
                case _:
                    raise AssertionError(f"an empty bank can be filled: {reply}")


def _parts(values: Sequence[_Value], size: int) -> list[Sequence[_Value]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
