"""Payments that are refused: each reason that can be met, who gives it, and that nothing has moved."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.system import documents
from tests.system.answers import ISO, Json, found, problem, refused, settled
from tests.system.consortium import Bank, Consortium, Customer, Person, transfer
from tests.system.patience import eventually

CREDIT_LIMIT = 10**12
NOWHERE = documents.address("99999999", "0001", "123456")


class Scene(NamedTuple):
    """Ana, who has 1,000 at `here` and 1,000 at `there`, and pays at `here`; and a shop at each."""

    here: Bank
    there: Bank
    ana: Person
    near: str
    far: str

    @property
    def payer(self) -> Customer:
        return self.ana.at[self.here]

    @property
    def mine(self) -> str:
        """Ana's account at `here`."""
        return self.ana.account[self.here]

    @property
    def away(self) -> str:
        """Ana's account at `there`."""
        return self.ana.account[self.there]

    @property
    def token(self) -> str:
        """The mandate to pay out of it."""
        return self.ana.mandate[self.here, self.there]

    def accounts(self) -> list[Json]:
        return [self.ana.at[bank].account(account) for bank, account in self.ana.account.items()]


class Case(NamedTuple):
    code: str
    by: str
    """Whose refusal it is: here, there, or either."""
    name: str
    order: Callable[[Scene], list[Json]]
    """Makes the scene ready, and gives the transfers to ask for."""


@pytest.fixture
def scene(circle: Consortium) -> Scene:
    here, there = circle.banks[:2]
    ana = Person([here], [here, there], 1_000)
    return Scene(here, there, ana, here.someone("Bia Maria", 50)[1], there.someone("Rui Barbosa", 50)[1])


def ruled(bank: Bank, verb: str, account: str) -> str:
    """The account, once the bank's operator has blocked or closed it."""
    found(bank.operate("POST", f"/v1/operator/accounts/{account}/{verb}"))
    return account


def unknown(bank: Bank) -> str:
    return documents.address(bank.ispb, "0001", "98765432")


def empty(bank: Bank) -> str:
    return bank.someone("Eva Maria")[1]


def rich(bank: Bank, account: str) -> str:
    bank.deposit(account, 3 * CREDIT_LIMIT)
    return account


CASES = [
    Case("zero_amount", "here", "nothing", lambda s: [transfer(s.mine, s.far, 0)]),
    Case(
        "zero_amount",
        "here",
        "nothing, in one of two transfers",
        lambda s: [transfer(s.mine, s.near, 10), transfer(s.mine, s.far, 0)],
    ),
    Case("same_account", "here", "to itself", lambda s: [transfer(s.mine, s.mine, 10)]),
    Case("same_account", "here", "to itself elsewhere", lambda s: [transfer(s.away, s.away, 10, s.token)]),
    Case("unknown_bank", "here", "to a bank that is no member", lambda s: [transfer(s.mine, NOWHERE, 10)]),
    Case("unknown_bank", "here", "from a bank that is no member", lambda s: [transfer(NOWHERE, s.near, 10)]),
    Case("not_permitted", "here", "from another's account", lambda s: [transfer(s.near, s.mine, 10)]),
    Case(
        "not_permitted", "here", "from an unknown account", lambda s: [transfer(unknown(s.here), s.mine, 10)]
    ),
    Case(
        "not_permitted",
        "either",
        "from elsewhere without a mandate",
        lambda s: [transfer(s.away, s.near, 10)],
    ),
    Case(
        "not_permitted", "either", "from another's account elsewhere", lambda s: [transfer(s.far, s.near, 10)]
    ),
    Case(
        "not_permitted",
        "either",
        "from an unknown account elsewhere",
        lambda s: [transfer(unknown(s.there), s.near, 10)],
    ),
    Case(
        "not_permitted",
        "there",
        "from one account under the mandate of another",
        lambda s: [transfer(s.far, s.near, 10, s.token)],
    ),
    Case(
        "not_permitted",
        "there",
        "from an unknown account under the mandate of another",
        lambda s: [transfer(unknown(s.there), s.near, 10, s.token)],
    ),
    Case(
        "unknown_account", "here", "to an unknown account", lambda s: [transfer(s.mine, unknown(s.here), 10)]
    ),
    Case(
        "unknown_account",
        "there",
        "to an unknown account elsewhere",
        lambda s: [transfer(s.mine, unknown(s.there), 10)],
    ),
    Case(
        "blocked_account",
        "here",
        "from a blocked account",
        lambda s: [transfer(ruled(s.here, "block", s.mine), s.near, 10)],
    ),
    Case(
        "blocked_account",
        "there",
        "from a blocked account elsewhere",
        lambda s: [transfer(ruled(s.there, "block", s.away), s.near, 10, s.token)],
    ),
    Case(
        "blocked_account",
        "here",
        "to a blocked account",
        lambda s: [transfer(s.mine, ruled(s.here, "block", s.near), 10)],
    ),
    Case(
        "blocked_account",
        "there",
        "to a blocked account elsewhere",
        lambda s: [transfer(s.mine, ruled(s.there, "block", s.far), 10)],
    ),
    Case(
        "closed_account",
        "here",
        "to a closed account",
        lambda s: [transfer(s.mine, ruled(s.here, "close", empty(s.here)), 10)],
    ),
    Case(
        "closed_account",
        "there",
        "to a closed account elsewhere",
        lambda s: [transfer(s.mine, ruled(s.there, "close", empty(s.there)), 10)],
    ),
    Case("insufficient_funds", "here", "more than there is", lambda s: [transfer(s.mine, s.near, 1_001)]),
    Case("insufficient_funds", "here", "too much, to elsewhere", lambda s: [transfer(s.mine, s.far, 1_001)]),
    Case(
        "insufficient_funds",
        "there",
        "too much, from elsewhere",
        lambda s: [transfer(s.away, s.near, 1_001, s.token)],
    ),
    Case(
        "insufficient_funds",
        "here",
        "too much, all together",
        lambda s: [transfer(s.mine, s.near, 600), transfer(s.mine, s.far, 600)],
    ),
    Case(
        "peer_limit_exceeded",
        "there",
        "more than banks lend each other",
        # Also if the other bank owes as much as it may at the moment.
        lambda s: [transfer(rich(s.here, s.mine), s.far, 2 * CREDIT_LIMIT + 1)],
    ),
    # Of several reasons the first in the list is given.
    Case("zero_amount", "here", "nothing, to itself", lambda s: [transfer(s.mine, s.mine, 0)]),
    Case("zero_amount", "here", "nothing, from another's account", lambda s: [transfer(s.near, s.mine, 0)]),
    Case(
        "same_account", "here", "from another's account to itself", lambda s: [transfer(s.near, s.near, 10)]
    ),
    Case("unknown_bank", "here", "from another's to no member", lambda s: [transfer(s.near, NOWHERE, 10)]),
    Case(
        "unknown_bank",
        "here",
        "too much, and to no member",
        lambda s: [transfer(s.mine, s.near, 5_000), transfer(s.mine, NOWHERE, 10)],
    ),
    Case(
        "not_permitted",
        "here",
        "from another's account to an unknown one",
        lambda s: [transfer(s.near, unknown(s.here), 10)],
    ),
    Case(
        "not_permitted",
        "here",
        "from another's blocked account",
        lambda s: [transfer(ruled(s.here, "block", s.near), s.mine, 10)],
    ),
    Case(
        "unknown_account",
        "here",
        "from a blocked to an unknown account",
        lambda s: [transfer(ruled(s.here, "block", s.mine), unknown(s.here), 10)],
    ),
    Case(
        "blocked_account",
        "here",
        "from a blocked to a closed account",
        lambda s: [transfer(ruled(s.here, "block", s.mine), ruled(s.here, "close", empty(s.here)), 10)],
    ),
    Case(
        "closed_account",
        "here",
        "too much, to a closed account",
        lambda s: [transfer(s.mine, ruled(s.here, "close", empty(s.here)), 5_000)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}: {case.name}" for case in CASES])
def test_a_refused_payment_says_why_and_by_whom_and_moves_nothing(scene: Scene, case: Case) -> None:
    transfers = case.order(scene)
    before = scene.accounts()
    problem = refused(scene.payer.pay(*transfers), case.code)
    here, there = {scene.here.ispb}, {scene.there.ispb}
    assert problem["bank"] in {"here": here, "there": there, "either": here | there}[case.by]

    payment = scene.payer.payment(problem["payment"])
    assert payment["status"] == "refused"
    refusal = payment["refusal"]
    assert (refusal["code"], refusal["iso"], refusal["bank"]) == (case.code, ISO[case.code], problem["bank"])
    assert isinstance(refusal["detail"], str)
    assert [(leg["source"], leg["target"], leg["amount"]) for leg in payment["transfers"]] == [
        (leg["source"], leg["target"], leg["amount"]) for leg in transfers
    ]

    def nothing_moved() -> None:
        assert scene.accounts() == before

    eventually(nothing_moved)


def test_a_refused_payment_is_seen_by_who_asked_for_it_and_the_operator_only(scene: Scene) -> None:
    id = refused(scene.payer.pay(transfer(scene.mine, scene.near, 1_001)), "insufficient_funds")["payment"]
    seen = scene.payer.payment(id)
    assert found(scene.here.operate("GET", f"/v1/payments/{id}")) == seen
    assert found(scene.payer.call("GET", "/v1/payments"))["payments"][0] == seen
    stranger = scene.here.sign_up("Eva Maria")
    problem(stranger.call("GET", f"/v1/payments/{id}"), 404, "not_found")


def test_what_each_bank_lends_another_is_used_up_to_the_last_centavo_and_given_back(
    circle: Consortium,
) -> None:
    here, there = circle.banks[2:4]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 2 * CREDIT_LIMIT), there.someone("Rui Barbosa")
    position = there.positions()[here.ispb]
    assert position["limit"] == CREDIT_LIMIT
    room = position["limit"] + position["balance"]
    refused(ana.pay(transfer(mine, far, room + 1)), "peer_limit_exceeded", there.ispb)

    settled(ana.pay(transfer(mine, far, room)))
    rui.balance_becomes(far, room)
    refused(ana.pay(transfer(mine, far, 1)), "peer_limit_exceeded", there.ispb)
    settled(rui.pay(transfer(far, mine, room)))
    ana.balance_becomes(mine, 2 * CREDIT_LIMIT)
