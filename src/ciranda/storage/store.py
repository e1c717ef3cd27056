"""One bank's database behind one door: `SqlStore` is the port `Store`, on SQLite or PostgreSQL.

The event loop never waits for a commit, nor for a look: these run in threads. There are as many writers as the database
can use at once: one for SQLite, several for PostgreSQL.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from copy import copy
from typing import TypeVar

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ciranda import chain
from ciranda.agreement.height import Height
from ciranda.chain import SignedHead
from ciranda.engine.action import Action
from ciranda.engine.approval import Approval
from ciranda.engine.attempts import Allowance
from ciranda.engine.bank import Bank
from ciranda.engine.customer import Customer
from ciranda.engine.input import GRACE_MS, POSTPONED_MAX_MS, Input
from ciranda.engine.key import Claim
from ciranda.engine.limits import Limits
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.operator import Operator
from ciranda.engine.proposal import Proposal
from ciranda.engine.record import Record
from ciranda.engine.reply import Failed, Reply
from ciranda.engine.second_factor import SecondFactor
from ciranda.identity import AccountId, Address, Document, EndToEndId, Ispb, clearing
from ciranda.instant import Instant, later
from ciranda.ledger.account import Account, clearing_account, vault
from ciranda.ledger.trial_balance import TrialBalance
from ciranda.period import Period
from ciranda.ports import (
    Clock,
    Credentials,
    Dice,
    Dispute,
    PaymentCounts,
    Session,
    StatementLine,
    Unavailable,
    UseLine,
    ViolationRow,
)
from ciranda.roster import Roster
from ciranda.storage import look, people, schema
from ciranda.storage.batch import run_batch
from ciranda.storage.chaining import Chaining
from ciranda.storage.gather import Gather
from ciranda.storage.rows import ACCOUNTS, DISPUTES, HEADS
from ciranda.storage.transaction import Conflict, Database, Transaction

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CONFLICT_TRIES = 20
FORGET_AT_ONCE = 5_000
SESSIONS_REMEMBERED = 50_000
HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS

K = TypeVar("K")
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
        readers: Executor,
    ) -> None:
        self._bank = bank
        self._database = database
        self._reader = reader
        self._clock = clock
        self._dice = dice
        self._readers = readers
        self._height = 0
        self._sessions = Gather(self._fetch_sessions)
        self._remembered: dict[bytes, Session] = {}
        """Only where no other process can end a session behind our back."""
        self._sessions_ended = 0
        self._guarded: dict[Document, bool] = {}
        """Whether a customer has switched a second factor on, as their latest request's session said."""

    async def open(self) -> None:
        """Makes the bank's own accounts where they are missing, and sets their floors as the roster says."""
        await self.prepare_for(self._bank.roster)
        await self.read_height()

    async def prepare_for(self, roster: Roster) -> None:
        """Makes the clearing accounts that the roster asks for, and sets their floors: before it is in force."""
        await self._write(lambda transaction: self._prepare_own_accounts(transaction, roster))

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
        try:
            return await self._commit(lambda transaction: self._run(transaction, inputs))
        except Unavailable:
            raise
        except Exception as error:
            # A mistake of ours, or a value that the database refuses: whose fault it is shows when the batch is
            # halved, so that one poisoned input fails alone.
            if len(inputs) == 1:
                log.exception("input_failed", input=type(inputs[0]).__name__)
                return [Failed(reason=type(error).__name__)]
            middle = len(inputs) // 2
            return [*await self.transact(inputs[:middle]), *await self.transact(inputs[middle:])]

    def _run(self, transaction: Transaction, inputs: Sequence[Input]) -> tuple[list[Reply], int]:
        replies, written = run_batch(transaction, copy(self._bank), inputs, self._clock.now())
        return replies, transaction.rise() if written else 0

    async def _commit(self, work: Callable[[Transaction], tuple[T, int]]) -> T:
        """Does it in one transaction, again where another was in the way; `work` returns the height it wrote.

        What it wrote of money and rights is in the chain then.
        """

        def chained(transaction: Transaction) -> tuple[T, int]:
            chaining = Chaining(transaction)
            done = work(chaining)
            chaining.close(self._clock.now())
            return done

        for attempt in range(1, CONFLICT_TRIES + 1):
            try:
                result, height = await self._database.run(chained)
            except Conflict as conflict:
                if attempt == CONFLICT_TRIES:
                    raise Unavailable("too many conflicts in the database") from conflict
                await asyncio.sleep(self._dice.between(0, 0.005 * attempt))
            else:
                self._height = max(self._height, height)
                return result
        raise AssertionError("the last try returns or raises")

    # People.

    async def add_customer(
        self, customer: Customer, password_hash: str, email: str | None, phone: str | None
    ) -> bool:
        return await self._write(
            lambda transaction: people.add_customer(transaction, customer, password_hash, email, phone)
        )

    async def customers(self, documents: Sequence[Document]) -> dict[Document, Customer]:
        return await self._look(lambda connection: look.customers(connection, documents))

    async def credentials(self, document: Document) -> Credentials:
        return await self._look(lambda connection: look.credentials(connection, document))

    async def add_session(
        self, token_hash: bytes, session: Session, verified: str, rehashed: str | None, attempts: str
    ) -> bool:
        def add(transaction: Transaction) -> list[bytes] | None:
            ended = people.add_session(transaction, token_hash, session, verified, rehashed)
            if ended is not None:
                people.forget_attempts(transaction, [attempts])
            return ended

        return self._ended(await self._write(add))

    async def session(self, token_hash: bytes) -> Session | None:
        remembered = self._remembered.get(token_hash)
        if remembered is not None:
            return remembered
        ended_before = self._sessions_ended
        session = await self._sessions.get(token_hash)
        # A session that ended while we looked must not be remembered.
        if session is not None and not self._database.shared and ended_before == self._sessions_ended:
            _remember(self._remembered, token_hash, session)
        return session

    async def _fetch_sessions(self, token_hashes: list[bytes]) -> dict[bytes, Session]:
        changed_before = self._sessions_ended
        found = await self._look(lambda connection: look.sessions(connection, token_hashes))
        for session in found.values():
            self._guarded.pop(session.customer.document, None)
            if changed_before == self._sessions_ended:
                _remember(self._guarded, session.customer.document, session.guarded)
        return found

    async def sessions_of(self, document: Document) -> list[tuple[bytes, Session]]:
        return await self._look(lambda connection: look.sessions_of(connection, document))

    async def note_use(self, used: Mapping[bytes, Instant]) -> None:
        def note(transaction: Transaction) -> tuple[None, int]:
            # Nothing is promised by it, so it raises no height.
            people.note_use(transaction, used)
            return None, 0

        await self._commit(note)
        for token_hash, used_at in used.items():
            if token_hash in self._remembered:
                self._remembered[token_hash] = replace(self._remembered[token_hash], used_at=used_at)

    async def drop_session(self, token_hash: bytes) -> None:
        await self._write(lambda transaction: people.forget_sessions(transaction, [token_hash]))
        self._ended([token_hash])

    async def end_session(self, document: Document, id: str) -> bool:
        ended = await self._write(
            lambda transaction: people.end_sessions(transaction, document, lambda _, its_id: its_id == id)
        )
        self._ended(ended)
        return bool(ended)

    async def end_other_sessions(self, document: Document, keep: bytes) -> None:
        self._ended(
            await self._write(
                lambda transaction: people.end_sessions(transaction, document, lambda its, _: its != keep)
            )
        )

    async def change_password(
        self, document: Document, verified: str, password_hash: str, keep: bytes, attempts: str
    ) -> bool:
        def change(transaction: Transaction) -> list[bytes] | None:
            ended = people.change_password(transaction, document, verified, password_hash, keep)
            if ended is not None:
                people.forget_attempts(transaction, [attempts])
            return ended

        return self._ended(await self._write(change))

    def forget_customer(self, document: Document) -> None:
        for token_hash, session in list(self._remembered.items()):
            if session.customer.document == document:
                del self._remembered[token_hash]
        self._guarded.pop(document, None)
        self._sessions_ended += 1

    def _ended(self, token_hashes: list[bytes] | None) -> bool:
        """Forgets these sessions here too; False if there is no list of them."""
        for token_hash in token_hashes or ():
            self._remembered.pop(token_hash, None)
        if token_hashes:
            self._sessions_ended += 1
        return token_hashes is not None

    async def count_attempt(
        self, whose: str, allowance: Allowance, now: Instant, behind: str | None = None
    ) -> Instant | None:
        before = await self._write(
            lambda transaction: people.count_attempt(transaction, whose, allowance, now, behind)
        )
        return before.blocked_until if now < before.blocked_until else None

    async def blocked_until(self, whose: str) -> Instant:
        return await self._look(lambda connection: look.blocked_until(connection, whose))

    async def forget_attempts(self, whose: str) -> None:
        await self._write(lambda transaction: people.forget_attempts(transaction, [whose]))

    async def guarded(self, document: Document) -> bool:
        # As it was when the session was looked up that this very request came with.
        known = self._guarded.get(document)
        if known is None:
            changed_before = self._sessions_ended
            factor = await self.second_factor(document)
            known = factor is not None and factor.on
            if changed_before == self._sessions_ended:
                _remember(self._guarded, document, known)
        return known

    async def second_factor(self, document: Document) -> SecondFactor | None:
        return await self._look(lambda connection: look.second_factor(connection, document))

    async def change_second_factor(
        self, document: Document, change: Callable[[SecondFactor | None], tuple[SecondFactor | None, T]]
    ) -> T:
        after, said = await self._write(
            lambda transaction: people.change_second_factor(transaction, document, change)
        )
        # A session that is being looked up at this moment may tell of before.
        self._sessions_ended += 1
        _remember(self._guarded, document, after is not None and after.on)
        return said

    async def used_keys(self, claims: Sequence[Claim]) -> set[Claim]:
        return await self._look(lambda connection: look.used_keys(connection, claims))

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

    async def uses(
        self, mandate: str, limit: int, before: tuple[Instant, EndToEndId] | None
    ) -> list[UseLine]:
        return await self._look(lambda connection: look.uses(connection, mandate, limit, before))

    async def used_since(self, mandates: Sequence[str], since: Instant) -> dict[str, int]:
        return await self._look(lambda connection: look.used_since(connection, mandates, since))

    async def limits(self, account: Address) -> Limits:
        return await self._look(lambda connection: look.limits(connection, account))

    async def spent(self, account: Address, periods: Sequence[Period]) -> dict[Period, int]:
        return await self._look(lambda connection: look.spent(connection, account, periods))

    async def links_of(self, owner: Document) -> list[Link]:
        return await self._look(lambda connection: look.links_of(connection, owner))

    async def trial_balance(self) -> tuple[TrialBalance, PaymentCounts]:
        return await self._look(look.trial_balance)

    async def violations(self, limit: int) -> list[ViolationRow]:
        return await self._look(lambda connection: look.violations(connection, limit))

    # Operators.

    async def operator(self, name: str) -> Operator | None:
        return await self._look(lambda connection: look.operator(connection, name))

    async def operators(self) -> list[Operator]:
        return await self._look(look.operators)

    async def proposal(self, id: str) -> Proposal | None:
        return await self._look(lambda connection: look.proposal(connection, id))

    async def proposals(self, limit: int, before: str | None) -> list[Proposal]:
        return await self._look(lambda connection: look.proposals(connection, limit, before))

    async def actions(self, limit: int, before: str | None) -> list[Action]:
        return await self._look(lambda connection: look.actions(connection, limit, before))

    # The chain.

    async def chain(self, number: int | None) -> tuple[int, bytes, bytes | None]:
        return await self._look(lambda connection: look.chain(connection, number))

    async def newest_head(self, bank: Ispb) -> SignedHead | None:
        newest = await self.kept_heads(bank, 1, None)
        return newest[0] if newest else None

    async def keep_head(self, head: SignedHead, now: Instant, forget_before: Instant) -> None:
        # The last whole hour that has become a day old.
        ends = Instant((now - DAY_MS) // HOUR_MS * HOUR_MS)
        thinned = (later(ends, -HOUR_MS), ends)
        old = await self._look(
            lambda connection: look.old_heads(connection, head.bank, forget_before, thinned)
        )

        def keep(transaction: Transaction) -> tuple[None, int]:
            transaction.claim(schema.heads, [(head.bank, *HEADS.to_row(head), now)])
            transaction.delete(schema.heads, old)
            # It is a copy of what another bank says, and raises no height.
            return None, 0

        await self._commit(keep)

    async def kept_heads(self, bank: Ispb, limit: int, before: int | None) -> list[SignedHead]:
        return await self._look(lambda connection: look.kept_heads(connection, bank, limit, before))

    async def add_dispute(self, dispute: Dispute) -> bool:
        def add(transaction: Transaction) -> tuple[bool, int]:
            known = transaction.claim(schema.disputes, [DISPUTES.to_row(dispute)])
            return not known, 0 if known else transaction.rise()

        return await self._commit(add)

    async def disputes(self, limit: int) -> list[Dispute]:
        return await self._look(lambda connection: look.disputes(connection, limit))

    # Keeping house.

    async def heights(self) -> dict[Ispb, Height]:
        return await self._look(look.heights)

    async def keep_heights(self, heights: dict[Ispb, Height]) -> None:
        rows = sorted((bank, height.number, height.stamp) for bank, height in heights.items())

        def keep(transaction: Transaction) -> tuple[None, int]:
            stored = {row[0]: row[1] for row in transaction.claim(schema.heights, rows)}
            transaction.upsert(schema.heights, [row for row in rows if row[1] > stored.get(row[0], row[1])])
            # It is no promise, and raises no height: else two idle banks would keep each other writing for ever.
            return None, 0

        await self._commit(keep)

    async def forget_people(self, now: Instant) -> int:
        sessions = await self._look(lambda connection: look.old_sessions(connection, now, FORGET_AT_ONCE))
        attempts = await self._look(lambda connection: look.old_attempts(connection, now, FORGET_AT_ONCE))

        def forget(transaction: Transaction) -> list[bytes]:
            people.forget_sessions(transaction, sessions)
            people.forget_attempts(transaction, attempts, now)
            return sessions

        if sessions or attempts:
            self._ended(await self._write(forget))
        return len(sessions) + len(attempts)

    async def forget_keys(self, used_before: Instant) -> int:
        old = await self._look(lambda connection: look.old_keys(connection, used_before, FORGET_AT_ONCE))
        if old:
            await self._write(lambda transaction: transaction.delete(schema.keys, old))
        return len(old)

    def _prepare_own_accounts(self, transaction: Transaction, roster: Roster) -> None:
        claimed = transaction.claim(schema.bank, [(1, self._bank.ispb, 0)])
        if claimed and claimed[0][1] != self._bank.ispb:
            raise WrongBank(f"this database is the book of bank {claimed[0][1]}, not of {self._bank.ispb}")
        transaction.claim(schema.folios, [(0, 0, chain.first(self._bank.ispb), b"")])
        now = self._clock.now()
        peers = roster.peers_of(self._bank.ispb)
        wanted = [
            vault(now),
            *(clearing_account(peer.ispb, peer.credit_limit, now) for peer in peers),
        ]
        rows = transaction.claim(schema.accounts, [ACCOUNTS.to_row(account) for account in wanted])
        present = {account.id: account for account in map(ACCOUNTS.from_row, rows)}
        # What an operator has said stands over the settings. It is read once the accounts are locked, so that what
        # is being said in another worker at this moment is not undone.
        said = transaction.read(schema.peer_limits, [(peer.ispb,) for peer in peers])
        floors = {clearing(Ispb(row[0])): -row[1] for row in said}
        for account in wanted:
            kept, floor = present.get(account.id), floors.get(account.id, account.floor)
            if kept is not None and kept.floor != floor:
                transaction.upsert(schema.accounts, [ACCOUNTS.to_row(replace(kept, floor=floor))])

    # One small transaction.

    async def _write(self, work: Callable[[Transaction], T]) -> T:
        """One that moves no money."""
        return await self._commit(lambda transaction: (work(transaction), transaction.rise()))

    async def _look(self, question: Callable[[Connection], T]) -> T:
        """One that only looks, in a thread of its own."""

        def run() -> T:
            try:
                with self._reader.begin() as connection:
                    return question(connection)
            except DBAPIError as error:
                raise Unavailable(str(error.orig)) from error

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)


def _remember(known: dict[K, T], key: K, value: T) -> None:
    """Keeps it, and of many the latest."""
    known.pop(key, None)
    if len(known) >= SESSIONS_REMEMBERED:
        known.pop(next(iter(known)))
    known[key] = value
