"""One bank's database behind one door: `SqlStore` is the port `Store`, on SQLite or PostgreSQL.

The database works in threads, so the event loop never waits for a disk. Writers are as many as the database can use at
once: one for SQLite, several for PostgreSQL.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ciranda.engine.approval import Approval
from ciranda.engine.bank import Bank
from ciranda.engine.customer import Customer
from ciranda.engine.input import GRACE_MS, POSTPONED_MAX_MS, Input
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.record import Record
from ciranda.engine.reply import Failed, Reply
from ciranda.identity import AccountId, Document, EndToEndId, Ispb
from ciranda.instant import Instant, later
from ciranda.ledger.account import Account, clearing_account, vault
from ciranda.ledger.trial_balance import TrialBalance
from ciranda.ports import (
    Clock,
    Credentials,
    Dice,
    PaymentCounts,
    Session,
    StatementLine,
    Unavailable,
    ViolationRow,
)
from ciranda.storage import look, schema
from ciranda.storage.batch import run_batch
from ciranda.storage.gather import Gather
from ciranda.storage.rows import ACCOUNTS, CUSTOMERS
from ciranda.storage.transaction import Conflict, Database, Transaction

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CONFLICT_TRIES = 20
FORGET_AT_ONCE = 5_000
SESSIONS_REMEMBERED = 50_000

T = TypeVar("T")


class WrongBank(Exception):
    """The database is another bank's book."""


class SqlStore:
    def __init__(
        self,
        bank: Bank,
        database: Database,
        reader: Engine,
        clock: Clock,
        dice: Dice,
        writers: Executor,
        readers: Executor,
    ) -> None:
        self._bank = bank
        self._database = database
        self._reader = reader
        self._clock = clock
        self._dice = dice
        self._writers = writers
        self._readers = readers
        self._height = 0
        self._sessions = Gather(self._fetch_sessions)
        self._remembered: dict[bytes, Session] = {}
        """Only where no other process can end a session behind our back."""
        self._sessions_ended = 0

    async def open(self) -> None:
        """Makes the bank's own accounts where they are missing, and sets their floors as the roster says."""
        await self._write(self._prepare_own_accounts)
        await self.read_height()

    def close(self) -> None:
        self._database.close()
        self._reader.dispose()

    @property
    def lanes(self) -> int:
        return self._database.lanes

    def height(self) -> int:
        return self._height

    async def read_height(self) -> int:
        # Known from now on, so that it need not be read for every batch in which a peer shows it.
        self._height = max(self._height, await self._look(look.height))
        return self._height

    # The one way in for money.

    async def transact(self, inputs: Sequence[Input]) -> list[Reply]:
        return await self._in(self._writers, lambda: self._transact(inputs))

    def _transact(self, inputs: Sequence[Input]) -> list[Reply]:
        try:
            return self._commit(lambda transaction: self._run(transaction, inputs))
        except Unavailable:
            raise
        except Exception as error:
            # A mistake of ours, or a value that the database refuses: whose fault it is shows when the batch is
            # halved, so that one poisoned input fails alone.
            if len(inputs) == 1:
                log.exception("input_failed", input=type(inputs[0]).__name__)
                return [Failed(reason=type(error).__name__)]
            middle = len(inputs) // 2
            return [*self._transact(inputs[:middle]), *self._transact(inputs[middle:])]

    def _run(self, transaction: Transaction, inputs: Sequence[Input]) -> tuple[list[Reply], int]:
        replies, written = run_batch(transaction, self._bank, inputs, self._clock.now())
        return replies, transaction.rise() if written else 0

    def _commit(self, run: Callable[[Transaction], tuple[T, int]]) -> T:
        """Runs it in one transaction, again where another was in the way; it returns the height it wrote."""
        for attempt in range(1, CONFLICT_TRIES + 1):
            try:
                with self._database.transaction() as transaction:
                    result, height = run(transaction)
                self._height = max(self._height, height)
                return result
            except Conflict as conflict:
                if attempt == CONFLICT_TRIES:
                    raise Unavailable("too many conflicts in the database") from conflict
                time.sleep(self._dice.between(0, 0.005 * attempt))
        raise AssertionError("the last try returns or raises")

    # People.

    async def add_customer(
        self, customer: Customer, password_hash: str, email: str | None, phone: str | None
    ) -> bool:
        def add(transaction: Transaction) -> bool:
            taken = transaction.claim(schema.customers, [CUSTOMERS.to_row(customer)])
            if not taken:
                transaction.insert(schema.secrets, [(customer.document, password_hash, email, phone)])
            return not taken

        return await self._write(add)

    async def customers(self, documents: Sequence[Document]) -> dict[Document, Customer]:
        return await self._look(lambda connection: look.customers(connection, documents))

    async def credentials(self, document: Document) -> Credentials:
        return await self._look(lambda connection: look.credentials(connection, document))

    async def add_session(
        self, token_hash: bytes, document: Document, now: Instant, expires_at: Instant
    ) -> None:
        def add(transaction: Transaction) -> None:
            transaction.insert(schema.sessions, [(token_hash, document, now, expires_at)])
            transaction.delete(schema.failures, [(document,)])

        await self._write(add)

    async def session(self, token_hash: bytes) -> Session | None:
        remembered = self._remembered.get(token_hash)
        if remembered is not None:
            return remembered
        ended_before = self._sessions_ended
        session = await self._sessions.get(token_hash)
        # A session that ended while we looked must not be remembered.
        if session is not None and not self._database.shared and ended_before == self._sessions_ended:
            if len(self._remembered) >= SESSIONS_REMEMBERED:
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[token_hash] = session
        return session

    async def _fetch_sessions(self, token_hashes: list[bytes]) -> dict[bytes, Session]:
        return await self._look(lambda connection: look.sessions(connection, token_hashes))

    async def drop_session(self, token_hash: bytes) -> None:
        await self._write(lambda transaction: transaction.delete(schema.sessions, [(token_hash,)]))
        self._remembered.pop(token_hash, None)
        self._sessions_ended += 1

    async def count_attempt(
        self, document: Document, now: Instant, block_ms: Callable[[int], int]
    ) -> Instant | None:
        def count(transaction: Transaction) -> Instant | None:
            # Attempts at the same moment are counted one after the other: the row is locked, or made, first.
            before = transaction.claim(schema.failures, [(document, 1, now + block_ms(1))])
            if not before:
                return None
            _, attempts, blocked_until = before[0]
            if now < blocked_until:
                return Instant(blocked_until)
            attempts += 1
            transaction.upsert(schema.failures, [(document, attempts, now + block_ms(attempts))])
            return None

        return await self._write(count)

    # Looking.

    async def account(self, id: AccountId) -> Account | None:
        return await self._look(lambda connection: look.account(connection, id))

    async def accounts_of(self, document: Document) -> list[Account]:
        return await self._look(lambda connection: look.accounts_of(connection, document))

    async def own_accounts(self) -> list[Account]:
        return await self._look(look.own_accounts)

    async def entries(
        self, account: AccountId, limit: int, before: int | None = None, after: int | None = None
    ) -> list[StatementLine]:
        return await self._look(lambda connection: look.entries(connection, account, limit, before, after))

    async def payment(self, id: EndToEndId) -> Record | None:
        return await self._look(lambda connection: look.payment(connection, id))

    async def payments(self, ids: Sequence[EndToEndId]) -> list[Record]:
        return await self._look(lambda connection: look.payments(connection, ids))

    async def payments_of(self, payer: Document, limit: int, before: EndToEndId | None) -> list[Record]:
        return await self._look(
            lambda connection: look.payments_of(connection, self._bank.ispb, payer, limit, before)
        )

    async def all_payments(self, limit: int, after: EndToEndId | None) -> list[Record]:
        return await self._look(lambda connection: look.all_payments(connection, limit, after))

    async def in_doubt(self, limit: int) -> list[Record]:
        return await self._look(lambda connection: look.in_doubt(connection, limit))

    async def count_in_doubt(self) -> int:
        return await self._look(look.count_in_doubt)

    async def unfinished(self, limit: int, after: EndToEndId | None = None) -> list[Record]:
        return await self._look(lambda connection: look.unfinished(connection, limit, after))

    async def due(self, now: Instant, limit: int) -> list[Record]:
        horizon = later(now, self._bank.roster.deadline_ms + GRACE_MS + POSTPONED_MAX_MS)
        return await self._look(lambda connection: look.due(connection, now, horizon, limit))

    async def mandates_of(self, giver: Document) -> list[Mandate]:
        return await self._look(lambda connection: look.mandates_of(connection, giver))

    async def mandate(self, id: str) -> Mandate | None:
        return await self._look(lambda connection: look.mandate(connection, id))

    async def approvals(self, ids: Sequence[str]) -> dict[str, Approval]:
        return await self._look(lambda connection: look.approvals(connection, ids))

    async def awaiting(
        self, document: Document, limit: int, before: tuple[Instant, str] | None
    ) -> list[Approval]:
        return await self._look(lambda connection: look.awaiting(connection, document, limit, before))

    async def expired(self, now: Instant, limit: int) -> list[Approval]:
        return await self._look(lambda connection: look.expired(connection, now, limit))

    async def mandates(self, ids: Sequence[str]) -> list[Mandate]:
        return await self._look(lambda connection: look.mandates(connection, ids))

    async def links_of(self, owner: Document) -> list[Link]:
        return await self._look(lambda connection: look.links_of(connection, owner))

    async def trial_balance(self) -> tuple[TrialBalance, PaymentCounts]:
        return await self._look(look.trial_balance)

    async def violations(self, limit: int) -> list[ViolationRow]:
        return await self._look(lambda connection: look.violations(connection, limit))

    # Keeping house.

    async def heights(self) -> dict[Ispb, int]:
        return await self._look(look.heights)

    async def keep_heights(self, heights: dict[Ispb, int]) -> None:
        def keep(transaction: Transaction) -> tuple[None, int]:
            stored = {row[0]: row[1] for row in transaction.claim(schema.heights, sorted(heights.items()))}
            risen = [(bank, height) for bank, height in heights.items() if height > stored.get(bank, height)]
            transaction.upsert(schema.heights, risen)
            # It is no promise, and raises no height: else two idle banks would keep each other writing for ever.
            return None, 0

        await self._in(self._writers, lambda: self._commit(keep))

    async def forget_keys(self, used_before: Instant) -> int:
        old = await self._look(lambda connection: look.old_keys(connection, used_before, FORGET_AT_ONCE))
        if old:
            await self._write(lambda transaction: transaction.delete(schema.keys, old))
        return len(old)

    def _prepare_own_accounts(self, transaction: Transaction) -> None:
        claimed = transaction.claim(schema.bank, [(1, self._bank.ispb, 0)])
        if claimed and claimed[0][1] != self._bank.ispb:
            raise WrongBank(f"this database is the book of bank {claimed[0][1]}, not of {self._bank.ispb}")
        now = self._clock.now()
        wanted = [
            vault(now),
            *(
                clearing_account(peer.ispb, peer.credit_limit, now)
                for peer in self._bank.roster.peers_of(self._bank.ispb)
            ),
        ]
        rows = transaction.claim(schema.accounts, [ACCOUNTS.to_row(account) for account in wanted])
        present = {account.id: account for account in map(ACCOUNTS.from_row, rows)}
        for account in wanted:
            kept = present.get(account.id)
            if kept is not None and kept.floor != account.floor:
                transaction.upsert(schema.accounts, [ACCOUNTS.to_row(replace(kept, floor=account.floor))])

    # Threads.

    async def _in(self, executor: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    async def _write(self, work: Callable[[Transaction], T]) -> T:
        """One small transaction that moves no money."""

        return await self._in(
            self._writers,
            lambda: self._commit(lambda transaction: (work(transaction), transaction.rise())),
        )

    async def _look(self, question: Callable[[Connection], T]) -> T:
        def run() -> T:
            try:
                with self._reader.begin() as connection:
                    return question(connection)
            except DBAPIError as error:
                raise Unavailable(str(error.orig)) from error

        return await self._in(self._readers, run)
