"""Two banks in this process, and their public API as a server would call it: real routes, real node, real store.

What a socket would not let through, or only slowly, can be sent here: headers of any bytes, bodies in any pieces. And
every answer is held against what the OpenAPI document says of its route: status, media type, and each field.
"""

import asyncio
import itertools
import json
import secrets
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from litestar.handlers import HTTPRouteHandler

from ciranda.api.app import make_app
from ciranda.api.openapi import document
from ciranda.api.origin import Proxies
from ciranda.engine.limits import LimitRules
from ciranda.engine.operator import TwoPerson
from ciranda.identity import Ispb
from ciranda.node.node import Node
from ciranda.node.people import USUAL_RULES, PeopleRules
from ciranda.wire.problem import STATUS, Problem
from tests.node.banks import DEADLINE_MS, Banks, consortium
from tests.system import documents

T = TypeVar("T")
Json = dict[str, Any]

PASSWORD = "uma senha bem comprida"
OPERATOR = "operator"
NEVER_SAID = {404, 405}
"""What any path and method may be answered with, described or not."""

_keys = map("key-{}".format, itertools.count())


def new_key() -> str:
    return next(_keys)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])


class Customer(NamedTuple):
    document: str
    token: str
    account: str


class Door:
    """One bank's public listener."""

    def __init__(self, node: Node, runner: asyncio.Runner, trusted_proxies: Proxies = ()) -> None:
        self.node = node
        self.ispb = node.bank.ispb
        self.run = runner.run
        self.app = make_app(node, trusted_proxies)
        self.cashier = OPERATOR
        """Whose token brings the money that tests begin with."""
        self.described = document(self.app.routes)["paths"]
        self.shapes: dict[tuple[str, str], dict[int, Any]] = {
            (route.path_format, str(method)): handler.opt["answers"]
            for route in self.app.routes.routes
            for handler in getattr(route, "route_handlers", [])
            if isinstance(handler, HTTPRouteHandler) and "answers" in handler.opt
            for method in handler.http_methods
        }

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request: see `request`."""
        return self.run(self.request(method, path, body, **more))

    def at_once(self, *requests: Coroutine[Any, Any, Answer]) -> list[Answer]:
        """Several requests at the same moment."""

        async def all_of_them() -> list[Answer]:
            return await asyncio.gather(*requests)

        return self.run(all_of_them())

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str | None = None,
        raw: bytes | Sequence[bytes] | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        query: bytes = b"",
        code: str | None = None,
        client: str = "127.0.0.1",
    ) -> Answer:
        """One request. `raw` is sent in place of `body`, in several pieces if it is several."""
        sent = list(headers)
        if token is not None:
            sent.append((b"authorization", f"Bearer {token}".encode()))
        if key is not None:
            sent.append((b"idempotency-key", key.encode()))
        if code is not None:
            sent.append((b"second-factor", code.encode()))
        if raw is None:
            raw = b"" if body is None else json.dumps(body).encode()
        scope: Json = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "surrogateescape"),
            "query_string": query,
            "root_path": "",
            "headers": sent,
            "client": (client, 1),
            "server": ("127.0.0.1", 80),
            "state": {},
            "extensions": {},
        }
        answer = await self._call(scope, [raw] if isinstance(raw, bytes) else raw)
        self._check(method, str(scope.get("path_template", path)), answer)
        return answer

    async def _call(self, scope: Json, pieces: Sequence[bytes]) -> Answer:
        waiting = [
            {"type": "http.request", "body": piece, "more_body": place < len(pieces)}
            for place, piece in enumerate(pieces, 1)
        ]
        said: list[Any] = []

        async def receive() -> Any:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)

        await self.app(scope, receive, send)
        start, *rest = said
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(one.get("body", b"") for one in rest))

    def _check(self, method: str, template: str, answer: Answer) -> None:
        media = answer.headers.get("content-type", "").partition(";")[0]
        if answer.status >= 400:
            assert media == "application/problem+json", answer
            problem = msgspec.json.decode(answer.body, type=Problem)
            assert (problem.status, STATUS[problem.code]) == (answer.status, answer.status)
            assert (problem.errors is not None) == (problem.code == "bad_request")
            assert ("retry-after" in answer.headers) == (answer.status in (429, 503))
            assert ("www-authenticate" in answer.headers) == (answer.status == 401)
        told = self.described.get(template, {}).get(method.lower())
        if told is None:
            assert (
                answer.status in NEVER_SAID or template in ("/openapi.json", "/docs") or method == "OPTIONS"
            )
            return
        assert str(answer.status) in told["responses"], f"{method} {template} does not tell of {answer}"
        assert media in told["responses"][str(answer.status)].get("content", {"": None})
        shape = self.shapes[template, method].get(answer.status)
        if media == "application/json":
            # To read it and to write it again loses nothing: there is no field that the document does not have.
            assert msgspec.json.encode(msgspec.json.decode(answer.body, type=shape)) == answer.body

    # What tests need before they begin.

    def operate(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call(method, path, body, token=OPERATOR, **more)

    def operator(self, name: str, role: str, by: str = OPERATOR, **more: Any) -> str:
        """The token of a new operator."""
        made = self.call("POST", "/v1/operator/operators", {"name": name, "role": role, **more}, token=by)
        assert made.status == 201, made
        return str(made.json["token"])

    def found_two(self, *names: str) -> list[str]:
        """Where two people must agree: the tokens of the first admins, whom root names alone."""
        tokens = []
        for name in names:
            token, order = drawn(name, "admin")
            made = self.operate("POST", "/v1/operator/operators", order)
            assert made.status == 201, made
            tokens.append(token)
        return tokens

    def agreed(self, first: str, second: str, name: str, role: str, **more: Any) -> str:
        """The token of a new operator, whom two admins name together."""
        token, order = drawn(name, role, **more)
        proposal = self.call("POST", "/v1/operator/operators", order, token=first)
        assert proposal.status == 202, proposal
        path = f"/v1/operator/proposals/{proposal.json['id']}/approvals"
        assert self.call("POST", path, token=second).json["status"] == "done"
        return token

    def sign_up(self, document: str) -> str:
        """The token of a new customer's session."""
        made = self.call(
            "POST", "/v1/customers", {"document": document, "name": "Ana Maria", "password": PASSWORD}
        )
        assert made.status == 201, made
        session = self.call("POST", "/v1/sessions", {"document": document, "password": PASSWORD})
        assert session.status == 201, session
        return str(session.json["token"])

    def someone(self, amount: int = 0, document: str | None = None) -> Customer:
        """A new customer with an account, and money in it."""
        document = document or documents.cpf()
        token = self.sign_up(document)
        account = self.call("POST", "/v1/accounts", {"kind": "individual"}, token=token).json["address"]
        if amount:
            order = {"account": account, "amount": amount}
            answer = self.call("POST", "/v1/deposits", order, token=self.cashier, key=new_key())
            assert answer.status == 201, answer
        return Customer(document, token, account)

    def pay(self, payer: Customer, body: Any = None, **more: Any) -> Answer:
        more.setdefault("key", new_key())
        return self.call("POST", "/v1/payments", body, token=payer.token, **more)

    def balance(self, customer: Customer) -> int:
        shown = self.call("GET", f"/v1/accounts/{customer.account}", token=customer.token)
        return int(shown.json["balance"])


def drawn(name: str, role: str, **more: Any) -> tuple[str, Json]:
    """A token that an operator has drawn, and what an admin is told of it."""
    token = f"op_{name}_{secrets.token_urlsafe(32)}"
    return token, {"name": name, "role": role, "token_hash": sha256(token.encode()).hexdigest(), **more}


class Pair(NamedTuple):
    here: Door
    there: Door
    banks: Banks


def transfer(source: str, target: str, amount: Any, **more: Any) -> Json:
    return {"source": source, "target": target, "amount": amount, **more}


@contextmanager
def pair(
    folder: Path,
    count: int = 2,
    two_person: TwoPerson | None = None,
    deadline_ms: int = DEADLINE_MS,
    limits: LimitRules | None = None,
    rules: PeopleRules = USUAL_RULES,
    trusted_proxies: Proxies = (),
) -> Iterator[Pair]:
    """Two banks to call, of a consortium of `count`."""
    with asyncio.Runner() as runner:
        living = consortium(
            folder, count, deadline_ms=deadline_ms, two_person=two_person, limits=limits, rules=rules
        )
        banks: Banks = runner.run(_entered(living.__aenter__()))
        try:
            here, there = (Door(banks[Ispb(ispb)], runner, trusted_proxies) for ispb in banks.ispbs[:2])
            yield Pair(here, there, banks)
        finally:
            runner.run(_entered(living.__aexit__(None, None, None)))


async def _entered(step: Coroutine[Any, Any, T]) -> T:
    return await step
