"""People: signing up, signing in, and who is calling.

A password is kept as an argon2id hash, a session as the SHA-256 of its token: neither can be read from the database.
Signing in takes as long, and says as much, whether the customer exists or not.
"""

import asyncio
from contextlib import suppress
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
import structlog

from ciranda.engine.customer import Customer
from ciranda.engine.operator import Operator
from ciranda.identity import Document
from ciranda.instant import Instant, later
from ciranda.node.attempts import (
    GUESSES_PER_HOUR,
    PER_DOCUMENT,
    AttemptRules,
    MustWait,
    NetAddress,
    Origin,
    of_address,
    of_document,
    of_guesses,
    of_sign_ups,
    per_hour,
)
from ciranda.node.mask import masked_document
from ciranda.node.operators import Operators
from ciranda.node.passwords import PasswordCost, Passwords
from ciranda.node.second_factors import SecondFactorRules, SecondFactors
from ciranda.node.traces import Traces
from ciranda.ports import Clock, Dice, Session, Store, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

NOTE_USE_S = 5.0
NOTES_MAX = 50_000
COARSE = 12
"""That a session is used is written down when a twelfth of the time has passed after which it would end."""


class SessionRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    longest_s: Annotated[int, msgspec.Meta(ge=60, le=31_536_000)] = 43_200
    idle_s: Annotated[int, msgspec.Meta(ge=60, le=31_536_000)] = 3_600
    """A session that is not used ends after this time, and at most a twelfth of it later."""


class PeopleRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a bank asks of its customers."""

    passwords: PasswordCost = PasswordCost()
    sessions: SessionRules = SessionRules()
    attempts: AttemptRules = AttemptRules()
    second_factor: SecondFactorRules = SecondFactorRules()


USUAL_RULES = PeopleRules()


class People:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        dice: Dice,
        operators: Operators,
        second_factors: SecondFactors,
        rules: PeopleRules,
    ) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice
        self._operators = operators
        self._second_factors = second_factors
        self._rules = rules
        self._passwords = Passwords(rules.passwords)
        self._used: dict[bytes, Instant] = {}
        """When sessions were used, to be written down soon."""
        self._noting: asyncio.Task[None] | None = None
        self._came_from: dict[bytes, NetAddress] = {}
        """From where each session was last used, in this process."""
        self._traces = Traces(clock)

    # Signing up and in.

    async def sign_up(
        self,
        document: Document,
        name: str,
        password: str,
        email: str | None,
        phone: str | None,
        origin: Origin,
    ) -> Customer | Literal["document_taken"]:
        """Raises MustWait, where the address has asked too often: the answer tells who is a customer."""
        with self._passwords.place():
            await self._count_sign_up(origin)
            password_hash = await self._passwords.hash(password)
        customer = Customer(document=document, name=name, individual=None, created_at=self._clock.now())
        if await self._store.add_customer(customer, password_hash, email, phone):
            return customer
        await self._count_failure(origin)
        return "document_taken"

    async def log_in(
        self, document: Document, password: str, code: str | None, origin: Origin
    ) -> tuple[str, Instant] | Literal["wrong_credentials"]:
        """A session's token and its end. Raises MustWait and, if the customer wants one here, CodeRequired."""
        with self._passwords.place():
            verified = await self._verify(document, password, origin)
            if verified is None:
                return "wrong_credentials"
            outdated = self._passwords.is_outdated(verified)
            rehashed = await self._passwords.hash(password) if outdated else None
        credentials = await self._store.credentials(document)
        assert credentials.customer is not None, "who has a password is a customer"
        factor = credentials.second_factor
        if factor is not None and factor.on and factor.at_login:
            await self._second_factors.take(document, code)
        token, now = self._dice.token(), self._clock.now()
        session = Session(
            id=f"{self._dice.bits(128):032x}",
            customer=credentials.customer,
            created_at=now,
            used_at=now,
            expires_at=later(now, self._rules.sessions.longest_s * 1000),
            address=origin.shown_as,
            agent=origin.agent,
        )
        begun = await self._store.add_session(
            _hash_of(token), session, verified, rehashed, of_document(document)
        )
        return (token, session.expires_at) if begun else "wrong_credentials"

    async def change_password(
        self, document: Document, old: str, new: str, token: str, origin: Origin
    ) -> bool:
        """Ends all other sessions too. False if `old` is not the password; raises MustWait."""
        with self._passwords.place():
            verified = await self._verify(document, old, origin)
            if verified is None:
                return False
            password_hash = await self._passwords.hash(new)
        changed = await self._store.change_password(
            document, verified, password_hash, _hash_of(token), of_document(document)
        )
        if changed:
            log.info("password_changed", customer=masked_document(document))
        return changed

    async def knows_password(self, document: Document, password: str, origin: Origin) -> bool:
        """For what a session alone must not do. Raises MustWait."""
        with self._passwords.place():
            verified = await self._verify(document, password, origin)
        if verified is not None:
            await self._store.forget_attempts(of_document(document))
        return verified is not None

    async def _verify(self, document: Document, password: str, origin: Origin) -> str | None:
        """The password's hash, if it is the right one. Raises MustWait. The attempt is counted before it is looked at."""
        now = self._clock.now()
        blocked_until = await self._store.count_attempt(
            of_document(document), PER_DOCUMENT, now, of_address(origin)
        )
        if blocked_until is not None:
            log.warning("attempts_blocked", of="password", customer=masked_document(document))
            raise MustWait(blocked_until - now)
        password_hash = (await self._store.credentials(document)).password_hash
        if await self._passwords.matches(password_hash, password):
            return password_hash
        # The same line whether there is such a customer or not: it takes no longer, and the log tells no more.
        log.warning("wrong_password", customer=masked_document(document), network=origin.shown_as)
        await self._count_failure(origin)
        return None

    async def may_name_others(self, document: Document) -> None:
        """Raises MustWait, if the customer has too often named as holders who are no customers."""
        blocked_until, now = await self._store.blocked_until(of_guesses(document)), self._clock.now()
        if now < blocked_until:
            log.warning("attempts_blocked", of="holders", customer=masked_document(document))
            raise MustWait(blocked_until - now)

    async def named_nobody(self, document: Document) -> None:
        """The answer tells who is no customer, and so who is one."""
        await self._store.count_attempt(of_guesses(document), per_hour(GUESSES_PER_HOUR), self._clock.now())

    async def _count_failure(self, origin: Origin) -> None:
        allowance = per_hour(self._rules.attempts.failures_per_address)
        await self._store.count_attempt(of_address(origin), allowance, self._clock.now())

    async def _count_sign_up(self, origin: Origin) -> None:
        now, allowed = self._clock.now(), self._rules.attempts.sign_ups_per_address
        blocked_until: Instant | None = await self._store.blocked_until(of_address(origin))
        if allowed:
            blocked_until = await self._store.count_attempt(
                of_sign_ups(origin), per_hour(allowed), now, of_address(origin)
            )
        if blocked_until is not None and now < blocked_until:
            log.warning("attempts_blocked", of="sign-up", network=origin.shown_as)
            raise MustWait(blocked_until - now)

    # Who is calling.

    async def who(self, token: str, address: NetAddress | None = None) -> Customer | Operator | None:
        """None: no such session, or no longer. `address`: where the token comes from now, if that is known."""
        operator = await self._operators.who(token)
        if operator is not None:
            return operator
        token_hash = _hash_of(token)
        session = await self._store.session(token_hash)
        now = self._clock.now()
        if session is None or self._is_over(session, now):
            return None
        if now - session.used_at >= self._coarse_ms:
            self._note_use(token_hash, now)
        if address is not None and self._came_from.get(token_hash) != address:
            self._note_address(token_hash, session, address)
        return session.customer

    def _note_address(self, token_hash: bytes, session: Session, address: NetAddress) -> None:
        """A session that goes on in another network than it began in leaves a trace: its owner moves, or it has two."""
        if len(self._came_from) >= NOTES_MAX:
            self._came_from.clear()
        self._came_from[token_hash] = address
        network = Origin(address=address, agent=None).shown_as
        if session.address is not None and network != session.address:
            self._traces.note(
                "session_from_elsewhere",
                (session.id, network),
                customer=masked_document(session.customer.document),
                session=session.id,
                began_in=session.address,
                network=network,
            )

    def _is_over(self, session: Session, now: Instant) -> bool:
        # What was used last is known only so closely: nobody's session ends early because of it.
        idle_ms = self._rules.sessions.idle_s * 1000 + self._coarse_ms
        return session.expires_at <= now or now - session.used_at > idle_ms

    @property
    def _coarse_ms(self) -> int:
        return self._rules.sessions.idle_s * 1000 // COARSE

    def _note_use(self, token_hash: bytes, now: Instant) -> None:
        """Written down in a while, with those of other sessions: a request does not wait for it."""
        if len(self._used) < NOTES_MAX:
            self._used[token_hash] = now
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note_soon(), name="used sessions")

    async def _note_soon(self) -> None:
        await asyncio.sleep(NOTE_USE_S)
        await self.keep_used()

    async def keep_used(self) -> None:
        used, self._used = self._used, {}
        if used:
            # What is not noted now is noted again, if it goes on being used.
            with suppress(Unavailable):
                await self._store.note_use(used)

    # Their sessions.

    async def sessions(self, document: Document, token: str) -> list[tuple[bool, Session]]:
        """Those that are not over, each with whether it is the one of `token`; the last used ones first."""
        current, now = _hash_of(token), self._clock.now()
        return [
            (token_hash == current, session)
            for token_hash, session in await self._store.sessions_of(document)
            if not self._is_over(session, now)
        ]

    async def log_out(self, token: str) -> None:
        await self._store.drop_session(_hash_of(token))

    async def end_session(self, document: Document, id: str) -> bool:
        """False: the customer has no such session."""
        return await self._store.end_session(document, id)

    async def end_other_sessions(self, document: Document, token: str) -> None:
        await self._store.end_other_sessions(document, _hash_of(token))

    def close(self) -> None:
        if self._noting is not None:
            self._noting.cancel()
        self._passwords.close()


def _hash_of(token: str) -> bytes:
    return sha256(token.encode()).digest()
