"""The only doors to the world: Store, Peers, Clock, Dice. Everything above this line can be run with other ones."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from ciranda.agreement.height import Height
from ciranda.agreement.message import Answer, Question
from ciranda.chain import SignedHead
from ciranda.engine.action import Action
from ciranda.engine.approval import Approval
from ciranda.engine.attempts import Allowance
from ciranda.engine.customer import Customer
from ciranda.engine.input import Input
from ciranda.engine.key import Claim
from ciranda.engine.limits import Limits
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate, Use
from ciranda.engine.operator import Operator
from ciranda.engine.proposal import Proposal
from ciranda.engine.record import Record
from ciranda.engine.reply import Reply
from ciranda.engine.second_factor import SecondFactor
from ciranda.identity import AccountId, Address, Document, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.ledger.account import Account
from ciranda.ledger.entry import Entry
from ciranda.ledger.trial_balance import TrialBalance
from ciranda.period import Period

T = TypeVar("T")


class Unavailable(Exception):
    """The database cannot be reached, or cannot write. What was under way is undone, or its outcome is found by
    asking again with the same key."""


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with what its payment says about it."""

    entry: Entry
    description: str | None
    reference: str | None


class UseLine(msgspec.Struct, frozen=True, kw_only=True):
    """A use of a mandate with its payment."""

    use: Use
    record: Record


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's, from signing in until it is ended; its token is known here by its hash alone."""

    id: str
    """By which its owner can end it; nobody is let in by it."""
    customer: Customer
    created_at: Instant
    used_at: Instant
    """Coarse: not every use is written down."""
    expires_at: Instant
    address: str | None
    """The network that it was begun from."""
    agent: str | None
    """What the program said of itself that began it."""
    guarded: bool = False
    """Whether the customer has switched a second factor on."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What signing in needs to know of a document, whether a customer has it or not."""

    customer: Customer | None
    password_hash: str | None
    second_factor: SecondFactor | None


class PaymentCounts(msgspec.Struct, frozen=True, kw_only=True):
    settled: int
    refused: int
    in_doubt: int


class ViolationRow(msgspec.Struct, frozen=True, kw_only=True):
    at: Instant
    peer: Ispb
    payment: EndToEndId
    reason: str


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A head that a bank has signed, and that its chain does not bear out any more."""

    holder: Ispb
    """Who has the copy."""
    head: SignedHead
    shown: bytes | None
    """What the chain has at that number now; None if it does not reach so far."""
    seen_at: Instant


class Store(Protocol):
    """One bank's database. Everything raises Unavailable when the database is away."""

    async def transact(self, inputs: Sequence[Input]) -> list[Reply]:
        """Decides on all inputs, in order, in one database transaction; the replies are for after its commit.

        Nothing else writes money. One input's refusal or failure never harms its neighbours.
        """
        ...

    def height(self) -> int:
        """What this worker knows to be durably written."""
        ...

    async def read_height(self) -> int:
        """The same, with what other workers have written."""
        ...

    # People. None of this is money.

    async def add_customer(
        self, customer: Customer, password_hash: str, email: str | None, phone: str | None
    ) -> bool:
        """False if the document is taken."""
        ...

    async def customers(self, documents: Sequence[Document]) -> dict[Document, Customer]: ...

    async def credentials(self, document: Document) -> Credentials: ...

    async def add_session(
        self, token_hash: bytes, session: Session, verified: str, rehashed: str | None, attempts: str
    ) -> bool:
        """Also forgets the attempts that are counted as `attempts`.

        False if `verified` is not the hash of the customer's password any more; `rehashed` takes its place.
        """
        ...

    async def session(self, token_hash: bytes) -> Session | None:
        """Also an expired one."""
        ...

    async def sessions_of(self, document: Document) -> list[tuple[bytes, Session]]:
        """With the hashes of their tokens, those that were used last first; also expired ones."""
        ...

    async def note_use(self, used: Mapping[bytes, Instant]) -> None:
        """When sessions were used, by the hashes of their tokens."""
        ...

    async def drop_session(self, token_hash: bytes) -> None: ...

    async def end_session(self, document: Document, id: str) -> bool:
        """False: the customer has no such session."""
        ...

    async def end_other_sessions(self, document: Document, keep: bytes) -> None:
        """All but the one with this token's hash."""
        ...

    async def change_password(
        self, document: Document, verified: str, password_hash: str, keep: bytes, attempts: str
    ) -> bool:
        """Also ends all the customer's sessions but `keep`. False as for `add_session`."""
        ...

    async def count_attempt(
        self, whose: str, allowance: Allowance, now: Instant, behind: str | None = None
    ) -> Instant | None:
        """Counts one more attempt of `whose`; None, or the time until which no attempt is allowed, be it because of
        `whose` or of `behind`, of which none is counted."""
        ...

    async def blocked_until(self, whose: str) -> Instant:
        """Past, if an attempt is allowed."""
        ...

    async def forget_attempts(self, whose: str) -> None: ...

    async def guarded(self, document: Document) -> bool:
        """Whether the customer has switched a second factor on."""
        ...

    async def second_factor(self, document: Document) -> SecondFactor | None: ...

    async def change_second_factor(
        self, document: Document, change: Callable[[SecondFactor | None], tuple[SecondFactor | None, T]]
    ) -> T:
        """What `change` makes of it is kept, and what it says besides is returned; nobody else comes between."""
        ...

    def forget_customer(self, document: Document) -> None:
        """Nothing that this process remembers of the customer's sessions and second factor is good any more."""
        ...

    async def used_keys(self, claims: Sequence[Claim]) -> set[Claim]:
        """Those whose keys were used up, for the very bodies that they are for."""
        ...

    # Looking.

    async def account(self, id: AccountId) -> Account | None: ...

    async def accounts_of(self, document: Document) -> list[Account]:
        """The accounts that the customer holds, the oldest first."""
        ...

    async def own_accounts(self) -> list[Account]:
        """The vault and the clearing accounts."""
        ...

    async def entries(
        self, account: AccountId, limit: int, before: int | None = None, after: int | None = None
    ) -> list[StatementLine]:
        """Newest first, those numbered under `before`; or, with `after`, oldest first, those numbered over it."""
        ...

    async def payment(self, id: EndToEndId) -> Record | None: ...

    async def payments(self, ids: Sequence[EndToEndId]) -> list[Record]: ...

    async def payments_of(self, payer: Document, limit: int, before: EndToEndId | None) -> list[Record]:
        """What this bank coordinates for its customer, newest first, those under `before`."""
        ...

    async def all_payments(self, limit: int, after: EndToEndId | None) -> list[Record]:
        """By id."""
        ...

    async def in_doubt(self, limit: int) -> list[Record]:
        """Payments whose decision this bank does not know, oldest first."""
        ...

    async def count_in_doubt(self) -> int: ...

    async def unfinished(self, limit: int, after: EndToEndId | None = None) -> list[Record]:
        """Payments with something left to do, undecided or untold, by id."""
        ...

    async def due(self, now: Instant, limit: int) -> list[Record]:
        """Those of them whose time has come, the longest overdue first."""
        ...

    async def mandates_of(self, giver: Document) -> list[Mandate]:
        """Those that the customer gave, and those of accounts for which all holders sign, the oldest first."""
        ...

    async def mandate(self, id: str) -> Mandate | None: ...

    async def uses(
        self, mandate: str, limit: int, before: tuple[Instant, EndToEndId] | None
    ) -> list[UseLine]:
        """Newest first, those before that time and payment."""
        ...

    async def used_since(self, mandates: Sequence[str], since: Instant) -> dict[str, int]:
        """What was taken under each of the mandates, or is held, by payments that were placed since then."""
        ...

    async def limits(self, account: Address) -> Limits:
        """What its holders chose."""
        ...

    async def spent(self, account: Address, periods: Sequence[Period]) -> dict[Period, int]:
        """Nothing in a period is 0."""
        ...

    async def mandates(self, ids: Sequence[str]) -> list[Mandate]: ...

    async def approvals(self, ids: Sequence[str]) -> dict[str, Approval]:
        """Open or over; of what never needed any there is none."""
        ...

    async def awaiting(
        self, document: Document, limit: int, before: tuple[Instant, str] | None
    ) -> list[Approval]:
        """What needs the customer's signature, newest first, those asked for before that time and id."""
        ...

    async def expired(self, now: Instant, limit: int) -> list[Approval]:
        """What still waits although its time is over, the longest overdue first."""
        ...

    async def links_of(self, owner: Document) -> list[Link]: ...

    async def trial_balance(self) -> tuple[TrialBalance, PaymentCounts]: ...

    async def violations(self, limit: int) -> list[ViolationRow]: ...

    # Operators.

    async def operator(self, name: str) -> Operator | None:
        """Also one who was ended."""
        ...

    async def operators(self) -> list[Operator]:
        """By name, also those who were ended."""
        ...

    async def proposal(self, id: str) -> Proposal | None: ...

    async def proposals(self, limit: int, before: str | None) -> list[Proposal]:
        """The latest first, those under `before`."""
        ...

    async def actions(self, limit: int, before: str | None) -> list[Action]:
        """The latest first, those under `before`."""
        ...

    # The chain.

    async def chain(self, number: int | None) -> tuple[int, bytes, bytes | None]:
        """Number and hash of the last folio, and the hash of the one with this number, if there is one."""
        ...

    async def newest_head(self, bank: Ispb) -> SignedHead | None:
        """Our newest copy of the bank's heads."""
        ...

    async def keep_head(self, head: SignedHead, now: Instant, forget_before: Instant) -> None:
        """Keeps a copy, unless there is one of this number; forgets those from before that time, and of each hour more than
        a day ago all but the last."""
        ...

    async def kept_heads(self, bank: Ispb, limit: int, before: int | None) -> list[SignedHead]:
        """Our copies of the bank's heads, the newest first, those numbered under `before`."""
        ...

    async def add_dispute(self, dispute: Dispute) -> bool:
        """False if it was known before."""
        ...

    async def disputes(self, limit: int) -> list[Dispute]:
        """The latest first."""
        ...

    # Keeping house.

    async def heights(self) -> dict[Ispb, Height]:
        """The greatest height that each peer has shown."""
        ...

    async def keep_heights(self, heights: dict[Ispb, Height]) -> None: ...

    async def forget_people(self, now: Instant) -> int:
        """Drops expired sessions, and attempts that say nothing any more; how many, at most some thousands at once."""
        ...

    async def forget_keys(self, used_before: Instant) -> int:
        """Forgets idempotency keys used before that time; some at a time; how many were forgotten."""
        ...


class PeerUnreachable(Exception):
    """No valid answer came in time. Whether the question had an effect is not known."""


class PeerSilent(PeerUnreachable):
    """The peer did not answer in time."""


class Peers(Protocol):
    """The other banks, as one can ask them things. Questions to one bank travel in batches (PROTOCOL 2.1)."""

    async def ask(self, bank: Ispb, question: Question, timeout_ms: int) -> Answer:
        """The bank's answer to this very question; its signature, its place and its kind were checked.

        Raises PeerUnreachable when none came within `timeout_ms`, or when the queue to that bank is full.
        """
        ...

    def reachable(self, bank: Ispb) -> bool:
        """Up until a request to it failed; up again with any signed message from it (PROTOCOL 5.8)."""
        ...

    async def met(self) -> None:
        """Returns once any peer has been heard since the start, or at once where there is none."""
        ...


class Hand(Protocol):
    """The bank's signature under the heads of its chain, and its eye for other banks' signatures."""

    def sign(self, number: int, hash: bytes, at: Instant) -> SignedHead: ...

    def is_of_member(self, head: SignedHead) -> bool:
        """Whether the bank that the head names has signed it, with a key that the roster knows."""
        ...


Respond = Callable[[Ispb, Sequence[Question]], Awaitable[Sequence[Answer]]]
"""What the peers' listener calls: the sender was verified; the answers are in the order of the questions."""


class PutBack(Exception):
    """This bank's database was put back to an earlier moment, so it may not know what it has promised."""


class Heights(Protocol):
    """How much each bank has written, as far as it has said (PROTOCOL 2.6)."""

    def own(self) -> Height:
        """What this bank has durably written."""
        ...

    def seen(self, bank: Ispb) -> Height:
        """The greatest height that `bank` has shown us."""
        ...

    async def heard(self, bank: Ispb, height: Height, ours: Height) -> None:
        """`bank` shows its own height, and the greatest of ours that it has seen.

        Raises PutBack if it has seen more of us than we have, and has it from us: then nothing that we say can be
        relied on.
        """
        ...


class Clock(Protocol):
    def now(self) -> Instant:
        """Wall time; it may jump."""
        ...

    def steady_ms(self) -> int:
        """A clock that never jumps; it says nothing about the time of day."""
        ...


class Dice(Protocol):
    def token(self) -> str:
        """A fresh secret of 256 bits, as text safe in a URL."""
        ...

    def bits(self, count: int) -> int: ...

    def between(self, low: float, high: float) -> float: ...
