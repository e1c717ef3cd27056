"""What happens on the lines between banks, honest or not, neither makes money nor loses any."""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.system.answers import Json, refused, settled
from tests.system.consortium import Consortium, Customer, consortium, transfer
from tests.system.reconciliation import check_positions, check_rest, reconcile
from tests.system.wiretap import Fate, Line, Lines, Saying, wiretap
from tests.system.workload import Town, ask


@pytest.fixture(scope="module")
def lines() -> Iterator[Lines]:
    with wiretap() as tapped:
        yield tapped


@pytest.fixture(scope="module")
def circle(lines: Lines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    folder = tmp_path_factory.mktemp("tapped") / "banks"
    with consortium(folder, deadline_ms=2_000, before_start=lines.tap) as banks:
        yield banks


class Scene(NamedTuple):
    """Ana, who has 1,000 at one bank, pays a shop's till at another."""

    circle: Consortium
    line: Line
    """To the shop's bank."""
    ana: Customer
    mine: str
    shop: Customer
    till: str

    def books(self) -> list[Json]:
        """All that the two banks would tell an auditor."""
        return [
            self.ana.bank.audit(),
            self.line.bank.audit(),
            self.ana.account(self.mine),
            self.shop.account(self.till),
        ]


@pytest.fixture
def scene(circle: Consortium, lines: Lines) -> Iterator[Scene]:
    here, there = circle.banks[:2]
    line = lines.to[there]
    yield Scene(circle, line, *here.someone("Ana Maria", 1_000), *there.someone("Rui Barbosa"))
    line.fate = lambda: Fate.PASSES
    circle.wait_connected()


@pytest.fixture
def overheard(scene: Scene) -> list[Saying]:
    """All that was said to the shop's bank while Ana paid 100: to promise it, and that it is settled."""
    scene.line.heard.clear()
    payment = settled(scene.ana.pay(transfer(scene.mine, scene.till, 100)))
    scene.shop.balance_becomes(scene.till, 100)
    check_rest(scene.circle.banks)
    said = [saying for saying in scene.line.heard if payment["id"].encode() in saying.body]
    assert len(said) >= 2
    return said


def test_what_was_said_before_changes_nothing_when_it_is_said_again(
    scene: Scene, overheard: list[Saying]
) -> None:
    before = scene.books()
    for saying in overheard * 3:
        assert scene.line.say(saying).status < 500
    assert scene.books() == before


def bigger(saying: Saying) -> Saying:
    """The same with another amount of money in it."""
    return saying._replace(body=saying.body.replace(b"100", b"900"))


def unsigned(saying: Saying) -> Saying:
    return saying._replace(
        headers=[(name, value) for name, value in saying.headers if name.lower() != "signature"]
    )


def signed_by_nobody(saying: Saying) -> Saying:
    headers = [(name, "x=:AAAA:" if name.lower() == "signature" else value) for name, value in saying.headers]
    return saying._replace(headers=headers)


def cut(saying: Saying) -> Saying:
    headers = [
        (name, str(len(saying.body) - 1) if name.lower() == "content-length" else value)
        for name, value in saying.headers
    ]
    return Saying(0, headers, saying.body[:-1])


@pytest.mark.parametrize("forge", [bigger, unsigned, signed_by_nobody, cut])
def test_what_was_altered_on_its_way_is_refused(
    scene: Scene, overheard: list[Saying], forge: Callable[[Saying], Saying]
) -> None:
    before = scene.books()
    forged = [forge(saying) for saying in overheard]
    assert any(altered != saying for altered, saying in zip(forged, overheard, strict=True))
    for altered, saying in zip(forged, overheard, strict=True):
        if altered != saying:
            answer = scene.line.say(altered)
            assert 400 <= answer.status < 500, answer
            assert dict(answer.headers)["content-type"] == "application/problem+json"
    assert scene.books() == before


def test_what_was_meant_for_one_bank_is_refused_by_another(
    scene: Scene, overheard: list[Saying], lines: Lines
) -> None:
    for other in (scene.circle.banks[0], scene.circle.banks[2]):
        before = [*scene.books(), other.audit()]
        for saying in overheard:
            assert 400 <= lines.to[other].say(saying).status < 500
        assert [*scene.books(), other.audit()] == before


@pytest.mark.parametrize("fate", [Fate.IS_LOST, Fate.ANSWER_IS_LOST, Fate.ANSWER_IS_GARBAGE])
def test_a_bank_that_cannot_be_understood_gets_no_money_and_keeps_none(scene: Scene, fate: Fate) -> None:
    scene.line.fate = lambda: fate
    answer = scene.ana.pay(transfer(scene.mine, scene.till, 100))
    body = refused(answer, answer.json()["code"])
    assert body["code"] in ("bank_unreachable", "deadline_passed", "aborted")
    scene.line.fate = lambda: Fate.PASSES
    check_rest(scene.circle.banks)
    scene.ana.balance_becomes(scene.mine, 1_000)
    scene.shop.balance_becomes(scene.till, 0)
    scene.circle.wait_connected()
    settled(scene.ana.pay(transfer(scene.mine, scene.till, 100)))
    scene.shop.balance_becomes(scene.till, 100)
    check_positions(scene.circle.banks)


def test_what_arrives_twice_happens_once(scene: Scene) -> None:
    scene.line.fate = lambda: Fate.COMES_TWICE
    settled(scene.ana.pay(transfer(scene.mine, scene.till, 100)))
    scene.ana.balance_becomes(scene.mine, 900)
    scene.shop.balance_becomes(scene.till, 100)
    check_rest(scene.circle.banks)
    check_positions(scene.circle.banks)


def test_on_bad_lines_every_payment_has_one_outcome_and_it_is_the_one_that_was_told(
    circle: Consortium, lines: Lines
) -> None:
    dice = random.Random(6)
    town = Town(circle, 100_000)
    orders = town.orders(dice, 600)
    bad = (
        [Fate.PASSES] * 90
        + [Fate.IS_LOST, Fate.ANSWER_IS_LOST, Fate.ANSWER_IS_GARBAGE] * 2
        + [Fate.COMES_TWICE] * 4
    )
    for line in lines.to.values():
        line.fate = lambda: dice.choice(bad)
    ask(orders)
    for line in lines.to.values():
        line.fate = lambda: Fate.PASSES
    outcomes = reconcile(circle, town, orders)
    assert outcomes["settled"] > 100, outcomes
    assert outcomes["refused"] > 10, outcomes
