"""What is written of people: sessions, attempts, passwords, second factors. None of this is money.

Each function is one step of a transaction. A customer's secrets are locked before a session of theirs is made or ended,
so that no session of an old password begins while the password changes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ciranda.engine.attempts import NONE_YET, Allowance, Tally, counted
from ciranda.engine.customer import Customer
from ciranda.engine.second_factor import SecondFactor
from ciranda.identity import Document
from ciranda.instant import Instant
from ciranda.ports import Session
from ciranda.storage import schema
from ciranda.storage.rows import CUSTOMERS, SECOND_FACTORS
from ciranda.storage.transaction import Transaction

T = TypeVar("T")

SESSIONS_MAX = 100
"""Of one customer at once: beyond them, those that were not used for longest end."""

_HASH, _ID, _USED_AT = 0, 1, 4


def add_customer(
    transaction: Transaction, customer: Customer, password_hash: str, email: str | None, phone: str | None
) -> bool:
    taken = transaction.claim(schema.customers, [CUSTOMERS.to_row(customer)])
    if not taken:
        transaction.insert(schema.secrets, [(customer.document, password_hash, email, phone)])
    return not taken


# Sessions.


def add_session(
    transaction: Transaction, token_hash: bytes, session: Session, verified: str, rehashed: str | None
) -> list[bytes] | None:
    """The hashes of the sessions that ended to make room; None if `verified` is not the password's hash any more."""
    document = session.customer.document
    if not _still(transaction, document, verified, rehashed):
        return None
    others = transaction.find(schema.sessions, "document", document)
    others.sort(key=lambda row: row[_USED_AT])
    ended = [bytes(row[_HASH]) for row in others[: max(0, len(others) + 1 - SESSIONS_MAX)]]
    transaction.delete(schema.sessions, [(one,) for one in ended])
    transaction.insert(
        schema.sessions,
        [
            (
                token_hash,
                session.id,
                document,
                session.created_at,
                session.used_at,
                session.expires_at,
                session.address,
                session.agent,
            )
        ],
    )
    return ended


def change_password(
    transaction: Transaction, document: Document, verified: str, password_hash: str, keep: bytes
) -> list[bytes] | None:
    """The hashes of the sessions that ended: all but `keep`; None if `verified` is not the password's hash any more."""
    if not _still(transaction, document, verified, password_hash):
        return None
    return end_sessions(transaction, document, lambda token_hash, _id: token_hash != keep)


def end_sessions(
    transaction: Transaction, document: Document, which: Callable[[bytes, str], bool]
) -> list[bytes]:
    """Ends the customer's sessions that `which` picks by hash and id; their hashes."""
    found = transaction.find(schema.sessions, "document", document)
    ended = [bytes(row[_HASH]) for row in found if which(bytes(row[_HASH]), row[_ID])]
    transaction.delete(schema.sessions, [(one,) for one in ended])
    return ended


def note_use(transaction: Transaction, used: Mapping[bytes, Instant]) -> None:
    """Of sessions that have ended meanwhile nothing is noted."""
    transaction.change(schema.sessions, ("used_at",), sorted(used.items()))


def forget_sessions(transaction: Transaction, token_hashes: Sequence[bytes]) -> None:
    transaction.delete(schema.sessions, [(one,) for one in sorted(token_hashes)])


def _still(transaction: Transaction, document: Document, verified: str, new: str | None) -> bool:
    """Whether `verified` is the hash of the customer's password, which is `new` from here on if that is not None."""
    ((_, password_hash, email, phone),) = transaction.read(schema.secrets, [(document,)])
    if password_hash != verified:
        return False
    if new is not None:
        transaction.upsert(schema.secrets, [(document, new, email, phone)])
    return True


# Attempts. Attempts at the same moment are counted one after the other: the row is locked, or made, first.


def count_attempt(
    transaction: Transaction, whose: str, allowance: Allowance, now: Instant, behind: str | None
) -> Tally:
    """As it was before, if it allows none now; `behind` is only looked at, and first, so that nothing is written of
    `whose` while it allows nothing."""
    if behind is not None:
        above = _tally(transaction, behind)
        if now < above.blocked_until:
            return above
    first = counted(NONE_YET, allowance, now)
    before = transaction.claim(schema.attempts, [(whose, *_times(first))])
    if not before:
        return NONE_YET
    tally = _of(before[0])
    if now >= tally.blocked_until:
        transaction.upsert(schema.attempts, [(whose, *_times(counted(tally, allowance, now)))])
    return tally


def forget_attempts(transaction: Transaction, whose: Sequence[str], now: Instant | None = None) -> None:
    """With `now`: only those that have nothing to say any more."""
    gone = [
        (row[0],)
        for row in transaction.read(schema.attempts, sorted((one,) for one in whose))
        if now is None or max(_times(_of(row))) < now
    ]
    transaction.delete(schema.attempts, gone)


def _tally(transaction: Transaction, whose: str) -> Tally:
    rows = transaction.read(schema.attempts, [(whose,)])
    return _of(rows[0]) if rows else NONE_YET


def _of(row: Sequence[int]) -> Tally:
    return Tally(forgotten_at=Instant(row[1]), blocked_until=Instant(row[2]))


def _times(tally: Tally) -> tuple[Instant, Instant]:
    return tally.forgotten_at, tally.blocked_until


# Second factors.


def remove_second_factor(transaction: Transaction, document: Document) -> None:
    """Whoever had signed in must do it again: perhaps it was not the customer."""
    transaction.delete(schema.second_factors, [(document,)])
    end_sessions(transaction, document, lambda _hash, _id: True)


def change_second_factor(
    transaction: Transaction,
    document: Document,
    change: Callable[[SecondFactor | None], tuple[SecondFactor | None, T]],
) -> tuple[SecondFactor | None, T]:
    """What is kept from here on, and what `change` says besides; another transaction waits with its own."""
    rows = transaction.read(schema.second_factors, [(document,)])
    before = SECOND_FACTORS.from_row(rows[0]) if rows else None
    after, said = change(before)
    if after is None and before is not None:
        transaction.delete(schema.second_factors, [(document,)])
    elif after is not None and after != before:
        transaction.upsert(schema.second_factors, [SECOND_FACTORS.to_row(after)])
    return after, said
