"""Who may call what: every route of the public listener, by every kind of caller, in one table.

A route that is not in the table fails here, and so does a row that no route answers to. Each cell is the status of a
request that is in order but for who sends it, so that a door left open shows as what lies behind it.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.api.openapi import document
from ciranda.engine.operator import TwoPerson
from ciranda.engine.second_factor import SecondFactor
from ciranda.identity import Document, parse_document
from ciranda.instant import Instant
from ciranda.wire.signature import Seal
from tests.api.bank import OPERATOR, PASSWORD, Answer, Customer, Door, Pair, new_key, pair, transfer
from tests.system import documents

WHO = ("stranger", "holder", "joint", "teller", "operator", "auditor", "admin", "root", "root2", "nobody")
"""Besides operators and root: `stranger`, another customer; `holder` and `joint`, the two holders of a joint account,
of whom the first has given the mandate, made the link and asked for the payment; `root2`, root where two people must
agree; and `nobody`, who stands for all whose tokens open nothing."""

TABLE = """
GET    /v1/bank                                   200 200 200 200 200 200 200 200 200 200
POST   /v1/customers                              201 201 201 201 201 201 201 201 201 201
POST   /v1/sessions                               201 201 201 201 201 201 201 201 201 201
PUT    /v1/customers/me/password                  204 204 204 403 403 403 403 403 403 401
DELETE /v1/sessions/current                       204 204 204 403 403 403 403 403 403 401
GET    /v1/sessions                               200 200 200 403 403 403 403 403 403 401
DELETE /v1/sessions/others                        204 204 204 403 403 403 403 403 403 401
DELETE /v1/sessions/{id}                          404 204 404 403 403 403 403 403 403 401
GET    /v1/second-factor                          200 200 200 403 403 403 403 403 403 401
POST   /v1/second-factor                          201 201 201 403 403 403 403 403 403 401
PUT    /v1/second-factor                          200 200 200 403 403 403 403 403 403 401
POST   /v1/second-factor/confirmation             404 404 404 403 403 403 403 403 403 401
POST   /v1/second-factor/recovery-codes           200 200 200 403 403 403 403 403 403 401
POST   /v1/second-factor/removal                  204 204 204 403 403 403 403 403 403 401
POST   /v1/accounts                               422 201 201 403 403 403 403 403 403 401
GET    /v1/accounts                               200 200 200 403 403 403 403 403 403 401
GET    /v1/accounts/{address}                     404 200 200 200 200 200 403 200 403 401
GET    /v1/accounts/{address}/entries             404 200 200 200 200 200 403 200 403 401
GET    /v1/accounts/{address}/limits              404 200 200 200 200 200 403 200 403 401
PUT    /v1/accounts/{address}/limits              404 422 422 403 403 403 403 403 403 401
GET    /v1/payees/{address}                       200 200 200 200 200 200 403 200 403 401
POST   /v1/payments                               422 201 201 403 403 403 403 403 403 401
GET    /v1/payments                               200 200 200 403 403 403 403 403 403 401
GET    /v1/payments/{id}                          404 200 200 200 200 200 403 200 403 401
POST   /v1/payments/{id}/approvals                404 202 201 403 403 403 403 403 403 401
GET    /v1/approvals                              200 200 200 403 403 403 403 403 403 401
POST   /v1/payments/batches                       200 200 200 403 403 403 403 403 403 401
POST   /v1/deposits                               403 403 403 201 403 403 403 201 403 401
POST   /v1/withdrawals                            403 403 403 201 403 403 403 201 403 401
POST   /v1/mandates                               404 201 201 403 403 403 403 403 403 401
GET    /v1/mandates                               200 200 200 403 403 403 403 403 403 401
GET    /v1/mandates/{id}                          404 200 404 403 403 403 403 403 403 401
POST   /v1/mandates/{id}/pause                    404 200 404 403 403 403 403 403 403 401
POST   /v1/mandates/{id}/resume                   404 200 404 403 403 403 403 403 403 401
GET    /v1/mandates/{id}/uses                     404 200 404 403 403 403 403 403 403 401
POST   /v1/mandates/{id}/approvals                404 202 201 403 403 403 403 403 403 401
DELETE /v1/mandates/{id}                          404 204 404 403 403 403 403 403 403 401
POST   /v1/links                                  422 201 422 403 403 403 403 403 403 401
GET    /v1/links                                  200 200 200 403 403 403 403 403 403 401
DELETE /v1/links/{address}                        404 204 404 403 403 403 403 403 403 401
GET    /v1/operator/audit                         403 403 403 403 200 200 200 200 200 401
GET    /v1/operator/payments                      403 403 403 403 200 200 200 200 200 401
GET    /v1/operator/positions                     403 403 403 403 200 200 200 200 200 401
GET    /v1/operator/violations                    403 403 403 403 200 200 200 200 200 401
GET    /v1/operator/actions                       403 403 403 403 200 200 200 200 200 401
GET    /v1/operator/peers/{ispb}/heads            403 403 403 403 200 200 200 200 200 401
GET    /v1/operator/disputes                      403 403 403 403 200 200 200 200 200 401
POST   /v1/operator/accounts/{address}/block      403 403 403 403 200 403 403 200 403 401
POST   /v1/operator/accounts/{address}/unblock    403 403 403 403 200 403 403 200 403 401
POST   /v1/operator/accounts/{address}/close      403 403 403 403 200 403 403 200 403 401
PUT    /v1/operator/peers/{ispb}/limit            403 403 403 403 200 403 403 200 403 401
POST   /v1/operator/second-factor/removal         403 403 403 403 200 403 403 200 403 401
GET    /v1/operator/operators                     403 403 403 403 200 200 200 200 200 401
POST   /v1/operator/operators                     403 403 403 403 403 403 201 201 202 401
DELETE /v1/operator/operators/{name}              403 403 403 403 403 403 204 204 204 401
POST   /v1/operator/operators/{name}/token        403 403 403 403 403 403 201 201 202 401
GET    /v1/operator/proposals                     403 403 403 200 200 200 200 200 200 401
GET    /v1/operator/proposals/{id}                403 403 403 404 404 404 404 404 404 401
POST   /v1/operator/proposals/{id}/approvals      403 403 403 404 404 403 404 404 403 401
POST   /v1/operator/proposals/{id}/rejections     403 403 403 404 404 404 404 404 404 401
GET    /health/live                               200 200 200 200 200 200 200 200 200 200
GET    /health/ready                              200 200 200 200 200 200 200 200 200 200
GET    /metrics                                   200 200 200 200 200 200 200 200 200 200
GET    /openapi.json                              200 200 200 200 200 200 200 200 200 200
GET    /docs                                      200 200 200 200 200 200 200 200 200 200
"""

ROWS: dict[tuple[str, str], dict[str, int]] = {
    (line.split()[0], line.split()[1]): dict(zip(WHO, map(int, line.split()[2:]), strict=True))
    for line in TABLE.strip().splitlines()
}
WITH_SECOND_FACTOR = {
    ("PUT", "/v1/second-factor"),
    ("POST", "/v1/second-factor/recovery-codes"),
    ("POST", "/v1/second-factor/removal"),
}
"""These are called with a good code of a second factor, which nobody has anywhere else."""
RECOVERY_CODE = "aaaa-bbbb-cccc-dddd"
UNDESCRIBED = {("GET", "/openapi.json"), ("GET", "/docs")}
HASH = sha256(b"whatever").hexdigest()
names = map("someone-{}".format, itertools.count())


class World:
    """A bank with one of each, and what they call each route with."""

    def __init__(self, banks: Pair, admins: tuple[str, str] | None = None) -> None:
        """`admins`: the tokens of two, where two people must agree."""
        self.admins = admins
        self.bank, self.there = banks.here, banks.there
        self.banks = banks
        self.people = {who: self.bank.someone(1_000_000) for who in ("stranger", "holder", "joint")}
        self.shop = self.bank.someone()
        self.account = self._joint()
        self.payment = self._pay("holder").json["id"]
        self.for_all = self._joint("all")
        self.tokens = {who: person.token for who, person in self.people.items()}
        self.tokens |= {"root": OPERATOR, "root2": OPERATOR}

    def _joint(self, signatures: str = "any") -> str:
        holders = [self.people["holder"].document, self.people["joint"].document]
        order = {"kind": "joint", "holders": holders, "signatures": signatures}
        account = str(
            self.bank.call("POST", "/v1/accounts", order, token=self.people["holder"].token).json["address"]
        )
        cash = {"account": account, "amount": 1_000_000}
        self.bank.call("POST", "/v1/deposits", cash, token=self.bank.cashier, key=new_key())
        return account

    def _pay(self, who: str, account: str | None = None) -> Answer:
        order = {"transfers": [transfer(account or self.account, self.shop.account, 1)]}
        return self.bank.pay(self.people[who], order)

    def with_staff(self) -> "World":
        for role in ("teller", "operator", "auditor", "admin"):
            self.tokens[role] = self.bank.operator(role, role)
        return self

    def mandate(self, at: Door, giver: str, account: str, initiator: str, *scopes: str) -> dict[str, Any]:
        order = {
            "account": account,
            "initiator": initiator,
            "expires_at": "2099-01-01T00:00:00Z",
            "scopes": [*scopes],
        }
        given = at.call("POST", "/v1/mandates", order, token=giver)
        assert given.status == 201, given
        answer: dict[str, Any] = given.json
        return answer

    def linkable(self) -> tuple[str, str]:
        """An account of the holder's at the other bank, and the mandate's token for this one."""
        if not hasattr(self, "far"):
            self.far: Customer = self.there.someone(0, self.people["holder"].document)
        token = self.mandate(self.there, self.far.token, self.far.account, self.bank.ispb, "read")["token"]
        return self.far.account, token

    def fresh(self, who: str) -> str:
        """A token of a customer's that may be ended."""
        if who not in self.people:
            return self.tokens[who]
        order = {"document": self.people[who].document, "password": PASSWORD}
        return str(self.bank.call("POST", "/v1/sessions", order).json["token"])

    def second_factors(self, on: bool) -> None:
        """Every customer has one that `RECOVERY_CODE` is of, or none has."""
        for person in self.people.values():
            document = parse_document(person.document)
            factor = second_factor(document) if on else None
            self.bank.run(self.bank.node.store.change_second_factor(document, _into(factor)))


def _into(factor: SecondFactor | None) -> Callable[[Any], tuple[SecondFactor | None, None]]:
    return lambda _: (factor, None)


def second_factor(document: Document) -> SecondFactor:
    return SecondFactor(
        document=document,
        sealed=b"",
        made_at=Instant(0),
        confirmed_at=Instant(0),
        used_step=0,
        used_for="",
        recovery=(sha256(RECOVERY_CODE.encode()).hexdigest(),),
        payments_from=None,
        at_login=False,
        unguarded=0,
        unguarded_since=Instant(0),
    )


def _empty_account(world: World) -> str:
    order = {"kind": "joint", "holders": [world.people["holder"].document, world.people["joint"].document]}
    return str(world.bank.call("POST", "/v1/accounts", order, token=world.tokens["holder"]).json["address"])


def _cash(world: World) -> Any:
    return {"account": world.account, "amount": 1}


def _somebody(world: World) -> str:
    """An operator who has just been named."""
    name = next(names)
    if world.admins is None:
        world.bank.operator(name, "admin")
    else:
        world.bank.agreed(*world.admins, name, "admin")
    return name


def _link(world: World) -> Any:
    account, token = world.linkable()
    return {"account": account, "mandate": token}


def _linked(world: World) -> str:
    order = _link(world)
    world.bank.call("POST", "/v1/links", order, token=world.tokens["holder"])
    return str(order["account"])


def _given(world: World) -> str:
    given = world.mandate(world.bank, world.tokens["holder"], world.account, world.there.ispb, "read")
    return str(given["id"])


def _session(world: World) -> str:
    """A session of the holder's that may be ended."""
    token = world.fresh("holder")
    sessions = world.bank.call("GET", "/v1/sessions", token=token).json["sessions"]
    return str(next(session["id"] for session in sessions if session["current"]))


def _payment_to_sign(world: World) -> str:
    """One that waits for the other holder."""
    return str(world._pay("holder", world.for_all).json["id"])


def _mandate_to_sign(world: World) -> str:
    order = BODIES["POST", "/v1/mandates"](world) | {"account": world.for_all}
    asked = world.bank.call("POST", "/v1/mandates", order, token=world.tokens["holder"])
    assert asked.status == 202, asked
    return str(asked.json["id"])


def _transfers(world: World) -> Any:
    return [transfer(world.account, world.shop.account, 1)]


BODIES: dict[tuple[str, str], Callable[[World], Any]] = {
    ("POST", "/v1/customers"): lambda _: {"document": documents.cpf(), "name": "Zé", "password": PASSWORD},
    ("POST", "/v1/sessions"): lambda world: {
        "document": world.people["holder"].document,
        "password": PASSWORD,
    },
    ("PUT", "/v1/customers/me/password"): lambda _: {"old_password": PASSWORD, "new_password": PASSWORD},
    ("POST", "/v1/second-factor"): lambda _: {"password": PASSWORD},
    ("PUT", "/v1/second-factor"): lambda _: {"payments_from": None, "at_login": False},
    ("POST", "/v1/second-factor/confirmation"): lambda _: {"code": "123456"},
    ("POST", "/v1/second-factor/removal"): lambda _: {"password": PASSWORD},
    ("POST", "/v1/accounts"): lambda world: {
        "kind": "joint",
        "holders": [world.people["holder"].document, world.people["joint"].document],
    },
    ("POST", "/v1/payments"): lambda world: {"transfers": _transfers(world)},
    ("POST", "/v1/payments/batches"): lambda world: {
        "payments": [{"key": new_key(), "transfers": _transfers(world)}]
    },
    ("POST", "/v1/deposits"): _cash,
    ("POST", "/v1/withdrawals"): _cash,
    ("POST", "/v1/mandates"): lambda world: {
        "account": world.account,
        "initiator": world.there.ispb,
        "expires_at": "2099-01-01T00:00:00Z",
        "scopes": ["read"],
    },
    ("PUT", "/v1/accounts/{address}/limits"): lambda _: {"per_day": 1_000},
    ("POST", "/v1/links"): _link,
    ("PUT", "/v1/operator/peers/{ispb}/limit"): lambda _: {"limit": 1_000_000},
    ("POST", "/v1/operator/second-factor/removal"): lambda world: {"document": world.bank.someone().document},
    ("POST", "/v1/operator/operators"): lambda _: {
        "name": next(names),
        "role": "auditor",
        "token_hash": HASH,
    },
    ("POST", "/v1/operator/operators/{name}/token"): lambda _: {"token_hash": HASH},
}

PLACES: dict[tuple[str, str], Callable[[World], str]] = {
    ("DELETE", "/v1/sessions/{id}"): _session,
    ("DELETE", "/v1/links/{address}"): _linked,
    ("GET", "/v1/payments/{id}"): lambda world: str(world.payment),
    ("POST", "/v1/payments/{id}/approvals"): _payment_to_sign,
    ("POST", "/v1/mandates/{id}/approvals"): _mandate_to_sign,
    ("GET", "/v1/mandates/{id}"): _given,
    ("POST", "/v1/mandates/{id}/pause"): _given,
    ("POST", "/v1/mandates/{id}/resume"): _given,
    ("GET", "/v1/mandates/{id}/uses"): _given,
    ("DELETE", "/v1/mandates/{id}"): _given,
    ("POST", "/v1/operator/accounts/{address}/block"): _empty_account,
    ("POST", "/v1/operator/accounts/{address}/unblock"): _empty_account,
    ("POST", "/v1/operator/accounts/{address}/close"): _empty_account,
    ("PUT", "/v1/operator/peers/{ispb}/limit"): lambda world: world.there.ispb,
    ("GET", "/v1/operator/peers/{ispb}/heads"): lambda world: world.there.ispb,
    ("DELETE", "/v1/operator/operators/{name}"): _somebody,
    ("POST", "/v1/operator/operators/{name}/token"): _somebody,
    ("GET", "/v1/operator/proposals/{id}"): lambda _: "0" * 28,
    ("POST", "/v1/operator/proposals/{id}/approvals"): lambda _: "0" * 28,
    ("POST", "/v1/operator/proposals/{id}/rejections"): lambda _: "0" * 28,
}


def prepared(world: World, route: tuple[str, str]) -> tuple[str, Any]:
    """The path and the body of a call that is in order, with what it is about made ready."""
    _, path = route
    world.second_factors(on=route in WITH_SECOND_FACTOR)
    if "{" in path:
        start, end = path.index("{"), path.index("}") + 1
        place = PLACES[route](world) if route in PLACES else world.account
        path = path[:start] + place + path[end:]
    return path, BODIES[route](world) if route in BODIES else None


def call(world: World, route: tuple[str, str], token: str) -> Answer:
    path, body = prepared(world, route)
    return world.bank.call(route[0], path, body, key=new_key(), token=token, code=code_for(route))


def code_for(route: tuple[str, str]) -> str | None:
    return RECOVERY_CODE if route in WITH_SECOND_FACTOR else None


@pytest.fixture(scope="module")
def world(banks: Pair) -> World:
    return World(banks).with_staff()


@pytest.fixture(scope="module")
def world_of_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Where two people must agree, and there are two admins who can."""
    with pair(tmp_path_factory.mktemp("two"), two_person=TwoPerson(withdrawals_above=0)) as banks:
        ada, bea = banks.here.found_two("ada", "bea")
        banks.here.cashier = banks.here.agreed(ada, bea, "teller", "teller")
        yield World(banks, (ada, bea))


def test_every_route_is_in_the_table(bank: Door) -> None:
    described = {
        (method.upper(), path)
        for path, operations in document(bank.app.routes)["paths"].items()
        for method in operations
    }
    assert set(ROWS) == described | UNDESCRIBED


@pytest.mark.parametrize("who", [who for who in WHO if who not in ("nobody", "root2")])
@pytest.mark.parametrize("route", ROWS, ids=" ".join)
def test_who_may_call_what(world: World, route: tuple[str, str], who: str) -> None:
    token = world.fresh(who) if route == ("DELETE", "/v1/sessions/current") else world.tokens[who]
    answer = call(world, route, token=token)
    assert answer.status == ROWS[route][who], answer


@pytest.mark.parametrize("route", ROWS, ids=" ".join)
def test_what_is_left_to_root_where_two_people_must_agree(
    world_of_two: World, route: tuple[str, str]
) -> None:
    answer = call(world_of_two, route, token=OPERATOR)
    assert answer.status == ROWS[route]["root2"], answer


class Nobody(NamedTuple):
    """A caller whose token, if it has one, opens nothing."""

    what: str
    headers: list[tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def nobodies(world: World) -> dict[str, Nobody]:
    bank = world.bank

    def bearer(token: str) -> list[tuple[bytes, bytes]]:
        return [(b"authorization", f"Bearer {token}".encode())]

    ended = world.fresh("holder")
    assert bank.call("DELETE", "/v1/sessions/current", token=ended).status == 204
    former = bank.operator("former", "operator")
    assert bank.operate("DELETE", "/v1/operator/operators/former").status == 204
    replaced = bank.operator("forgetful", "operator")
    again = bank.call("POST", "/v1/operator/operators/forgetful/token", {}, token=replaced)
    assert again.status == 201
    seal = Seal(world.there.ispb, Ed25519PrivateKey.generate(), bank.node.bank.roster)
    signed = seal.sign_request(bank.ispb, b"", int(time.time()))
    ended_elsewhere = world.fresh("holder")
    assert bank.call("DELETE", "/v1/sessions/others", token=world.tokens["holder"]).status == 204
    shut_out = bank.someone()
    left_open = bank.call("POST", "/v1/sessions", {"document": shut_out.document, "password": PASSWORD})
    new = {"old_password": PASSWORD, "new_password": PASSWORD}
    assert bank.call("PUT", "/v1/customers/me/password", new, token=shut_out.token).status == 204
    mandate = world.mandate(bank, world.tokens["holder"], world.account, world.there.ispb, "read")
    expired_session, expired_token = world.fresh("holder"), bank.operator("late", "operator")
    callers = {
        "no token": [],
        "garbage": bearer("nobody"),
        "an operator whom there never was": bearer(f"op_nobody_{'x' * 43}"),
        "a session that was ended": bearer(ended),
        "a session that was ended from elsewhere": bearer(ended_elsewhere),
        "a session that a new password ended": bearer(left_open.json["token"]),
        "a session that has expired": bearer(expired_session),
        "a customer of another bank": bearer(world.there.someone().token),
        "a mandate's token": bearer(mandate["token"]),
        "an operator whose token has expired": bearer(expired_token),
        "an operator whose token was replaced": bearer(replaced),
        "an operator who was ended": bearer(former),
        "an operator of another bank": bearer(world.there.operator("mine", "operator")),
        "a peer, by its signature": [(name.encode(), value.encode()) for name, value in signed.items()],
    }
    return {what: Nobody(what, headers) for what, headers in callers.items()}


NOBODIES = (
    "no token",
    "garbage",
    "an operator whom there never was",
    "a session that was ended",
    "a session that was ended from elsewhere",
    "a session that a new password ended",
    "a session that has expired",
    "a customer of another bank",
    "a mandate's token",
    "an operator whose token has expired",
    "an operator whose token was replaced",
    "an operator who was ended",
    "an operator of another bank",
    "a peer, by its signature",
)
"""All that the fixture above makes: a test below says so."""
FAR_AHEAD_MS = 100 * 24 * 60 * 60 * 1000


def test_all_kinds_of_nobody_are_asked_for(nobodies: dict[str, Nobody]) -> None:
    assert tuple(nobodies) == NOBODIES


@pytest.mark.parametrize("what", NOBODIES)
@pytest.mark.parametrize("route", ROWS, ids=" ".join)
def test_what_is_open_to_nobody(
    world: World, nobodies: dict[str, Nobody], route: tuple[str, str], what: str
) -> None:
    path, body = prepared(world, route)
    clock = world.banks.banks.clock
    clock.ahead_ms = FAR_AHEAD_MS if "expired" in what else 0
    try:
        answer = world.bank.call(
            route[0], path, body, key=new_key(), headers=nobodies[what].headers, code=code_for(route)
        )
    finally:
        clock.ahead_ms = 0
    assert answer.status == ROWS[route]["nobody"], answer
