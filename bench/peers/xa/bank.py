"""Two banks' databases under one transaction manager: PostgreSQL's `PREPARE TRANSACTION`, as X/Open XA has it.

Its law: a payment is committed when the decision is durable in the payer's database, and not before. Whatever is
prepared without one is rolled back when the manager starts again.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from litestar import Litestar, Request, Response, post
from psycopg import AsyncConnection, errors
from psycopg.sql import SQL, Literal
from psycopg_pool import AsyncConnectionPool

from ciranda.api.payments import Payment
from ciranda.api.show import PaymentView, TransferView

SCHEMA = """
    CREATE TABLE accounts (address text PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
    CREATE TABLE payments (
        id text PRIMARY KEY, key text UNIQUE, source text NOT NULL, target text NOT NULL, amount bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE entries (
        account text NOT NULL, payment text NOT NULL, amount bigint NOT NULL, balance bigint NOT NULL,
        PRIMARY KEY (account, payment)
    );
    CREATE TABLE decisions (payment text PRIMARY KEY);
"""
"""Of each database; the decisions are in that of the payer's bank, and so are the keys."""

CONNECTIONS = 32
"""To each database. A payment has one to each, from its first statement to its last."""

Pool = AsyncConnectionPool[AsyncConnection[Any]]


class Order(NamedTuple):
    """A payment, in the order of its table's columns."""

    id: str
    key: str | None
    source: str
    target: str
    amount: int


class Refused(Exception):
    """A bank says no; the text says why."""


class KeyUsed(Exception):
    """There is a payment with this key."""


class Branch:
    """One database's part of one payment; XA's word for it."""

    def __init__(self, bank: AsyncConnection[Any], gid: str) -> None:
        """`gid` is unique among all databases of the server."""
        self._bank = bank
        self._gid = Literal(gid)

    async def prepare(self, order: Order, account: str, change: int) -> None:
        """In one round trip. Raises Refused or KeyUsed; then nothing is left of it."""
        try:
            async with self._bank.pipeline():
                await self._bank.execute("BEGIN")
                await self._bank.execute(
                    "INSERT INTO payments (id, key, source, target, amount) VALUES (%s, %s, %s, %s, %s)",
                    order,
                )
                entry = await self._bank.execute(
                    "WITH changed AS (UPDATE accounts SET balance = balance + %s WHERE address = %s RETURNING *) "
                    "INSERT INTO entries SELECT address, %s, %s, balance FROM changed",
                    (change, account, order.id, change),
                )
                await self._bank.execute(SQL("PREPARE TRANSACTION {}").format(self._gid), prepare=False)
        except errors.Error as error:
            await self._bank.execute("ROLLBACK")
            if isinstance(error, errors.CheckViolation):
                raise Refused("insufficient funds") from error
            if isinstance(error, errors.UniqueViolation):
                raise KeyUsed from error
            raise
        if entry.rowcount == 0:
            await self.roll_back()
            raise Refused("unknown account")

    async def commit(self) -> None:
        await self._bank.execute(SQL("COMMIT PREPARED {}").format(self._gid), prepare=False)

    async def roll_back(self) -> None:
        await self._bank.execute(SQL("ROLLBACK PREPARED {}").format(self._gid), prepare=False)


class TransactionManager:
    def __init__(self, here: Pool, there: Pool) -> None:
        """`here`: the database of the bank that is asked. `there`: that of the bank that is paid."""
        self._here = here
        self._there = there

    async def pay(self, key: str, source: str, target: str, amount: int) -> str:
        """Both databases do it, or none; the payment's id. Raises Refused."""
        id = uuid.uuid4().hex
        # Always in this order: PostgreSQL would not see a deadlock that runs through two databases.
        async with self._here.connection() as here, self._there.connection() as there:
            debit, credit = Branch(here, f"{id} debit"), Branch(there, f"{id} credit")
            try:
                await debit.prepare(Order(id, key, source, target, amount), source, -amount)
            except KeyUsed:
                found = await here.execute("SELECT id FROM payments WHERE key = %s", (key,))
                return str((await found.fetchall())[0][0])
            try:
                await credit.prepare(Order(id, None, source, target, amount), target, amount)
            except Exception:
                await debit.roll_back()
                raise
            await here.execute("INSERT INTO decisions VALUES (%s)", (id,))
            await asyncio.gather(debit.commit(), credit.commit())
        return id

    async def recover(self) -> None:
        """Ends what an earlier manager left prepared, each as it was decided."""
        async with self._here.connection() as here, self._there.connection() as there:
            for bank in (here, there):
                left = await bank.execute(
                    "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
                )
                for (gid,) in await left.fetchall():
                    decided = await here.execute(
                        "SELECT 1 FROM decisions WHERE payment = %s", (gid.split()[0],)
                    )
                    branch = Branch(bank, gid)
                    await (branch.commit() if decided.rowcount else branch.roll_back())


_decoder = msgspec.json.Decoder(Payment)
_encoder = msgspec.json.Encoder()


@post("/v1/payments")
async def pay(request: Request[Any, Any, Any]) -> Response[bytes]:
    manager: TransactionManager = request.app.state.manager
    data = _decoder.decode(await request.body())
    (transfer,) = data.transfers
    id = await manager.pay(
        request.headers["idempotency-key"], transfer.source, transfer.target, transfer.amount
    )
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    paid = PaymentView(
        id=id,
        kind="payment",
        status="settled",
        transfers=[TransferView(source=transfer.source, target=transfer.target, amount=transfer.amount)],
        amount=transfer.amount,
        description=data.description,
        reference=data.reference,
        created_at=now,
        decided_at=now,
    )
    return Response(_encoder.encode(paid), status_code=201, media_type="application/json")


def refused(_request: Request[Any, Any, Any], error: Refused) -> Response[dict[str, str]]:
    return Response({"detail": str(error)}, status_code=422)


@asynccontextmanager
async def with_manager(app: Litestar) -> AsyncIterator[None]:
    async with pool(os.environ["HERE"]) as here, pool(os.environ["THERE"]) as there:
        app.state.manager = TransactionManager(here, there)
        await app.state.manager.recover()
        yield


def pool(url: str) -> Pool:
    return AsyncConnectionPool(
        url, min_size=CONNECTIONS, max_size=CONNECTIONS, kwargs={"autocommit": True}, open=False
    )


app = Litestar(
    [pay],
    openapi_config=None,
    logging_config=None,
    lifespan=[with_manager],
    exception_handlers={Refused: refused},
)
"""Its settings: the environment's HERE and THERE, the URLs of the two databases."""
