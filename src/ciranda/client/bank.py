"""One bank, as its customers' programs and its operator see it: a method for each route.

A call is asked again, after a random and growing wait, when the bank says that it is overloaded or cannot be reached,
and asking again can do no harm: everything that moves money carries one idempotency key through all of its tries.
"""

import asyncio
import random
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from ciranda.client.answer import (
    Account,
    Action,
    Audit,
    Awaiting,
    BankCard,
    Customer,
    Dispute,
    Enrolment,
    Entry,
    Head,
    KnownPayment,
    Limits,
    Link,
    ListedAccount,
    ListedSession,
    Mandate,
    Operator,
    Page,
    Payee,
    Payment,
    Position,
    Proposal,
    RecoveryCodes,
    Result,
    SecondFactor,
    Session,
    Use,
)
from ciranda.client.order import BatchedPayment, Order

Answer = TypeVar("Answer")
Item = TypeVar("Item")

Again = Literal["always", "unsent"]
"""When a call may be repeated: at any failure, or only when the bank surely did not get to work on it."""

Word = Literal["approve", "refuse"]

Body = dict[str, Any]

TRIES = 4
TIMEOUT_S = 30.0
_WAIT_S = 0.1
_WAIT_MAX_S = 5.0
_NOTHING_RECORDED = ("overloaded", "unavailable")
_NOT_UNDERSTOOD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class ProblemError(Exception):
    """The bank answered with a problem (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, payload: Body, *, retry_after_s: int = 0) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.payload = payload
        """All that the answer said: for a refused payment also `payment`, its id, and `bank`, who refused."""
        self.retry_after_s = retry_after_s


class BankAway(Exception):
    """No answer: the bank cannot be reached, or not in time.

    Sent again with the same `key`, it has one effect and gets its one answer.
    """

    def __init__(self, url: str, reason: str, key: str | None, *, heard: bool = True) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason
        self.key = key
        self.heard = heard
        """False: the last try surely had no effect. True: nobody here can know."""


class _BankSlow(BankAway):
    """It did not answer in time."""


class BankClient:
    """One bank's public face. To be closed after use: `async with BankClient(url) as bank`."""

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        tries: int = TRIES,
        timeout_s: float = TIMEOUT_S,
        authority: Path | None = None,
    ) -> None:
        """`authority`: a PEM file of who vouches for the bank at an https URL; None: whomever this machine trusts."""
        self.url = base_url.rstrip("/")
        self.token = token
        self._tries = tries
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._authority = authority
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    # The bank itself.

    async def bank(self) -> BankCard:
        return await self._get("/v1/bank", BankCard)

    async def is_live(self) -> bool:
        return await self._is_well("/health/live")

    async def is_ready(self) -> bool:
        """Whether its database and both of its listeners are up. Asked once; no answer is a no."""
        return await self._is_well("/health/ready")

    # Customers and their sessions.

    async def sign_up(
        self, document: str, name: str, password: str, *, email: str | None = None, phone: str | None = None
    ) -> Customer:
        body = _body(document=document, name=name, password=password, email=email, phone=phone)
        return await self._ask("POST", "/v1/customers", Customer, body, again="unsent")

    async def log_in(self, document: str, password: str, *, code: str | None = None) -> Session:
        """Begins a session, and speaks for this customer from here on."""
        body = _body(document=document, password=password)
        session = await self._ask("POST", "/v1/sessions", Session, body, again="unsent", code=code)
        self.token = session.token
        return session

    async def log_out(self) -> None:
        await self._send("DELETE", "/v1/sessions/current", again="unsent")
        self.token = None

    async def sessions(self) -> list[ListedSession]:
        """The caller's, the last used ones first."""
        return await self._list("/v1/sessions", "sessions", ListedSession)

    async def end_session(self, id: str) -> None:
        await self._send("DELETE", f"/v1/sessions/{quote(id, safe='')}", again="unsent")

    async def end_other_sessions(self) -> None:
        await self._send("DELETE", "/v1/sessions/others", again="always")

    async def change_password(self, old: str, new: str) -> None:
        """Ends all the caller's sessions but this one."""
        body = _body(old_password=old, new_password=new)
        await self._send("PUT", "/v1/customers/me/password", body, again="unsent")

    # A second factor: what it guards takes a `code`, six digits from the customer's device or a recovery code.

    async def second_factor(self) -> SecondFactor:
        return await self._get("/v1/second-factor", SecondFactor)

    async def enrol_second_factor(self, password: str) -> Enrolment:
        """A fresh secret for the customer's device; it guards nothing until `confirm_second_factor`."""
        return await self._ask(
            "POST", "/v1/second-factor", Enrolment, _body(password=password), again="unsent"
        )

    async def confirm_second_factor(self, code: str) -> list[str]:
        """Switches it on; the recovery codes, which are shown this once."""
        path = "/v1/second-factor/confirmation"
        return (await self._ask("POST", path, RecoveryCodes, _body(code=code), again="unsent")).recovery_codes

    async def guard_with_second_factor(
        self, code: str | None, *, payments_from: int | None, at_login: bool
    ) -> SecondFactor:
        """From which sum on payments need a code (None: the bank's figure), and whether logging in does."""
        body: Body = {"payments_from": payments_from, "at_login": at_login}
        return await self._ask("PUT", "/v1/second-factor", SecondFactor, body, again="unsent", code=code)

    async def renew_recovery_codes(self, code: str | None) -> list[str]:
        path = "/v1/second-factor/recovery-codes"
        return (await self._ask("POST", path, RecoveryCodes, again="unsent", code=code)).recovery_codes

    async def remove_second_factor(self, password: str, code: str | None) -> None:
        path = "/v1/second-factor/removal"
        await self._send("POST", path, _body(password=password), again="unsent", code=code)

    # Accounts.

    async def open_account(
        self,
        kind: str,
        *,
        holders: Sequence[str] | None = None,
        signatures: str | None = None,
        key: str | None = None,
    ) -> Account:
        body = _body(kind=kind, holders=holders and list(holders), signatures=signatures)
        return await self._ask("POST", "/v1/accounts", Account, body, key=key or new_key())

    async def accounts(self, *, everywhere: bool = False) -> list[ListedAccount]:
        """The caller's accounts; `everywhere` adds the linked ones at other banks."""
        path = "/v1/accounts" + _query(everywhere="true" if everywhere else None)
        return await self._list(path, "accounts", ListedAccount)

    async def account(self, address: str) -> Account:
        return await self._get(f"/v1/accounts/{quote(address, safe='')}", Account)

    async def entries(
        self, address: str, *, limit: int | None = None, cursor: str | None = None, after: int | None = None
    ) -> Page[Entry]:
        """A page of the statement, newest first; with `after` the later ones, oldest first."""
        path = f"/v1/accounts/{quote(address, safe='')}/entries"
        return await self._page(path + _query(limit=limit, cursor=cursor, after=after), "entries", Entry)

    async def limits(self, address: str) -> Limits:
        return await self._get(f"/v1/accounts/{quote(address, safe='')}/limits", Limits)

    async def set_limits(
        self,
        address: str,
        *,
        per_transfer: int | None = None,
        per_day: int | None = None,
        per_night: int | None = None,
        code: str | None = None,
    ) -> Limits:
        """Those that are not given stay as they are. A lower one acts at once, a higher one after 24 hours."""
        body = _body(per_transfer=per_transfer, per_day=per_day, per_night=per_night)
        path = f"/v1/accounts/{quote(address, safe='')}/limits"
        return await self._ask("PUT", path, Limits, body, code=code)

    async def payee(self, address: str) -> Payee:
        return await self._get(f"/v1/payees/{quote(address, safe='')}", Payee)

    # Money.

    async def deposit(
        self, account: str, amount: int, *, description: str | None = None, key: str | None = None
    ) -> Payment:
        body = _body(account=account, amount=amount, description=description)
        return await self._ask("POST", "/v1/deposits", Payment, body, key=key or new_key())

    async def withdraw(
        self, account: str, amount: int, *, description: str | None = None, key: str | None = None
    ) -> Payment | Proposal:
        """A proposal: a second operator must approve it."""
        body = _body(account=account, amount=amount, description=description)
        return await self._ask_two("POST", "/v1/withdrawals", Payment, body, key=key or new_key())

    async def pay(
        self,
        transfers: Sequence[Order],
        *,
        description: str | None = None,
        reference: str | None = None,
        key: str | None = None,
        code: str | None = None,
    ) -> Payment:
        """One atomic payment: settled, pending, or awaiting approval. A refusal raises ProblemError."""
        body = _body(transfers=list(transfers), description=description, reference=reference)
        return await self._ask("POST", "/v1/payments", Payment, body, key=key or new_key(), code=code)

    async def pay_batch(self, payments: Sequence[BatchedPayment], *, code: str | None = None) -> list[Result]:
        """Many payments, each atomic by itself; here a refusal is a result."""
        body = _body(payments=list(payments))
        return await self._list(
            "/v1/payments/batches", "results", Result, method="POST", body=body, code=code
        )

    async def payments(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Payment]:
        return await self._page("/v1/payments" + _query(limit=limit, cursor=cursor), "payments", Payment)

    async def payment(self, id: str) -> Payment:
        return await self._get(f"/v1/payments/{quote(id, safe='')}", Payment)

    # What needs the signatures of all holders.

    async def approvals(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Awaiting]:
        """What awaits one's own signature, newest first."""
        return await self._page("/v1/approvals" + _query(limit=limit, cursor=cursor), "approvals", Awaiting)

    async def approve_payment(
        self, id: str, decision: Word = "approve", *, code: str | None = None
    ) -> Payment:
        """The payment: refused by oneself; still waiting for others; or begun, and then as from `pay`."""
        path = f"/v1/payments/{quote(id, safe='')}/approvals"
        return await self._ask("POST", path, Payment, _body(decision=decision), code=code)

    async def approve_mandate(
        self, id: str, decision: Word = "approve", *, code: str | None = None
    ) -> Mandate:
        path = f"/v1/mandates/{quote(id, safe='')}/approvals"
        return await self._ask("POST", path, Mandate, _body(decision=decision), code=code)

    # Permissions.

    async def give_mandate(
        self,
        account: str,
        initiator: str,
        expires_at: str,
        *,
        per_payment: int | None = None,
        per_day: int | None = None,
        total: int | None = None,
        starts_at: str | None = None,
        scopes: Sequence[str] | None = None,
        payer: str | None = None,
        key: str | None = None,
        code: str | None = None,
    ) -> Mandate:
        body = _body(
            account=account,
            initiator=initiator,
            expires_at=expires_at,
            per_payment=per_payment,
            per_day=per_day,
            total=total,
            starts_at=starts_at,
            scopes=scopes and list(scopes),
            payer=payer,
        )
        return await self._ask("POST", "/v1/mandates", Mandate, body, key=key or new_key(), code=code)

    async def mandates(self) -> list[Mandate]:
        return await self._list("/v1/mandates", "mandates", Mandate)

    async def mandate(self, id: str) -> Mandate:
        return await self._get(f"/v1/mandates/{quote(id, safe='')}", Mandate)

    async def pause_mandate(self, id: str) -> Mandate:
        return await self._ask("POST", f"/v1/mandates/{quote(id, safe='')}/pause", Mandate)

    async def resume_mandate(self, id: str, *, code: str | None = None) -> Mandate:
        return await self._ask("POST", f"/v1/mandates/{quote(id, safe='')}/resume", Mandate, code=code)

    async def mandate_uses(
        self, id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[Use]:
        """A page of the payments that used the mandate, newest first."""
        path = f"/v1/mandates/{quote(id, safe='')}/uses"
        return await self._page(path + _query(limit=limit, cursor=cursor), "uses", Use)

    async def end_mandate(self, id: str) -> None:
        await self._send("DELETE", f"/v1/mandates/{quote(id, safe='')}", again="unsent")

    async def link(self, account: str, mandate: str, *, key: str | None = None) -> ListedAccount:
        """Makes an account at another bank visible, and usable as a source, from this one."""
        body = _body(account=account, mandate=mandate)
        return await self._ask("POST", "/v1/links", ListedAccount, body, key=key or new_key())

    async def links(self) -> list[Link]:
        return await self._list("/v1/links", "links", Link)

    async def unlink(self, address: str) -> None:
        await self._send("DELETE", f"/v1/links/{quote(address, safe='')}", again="unsent")

    # The operator's.

    async def audit(self) -> Audit:
        return await self._get("/v1/operator/audit", Audit)

    async def positions(self) -> list[Position]:
        return await self._list("/v1/operator/positions", "positions", Position)

    async def known_payments(self, *, limit: int = 1000) -> AsyncIterator[KnownPayment]:
        """Every payment that the bank knows, by id, page after page."""
        cursor: str | None = None
        while True:
            path = "/v1/operator/payments" + _query(after=cursor, limit=limit)
            page = await self._page(path, "payments", KnownPayment)
            for payment in page.items:
                yield payment
            cursor = page.next_cursor
            if cursor is None:
                return

    async def block(self, address: str) -> Account:
        return await self._ask("POST", _account(address, "block"), Account, again="unsent")

    async def unblock(self, address: str) -> Account | Proposal:
        return await self._ask_two("POST", _account(address, "unblock"), Account, again="unsent")

    async def close_account(self, address: str) -> Account:
        return await self._ask("POST", _account(address, "close"), Account, again="unsent")

    async def set_limit(self, peer: str, limit: int) -> Position | Proposal:
        """What `peer` may owe this bank at most, from now on."""
        path = f"/v1/operator/peers/{quote(peer, safe='')}/limit"
        return await self._ask_two("PUT", path, Position, _body(limit=limit), again="unsent")

    async def reset_second_factor(self, document: str) -> SecondFactor | Proposal:
        """Of a customer who has lost it; all their sessions end."""
        path = "/v1/operator/second-factor/removal"
        return await self._ask_two("POST", path, SecondFactor, _body(document=document), again="unsent")

    async def operators(self) -> list[Operator]:
        return await self._list("/v1/operator/operators", "operators", Operator)

    async def add_operator(
        self,
        name: str,
        role: str,
        *,
        cash_limit: int | None = None,
        token_hash: str | None = None,
        expires_at: str | None = None,
    ) -> Operator | Proposal:
        """The token is in the answer, if no `token_hash` says that its holder has drawn it."""
        body = _body(
            name=name, role=role, cash_limit=cash_limit, token_hash=token_hash, expires_at=expires_at
        )
        return await self._ask_two("POST", "/v1/operator/operators", Operator, body, again="unsent")

    async def renew_token(
        self, name: str, *, token_hash: str | None = None, expires_at: str | None = None
    ) -> Operator | Proposal:
        path = f"/v1/operator/operators/{quote(name, safe='')}/token"
        body = _body(token_hash=token_hash, expires_at=expires_at)
        return await self._ask_two("POST", path, Operator, body, again="unsent")

    async def end_operator(self, name: str) -> None:
        await self._send("DELETE", f"/v1/operator/operators/{quote(name, safe='')}", again="always")

    async def actions(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Action]:
        """What operators did and tried, the latest first."""
        return await self._page(
            "/v1/operator/actions" + _query(limit=limit, cursor=cursor), "actions", Action
        )

    async def heads(self, peer: str, *, limit: int | None = None, cursor: str | None = None) -> Page[Head]:
        """The bank's copies of the heads of a peer's chain, the newest first."""
        path = f"/v1/operator/peers/{quote(peer, safe='')}/heads"
        return await self._page(path + _query(limit=limit, cursor=cursor), "heads", Head)

    async def disputes(self) -> list[Dispute]:
        """Heads that their banks' chains do not bear out any more, the latest first."""
        return await self._list("/v1/operator/disputes", "disputes", Dispute)

    async def proposals(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Proposal]:
        path = "/v1/operator/proposals" + _query(limit=limit, cursor=cursor)
        return await self._page(path, "proposals", Proposal)

    async def proposal(self, id: str) -> Proposal:
        return await self._get(f"/v1/operator/proposals/{quote(id, safe='')}", Proposal)

    async def approve(self, id: str) -> Proposal:
        """As the second operator; said twice it is done once."""
        return await self._ask("POST", f"/v1/operator/proposals/{quote(id, safe='')}/approvals", Proposal)

    async def reject(self, id: str) -> Proposal:
        return await self._ask("POST", f"/v1/operator/proposals/{quote(id, safe='')}/rejections", Proposal)

    # How it is asked.

    async def _is_well(self, path: str) -> bool:
        try:
            await self._once("GET", path, None, None)
        except (BankAway, ProblemError):
            return False
        return True

    async def _get(self, path: str, kind: type[Answer]) -> Answer:
        return await self._ask("GET", path, kind)

    async def _list(
        self,
        path: str,
        name: str,
        kind: type[Item],
        *,
        method: str = "GET",
        body: Body | None = None,
        code: str | None = None,
    ) -> list[Item]:
        answer = await self._ask(method, path, dict[str, list[kind]], body, code=code)  # type: ignore[valid-type]
        return answer[name]

    async def _page(self, path: str, name: str, kind: type[Item]) -> Page[Item]:
        answer = await self._ask("GET", path, dict[str, list[kind] | str | None])  # type: ignore[valid-type]
        return Page(items=cast(list[Item], answer[name]), next_cursor=cast(str | None, answer["next_cursor"]))

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        body: Body | None = None,
        *,
        key: str | None = None,
        again: Again = "always",
        code: str | None = None,
    ) -> Answer:
        answer = await self._send(method, path, body, key=key, again=again, code=code)
        return self._read(answer, kind, key)

    async def _ask_two(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        body: Body | None = None,
        *,
        key: str | None = None,
        again: Again = "always",
    ) -> Answer | Proposal:
        """The same, where the answer may be that a second operator must approve it."""
        answer = await self._send(method, path, body, key=key, again=again)
        try:
            return msgspec.json.decode(answer, type=Proposal)
        except _NOT_UNDERSTOOD:
            return self._read(answer, kind, key)

    def _read(self, answer: bytes, kind: type[Answer], key: str | None) -> Answer:
        try:
            return msgspec.json.decode(answer, type=kind)
        except _NOT_UNDERSTOOD as error:
            raise BankAway(self.url, f"its answer is not understood: {error}", key) from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        key: str | None = None,
        again: Again,
        code: str | None = None,
    ) -> bytes:
        """Asks, and again where that is of use and does no harm; the body of a good answer."""
        content = None if body is None else msgspec.json.encode(body)
        for attempt in range(1, self._tries):
            try:
                return await self._once(method, path, content, key, code)
            except (BankAway, ProblemError) as failure:
                if not _is_worth_another_try(failure, again):
                    raise
                wait_s = random.uniform(0.5, 1.0) * min(_WAIT_S * 2**attempt, _WAIT_MAX_S)
                if isinstance(failure, ProblemError):
                    wait_s = max(wait_s, min(failure.retry_after_s, _WAIT_MAX_S))
            await asyncio.sleep(wait_s)
        return await self._once(method, path, content, key, code)

    async def _once(
        self, method: str, path: str, content: bytes | None, key: str | None, code: str | None = None
    ) -> bytes:
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        if code is not None:
            headers["Second-Factor"] = code
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if self._http is None:
            trusted = True if self._authority is None else ssl.create_default_context(cafile=self._authority)
            self._http = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(ssl=trusted)
            )
        try:
            async with self._http.request(method, self.url + path, data=content, headers=headers) as answer:
                body = await answer.read()
        except aiohttp.ClientSSLError as error:
            raise BankAway(
                self.url, "it shows no certificate that is trusted here", key, heard=False
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise BankAway(self.url, "it cannot be reached", key, heard=False) from error
        except TimeoutError as error:
            raise _BankSlow(self.url, "it did not answer in time", key) from error
        except aiohttp.ClientError as error:
            raise BankAway(self.url, "the connection broke", key) from error
        if answer.status >= 400:
            raise _problem(answer.status, answer.headers, body)
        return body


def _is_worth_another_try(failure: BankAway | ProblemError, again: Again) -> bool:
    if isinstance(failure, ProblemError):
        return failure.status == 503 and failure.code in _NOTHING_RECORDED
    if isinstance(failure, _BankSlow):
        return False  # A further try would only double a wait that was too long already.
    return again == "always" or not failure.heard


def new_key() -> str:
    """A fresh idempotency key."""
    return secrets.token_urlsafe(24)


def _body(**fields: object) -> Body:
    """A request's body; what was not given is left to the bank's default."""
    return {name: value for name, value in fields.items() if value is not None}


def _account(address: str, change: str) -> str:
    return f"/v1/operator/accounts/{quote(address, safe='')}/{change}"


def _query(**fields: str | int | None) -> str:
    given = {name: value for name, value in fields.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _problem(status: int, headers: Mapping[str, str], body: bytes) -> ProblemError:
    try:
        payload = msgspec.json.decode(body, type=dict[str, Any])
    except _NOT_UNDERSTOOD:
        payload = {}
    retry_after = headers.get("Retry-After", "")
    # What stands between us and the bank, a proxy say, does not speak of problems.
    return ProblemError(
        status,
        str(payload.get("code", "unknown")),
        str(payload.get("detail", f"The answer was {status}, without a reason.")),
        payload,
        retry_after_s=int(retry_after) if re.fullmatch("[0-9]{1,9}", retry_after) else 0,
    )
