"""Banks that are killed, stand still or stay away, in the middle of payments: every payment is finished or undone."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.system.answers import created, found, problem, refused, settled
from tests.system.consortium import Consortium, Person, consortium, new_key, transfer
from tests.system.crowd import while_under_way
from tests.system.faults import Fault, happens_later, killed, stopped, trouble
from tests.system.patience import eventually
from tests.system.reconciliation import check_positions, check_rest, reconcile
from tests.system.workload import Town, ask


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Four banks that give a payment up after 2 s."""
    with consortium(tmp_path_factory.mktemp("shared") / "banks", deadline_ms=2_000) as circle:
        yield circle


@pytest.fixture
def circle(shared: Consortium) -> Iterator[Consortium]:
    """The same, which a test may leave in any state."""
    yield shared
    shared.mend()


# Under load, at random moments.


@pytest.mark.parametrize(("fault", "seed"), [(killed, 1), (stopped, 2)], ids=["killed", "stopped"])
def test_every_payment_has_one_outcome_and_it_is_the_one_that_was_told(
    circle: Consortium, fault: Fault, seed: int
) -> None:
    dice = random.Random(seed)
    town = Town(circle, 100_000)
    orders = town.orders(dice, 1_500)
    with trouble(fault, circle.banks, dice):
        ask(orders)
    outcomes = reconcile(circle, town, orders)
    assert outcomes["settled"] > 200, outcomes
    assert outcomes["refused"] > 50, outcomes


def test_when_a_bank_stays_away_the_others_finish_or_undo_what_it_had_begun_and_go_on(
    circle: Consortium,
) -> None:
    dice = random.Random(3)
    teller, holder, payee, lost = circle.banks
    ana = Person([teller], [teller, holder], 1_000)
    rui, shop = payee.someone("Rui Barbosa")
    town = Town(circle, 100_000)
    orders = town.orders(dice, 600)
    with happens_later(lost.kill, after_s=1.0):
        ask(orders, within_s=6)

    # Only what nobody but the lost bank can have decided is still in doubt, and that is its own customers' money.
    def settled_without_it() -> None:
        for bank in (teller, holder, payee):
            audit = bank.audit()
            assert all(doubt["witnesses"] == [lost.ispb] for doubt in audit["in_doubt"]), audit
            for person in town.people:
                assert person.at[bank].account(person.account[bank])["held"] == 0

    eventually(settled_without_it, within_s=60)

    # The others go on, and refuse what needs it.
    legs = [ana.transfer(teller, bank, shop, 100) for bank in (teller, holder)]
    settled(ana.at[teller].pay(*legs))
    rui.balance_becomes(shop, 200)
    answer = ana.at[teller].pay(*legs, ana.transfer(teller, teller, town.shops[3][1], 100))
    refused(answer, "bank_unreachable", lost.ispb)
    ana.balances_become(900, 900)
    rui.balance_becomes(shop, 200)

    lost.restart()
    reconcile(circle, town, orders)


# One payment, step by step.


def test_a_payment_whose_coordinator_died_is_ended_by_the_others(circle: Consortium) -> None:
    coordinator, holder, payee = circle.banks[:3]
    ana = Person([coordinator], [coordinator, holder], 1_000)
    rui, shop = payee.someone("Rui Barbosa")
    legs = [ana.transfer(coordinator, bank, shop, 100) for bank in (coordinator, holder)]
    payer, key = ana.at[coordinator], new_key()

    def pay_in_vain() -> None:
        with pytest.raises(httpx.TransportError):
            payer.pay(*legs, key=key)

    # The payee's bank stands still, so the payment waits for its answer; then the coordinator dies.
    def die_when_promised() -> None:
        ana.at[holder].hold_becomes(ana.account[holder], 100)
        coordinator.kill()
        payee.resume()

    with payee.paused():
        while_under_way(pay_in_vain, die_when_promised)

    # Nobody waits for its return.
    ana.at[holder].hold_becomes(ana.account[holder], 0)
    check_rest([holder, payee])

    coordinator.restart()
    circle.wait_connected()
    answer = payer.pay(*legs, key=key)
    refused(answer, answer.json()["code"])
    check_rest(circle.banks)
    ana.balances_become(1_000, 1_000)
    rui.balance_becomes(shop, 0)
    check_positions(circle.banks)


def test_a_payment_that_a_bank_is_too_slow_for_is_given_up_in_time(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")
    started = time.monotonic()
    with there.paused():
        answer = ana.pay(transfer(mine, far, 100))
    assert time.monotonic() - started < 4.0
    refused(answer, "deadline_passed", there.ispb)
    check_rest(circle.banks)
    ana.balance_becomes(mine, 1_000)
    rui.balance_becomes(far, 0)


def test_a_payment_to_a_bank_that_is_known_to_be_down_is_refused_at_once(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")
    there.kill()
    # It is known to be down from the first payment that did not get through.
    refused(ana.pay(transfer(mine, far, 100)), "bank_unreachable", there.ispb)
    assert there.ispb not in here.reaches()
    key = new_key()
    started = time.monotonic()
    told = refused(ana.pay(transfer(mine, far, 100), key=key), "bank_unreachable", there.ispb)
    assert time.monotonic() - started < 1.0
    assert here.positions()[there.ispb]["reachable"] is False

    there.restart()
    circle.wait_connected()
    assert refused(ana.pay(transfer(mine, far, 100), key=key), "bank_unreachable") == told
    settled(ana.pay(transfer(mine, far, 100)))
    rui.balance_becomes(far, 100)


def test_a_bank_is_ready_whatever_its_peers_do(circle: Consortium) -> None:
    here, *others = circle.banks
    for bank in others:
        bank.kill()
    here.kill()
    here.restart()
    (ana, mine), (_, near) = here.someone("Ana Maria", 1_000), here.someone("Bia Maria")
    settled(ana.pay(transfer(mine, near, 100)))


def test_what_is_known_of_a_bank_that_is_down_says_that_it_cannot_be_reached(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    holder, account = there.someone("Ana Maria", 1_000)
    payer = holder.at(here)
    _, shop = here.someone("Rui Barbosa")
    link = {"account": account, "mandate": holder.allow(account, here, scopes=["read", "pay"])["token"]}
    created(payer.call("POST", "/v1/links", link))
    there.kill()
    refused(payer.pay(transfer(account, shop, 100)), "bank_unreachable", there.ispb)

    (linked,) = found(payer.call("GET", "/v1/accounts", everywhere="true"))["accounts"]
    assert (linked["address"], linked["reachable"]) == (account, False)
    problem(payer.call("GET", f"/v1/payees/{account}"), 503, "unavailable")
    problem(payer.call("POST", "/v1/links", link), 503, "unavailable")


# A bank that forgot.


def test_a_bank_that_was_put_back_to_an_old_backup_says_so_and_stops(tmp_path: Path) -> None:
    with consortium(tmp_path / "banks", banks=2) as circle:
        here, there = circle.banks
        (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")
        there.kill()
        backup = {path: path.read_bytes() for path in there.database_files()}
        there.restart()
        circle.wait_connected()
        settled(ana.pay(transfer(mine, far, 300)))
        rui.balance_becomes(far, 300)

        there.kill()
        for path in there.database_files():
            path.unlink()
        for path, content in backup.items():
            path.write_bytes(content)
        there.start()

        def stopped_and_said_why() -> None:
            # Somebody speaks to it, and shows it what it had said.
            ana.pay(transfer(mine, far, 1))
            assert there.process.poll() not in (None, 0)

        eventually(stopped_and_said_why)
        assert "backup" in there.tail() or "earlier" in there.tail(), there.tail()
