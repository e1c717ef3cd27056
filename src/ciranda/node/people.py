"""People: signing up, signing in, and who is calling.

A password is kept as an argon2id hash, a session as the SHA-256 of its token: neither can be read from the database.
Signing in takes as long, and says as much, whether the customer exists or not.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Literal

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ciranda.engine.customer import Customer
from ciranda.engine.operator import Operator
from ciranda.identity import Document
from ciranda.instant import Instant, later
from ciranda.node.batches import Overloaded
from ciranda.node.operators import Operators
from ciranda.ports import Clock, Dice, Store

SESSION_MS = 12 * 60 * 60 * 1000
ATTEMPTS_FREE = 5
FIRST_BLOCK_MS = 30_000
LONGEST_BLOCK_MS = 60 * 60 * 1000
HASHING_MAX = 256
"""How many may wait for their password to be hashed."""


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Too many wrong passwords in a row."""

    seconds: int


class People:
    def __init__(self, store: Store, clock: Clock, dice: Dice, operators: Operators) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice
        self._operators = operators
        # OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._dummy: str | None = None
        """Checked where there is no customer, so that it takes as long as if there were."""
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="passwords")
        self._hashing = 0

    async def sign_up(
        self, document: Document, name: str, password: str, email: str | None, phone: str | None
    ) -> Customer | Literal["document_taken"]:
        customer = Customer(document=document, name=name, individual=None, created_at=self._clock.now())
        password_hash = await self._hash(password)
        added = await self._store.add_customer(customer, password_hash, email, phone)
        return customer if added else "document_taken"

    async def log_in(
        self, document: Document, password: str
    ) -> tuple[str, Instant] | Literal["wrong_credentials"] | Blocked:
        """A session's token and its end. Attempts are counted before the password is looked at."""
        now = self._clock.now()
        blocked_until = await self._store.count_attempt(document, now, _block_ms)
        if blocked_until is not None:
            return Blocked(seconds=max(1, -(-(blocked_until - now) // 1000)))
        dummy = await self._dummy_hash()
        credentials = await self._store.credentials(document)
        matches = await self._verify(credentials.password_hash or dummy, password)
        if credentials.password_hash is None or not matches:
            return "wrong_credentials"
        token = self._dice.token()
        expires_at = later(self._clock.now(), SESSION_MS)
        await self._store.add_session(_hash_of(token), document, self._clock.now(), expires_at)
        return token, expires_at

    async def log_out(self, token: str) -> None:
        await self._store.drop_session(_hash_of(token))

    async def who(self, token: str) -> Customer | Operator | None:
        """None: no such session, or no longer."""
        operator = await self._operators.who(token)
        if operator is not None:
            return operator
        session = await self._store.session(_hash_of(token))
        if session is None or session.expires_at <= self._clock.now():
            return None
        return session.customer

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _hash(self, password: str) -> str:
        async with _Place(self):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._hasher.hash, password)

    async def _dummy_hash(self) -> str:
        if self._dummy is None:
            self._dummy = await self._hash("nobody has this password")
        return self._dummy

    async def _verify(self, password_hash: str, password: str) -> bool:
        def verify() -> bool:
            try:
                return self._hasher.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

        async with _Place(self):
            return await asyncio.get_running_loop().run_in_executor(self._threads, verify)


class _Place:
    """A place in the queue for hashing, which is bounded: hashing is slow on purpose."""

    def __init__(self, people: People) -> None:
        self._people = people

    async def __aenter__(self) -> None:
        if self._people._hashing >= HASHING_MAX:
            raise Overloaded
        self._people._hashing += 1

    async def __aexit__(self, *_: object) -> None:
        self._people._hashing -= 1


def _hash_of(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _block_ms(attempts: int) -> int:
    """Nothing for the first few; then half a minute, a minute, two … up to an hour."""
    if attempts < ATTEMPTS_FREE:
        return 0
    doubled: int = FIRST_BLOCK_MS * 2 ** min(attempts - ATTEMPTS_FREE, 10)
    return min(LONGEST_BLOCK_MS, doubled)
