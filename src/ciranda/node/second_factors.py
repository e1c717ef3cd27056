"""Second factors: codes from a customer's own device (TOTP, RFC 6238) that guard what a stolen session must not do.

`demand` is the guard. Whatever a customer's second factor guards calls it before it does anything, wherever the request
came in. A code is taken once; sent again with the very request that it was taken for, it is taken again, so that a client
that was not answered may repeat itself. Codes are checked while the row is locked, so of two at once one is used.
"""

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
import pyotp
import structlog
from msgspec.structs import replace

from ciranda.engine.attempts import NONE_YET, counted
from ciranda.engine.customer import Customer
from ciranda.engine.key import Claim
from ciranda.engine.second_factor import ALLOWANCE, STEP_MS, SecondFactor
from ciranda.identity import Document
from ciranda.instant import Instant
from ciranda.money import AMOUNT_MAX
from ciranda.node.attempts import MustWait
from ciranda.node.mask import masked_document
from ciranda.node.seal import Seal
from ciranda.ports import Clock, Dice, Store

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CODE = re.compile(r"[0-9]{6}")
RECOVERY_CODE = re.compile(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}")
RECOVERY_CODES = 10
_SECRET_BITS = 160


class SecondFactorRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payments_from: Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)] = 100_000
    """Payments need a code when they would bring what was paid without one in a day to this."""


class CodeRequired(Exception):
    """This is guarded by the customer's second factor, and no good code came with it. Nothing was done."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer's device must know."""

    secret: str
    """In base32."""
    uri: str
    """`otpauth://…`, to be shown as a QR code."""


class SecondFactors:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        dice: Dice,
        seal: Seal,
        issuer: str,
        rules: SecondFactorRules,
    ) -> None:
        """`issuer`: the bank's name, as the customer's device will show it."""
        self._store = store
        self._clock = clock
        self._dice = dice
        self._seal = seal
        self._issuer = issuer
        self._rules = rules

    # The guard.

    async def demand(self, document: Document, code: str | None, claims: Sequence[Claim] = ()) -> None:
        """Passes if the customer has no second factor, or `code` is one of it. Raises CodeRequired, MustWait.

        `claims`: the idempotency keys of what is asked. Where all of them were used up before, it is only asked what
        came of it, and that needs no code.
        """
        if await self._store.guarded(document) and (not claims or await self._new(claims)):
            await self._with_code(document, code, _keep, _use_of(claims))

    async def demand_for_payments(
        self, document: Document, code: str | None, payments: Iterable[tuple[Claim, int]]
    ) -> None:
        """The same, for payments, each with its key and amount. They need no code while they are small."""
        if not await self._store.guarded(document):
            return
        asked = list(payments)
        claims = [claim for claim, _ in asked]
        new = await self._new(claims)
        amount = sum(amount for claim, amount in asked if claim in new)
        if new and not await self._is_small(document, amount):
            await self._with_code(document, code, _keep, _use_of(claims))

    async def take(self, document: Document, code: str | None) -> None:
        """Passes with a good code only. Raises CodeRequired, MustWait."""
        await self._with_code(document, code, _keep)

    async def _new(self, claims: Sequence[Claim]) -> set[Claim]:
        return set(claims) - await self._store.used_keys(claims)

    async def _is_small(self, document: Document, amount: int) -> bool:
        """Small is what does not, with all that was paid without a code in the same day, come to the limit: else a large
        sum would need no code in many parts. What is then refused counts too."""
        now = self._clock.now()

        def count(factor: SecondFactor | None) -> tuple[SecondFactor | None, bool]:
            if factor is None or not factor.on:
                return factor, True
            before = factor.unguarded_at(now)
            if before + amount >= self.limit_of(factor):
                return factor, False
            since = factor.unguarded_since if before else now
            return replace(factor, unguarded=before + amount, unguarded_since=since), True

        return await self._store.change_second_factor(document, count)

    def limit_of(self, factor: SecondFactor) -> int:
        """From which sum on a day's payments need a code."""
        own = self._rules.payments_from if factor.payments_from is None else factor.payments_from
        return min(self._rules.payments_from, own)

    @property
    def limit_max(self) -> int:
        return self._rules.payments_from

    # To have one.

    async def of(self, document: Document) -> SecondFactor | None:
        return await self._store.second_factor(document)

    async def enrol(self, customer: Customer) -> Enrolment | None:
        """A fresh secret, which guards nothing until a first code confirms it; None if there is a confirmed one."""
        now, document = self._clock.now(), customer.document
        secret = base64.b32encode(self._dice.bits(_SECRET_BITS).to_bytes(_SECRET_BITS // 8, "big")).decode()
        made = SecondFactor(
            document=document,
            sealed=self._seal.close(secret.encode(), document),
            made_at=now,
            confirmed_at=None,
            used_step=0,
            used_for="",
            recovery=(),
            payments_from=None,
            at_login=False,
            unguarded=0,
            unguarded_since=now,
        )

        def begin(factor: SecondFactor | None) -> tuple[SecondFactor | None, bool]:
            return (factor, False) if factor is not None and factor.on else (made, True)

        if not await self._store.change_second_factor(document, begin):
            return None
        uri = pyotp.TOTP(secret).provisioning_uri(name=customer.name, issuer_name=self._issuer)
        return Enrolment(secret=secret, uri=uri)

    async def confirm(
        self, document: Document, code: str
    ) -> list[str] | Literal["on_already", "not_enrolled"]:
        """Switches it on; its recovery codes. Raises CodeRequired, MustWait."""
        factor = await self.of(document)
        if factor is None or factor.on:
            return "not_enrolled" if factor is None else "on_already"
        codes, hashes = self._recovery_codes()
        now = self._clock.now()

        def switch_on(factor: SecondFactor) -> SecondFactor:
            return replace(factor, confirmed_at=now, recovery=hashes)

        await self._with_code(document, code, switch_on, on=False)
        log.info("second_factor_on", customer=masked_document(document))
        return codes

    async def remove(self, document: Document, code: str | None) -> None:
        """Raises CodeRequired, MustWait."""
        await self._with_code(document, code, lambda _: None)
        log.info("second_factor_off", customer=masked_document(document))

    async def set_guard(
        self, document: Document, code: str | None, payments_from: int | None, at_login: bool
    ) -> None:
        """Raises CodeRequired, MustWait."""

        def set_it(factor: SecondFactor) -> SecondFactor:
            return replace(factor, payments_from=payments_from, at_login=at_login)

        await self._with_code(document, code, set_it)

    async def renew_recovery_codes(self, document: Document, code: str | None) -> list[str]:
        """Those of before are worth nothing any more. Raises CodeRequired, MustWait."""
        codes, hashes = self._recovery_codes()
        await self._with_code(document, code, lambda factor: replace(factor, recovery=hashes))
        return codes

    # Codes.

    async def _with_code(
        self,
        document: Document,
        code: str | None,
        change: Callable[[SecondFactor], SecondFactor | None],
        use: str = "",
        *,
        on: bool = True,
    ) -> None:
        """Takes the code, and changes what is kept, in one step. `on`: whether it must be confirmed, or not yet."""
        now = self._clock.now()

        def check(
            factor: SecondFactor | None,
        ) -> tuple[SecondFactor | None, CodeRequired | MustWait | None]:
            if factor is None or factor.on is not on or code is None:
                return factor, CodeRequired()
            if now < factor.tally.blocked_until:
                return factor, MustWait(factor.tally.blocked_until - now)
            taken = self._taken(factor, code, now, use)
            if taken is None:
                return replace(factor, tally=counted(factor.tally, ALLOWANCE, now)), CodeRequired()
            return change(replace(taken, tally=NONE_YET)), None

        no = await self._store.change_second_factor(document, check)
        if isinstance(no, MustWait):
            log.warning("attempts_blocked", of="second factor", customer=masked_document(document))
        if no is not None:
            raise no

    def _taken(self, factor: SecondFactor, code: str, now: Instant, use: str) -> SecondFactor | None:
        """As it is after the code was used; None if it is wrong, or was used before."""
        if RECOVERY_CODE.fullmatch(code):
            used = _hash_of(code)
            left = tuple(one for one in factor.recovery if not hmac.compare_digest(one, used))
            return replace(factor, recovery=left) if len(left) < len(factor.recovery) else None
        secret = self._open(factor)
        if secret is None:
            return None
        totp = pyotp.TOTP(secret)
        for step in factor.steps_taken(now, use):
            if hmac.compare_digest(totp.at(step * STEP_MS // 1000), code):
                return replace(factor, used_step=step, used_for=use)
        return None

    def _recovery_codes(self) -> tuple[list[str], tuple[str, ...]]:
        """Fresh ones, of 80 bits each, and their hashes."""
        codes = []
        for _ in range(RECOVERY_CODES):
            letters = base64.b32encode(self._dice.bits(80).to_bytes(10, "big")).decode().lower()
            codes.append("-".join(letters[place : place + 4] for place in range(0, 16, 4)))
        return codes, tuple(map(_hash_of, codes))

    def _open(self, factor: SecondFactor) -> str | None:
        """None if the bank's secret has changed since: then only recovery codes are good."""
        secret = self._seal.open(factor.sealed, factor.document)
        if secret is None:
            log.warning("second_factor_cannot_be_opened", customer=masked_document(factor.document))
        return None if secret is None else secret.decode()


def _keep(factor: SecondFactor) -> SecondFactor:
    return factor


def _use_of(claims: Sequence[Claim]) -> str:
    """What is the same for the same request only; nothing for what cannot be asked again."""
    if not claims:
        return ""
    return sha256(msgspec.json.encode([(claim.scope, claim.key, claim.body) for claim in claims])).hexdigest()


def _hash_of(code: str) -> str:
    return sha256(code.encode()).hexdigest()
