"""Passwords: hashed with argon2id, in a few threads, with a bounded queue before them, for it is slow on purpose.

A password is looked at for as long whether there is a customer or not, and hashed anew when it costs less than it
should by now.
"""

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Annotated, TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ciranda.node.batches import Overloaded

T = TypeVar("T")

HASHING_MAX = 256
"""How many may be at it or wait for it at once."""
THREADS = 2
_SALT_BYTES, _HASH_BYTES = 16, 32


class PasswordCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one password costs to check: OWASP's first choice for argon2id, which is also the least that is allowed."""

    memory_kib: Annotated[int, msgspec.Meta(ge=19_456, le=4_194_304)] = 19_456
    passes: Annotated[int, msgspec.Meta(ge=2, le=100)] = 2
    lanes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1


class Passwords:
    def __init__(self, cost: PasswordCost) -> None:
        self._hasher = PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._nobodys = _hash_of_no_password(cost)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0

    def place(self) -> AbstractContextManager[None]:
        """A place in the queue, to be held around what needs `hash` or `matches`. Raises Overloaded.

        Whoever gets none is turned away before anything is read or written for them.
        """
        return _Place(self)

    async def hash(self, password: str) -> str:
        return await self._in_thread(lambda: self._hasher.hash(password))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Where there is no hash, for there is no customer, it takes as long as if there were one."""

        def verify() -> bool:
            try:
                return self._hasher.verify(password_hash or self._nobodys, password)
            except (VerificationError, InvalidHashError):
                return False

        return await self._in_thread(verify)

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made at another cost than is asked now."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _Place:
    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    def __enter__(self) -> None:
        if self._passwords._waiting >= HASHING_MAX:
            raise Overloaded
        self._passwords._waiting += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._passwords._waiting -= 1


def _hash_of_no_password(cost: PasswordCost) -> str:
    """Checking a password against it costs what it costs against a customer's, and none is right."""
    salt, digest = _base64(bytes(_SALT_BYTES)), _base64(bytes(_HASH_BYTES))
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt}${digest}"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).rstrip(b"=").decode()
