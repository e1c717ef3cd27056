"""Banks that are killed, stand still or stay away, in the middle of payments: every payment is finished or undone."""

import random
import threading
import time
from functools import partial

import pytest

from tests.system.answers import found, refused, settled
from tests.system.consortium import Consortium, Person, new_key, transfer
from tests.system.crowd import while_under_way
from tests.system.faults import Fault, killed, stopped, trouble
from tests.system.patience import eventually
from tests.system.reconciliation import check_positions, check_rest, reconcile
from tests.system.workload import Town, ask

# Under load, at random moments.


@pytest.mark.parametrize(("fault", "seed"), [(killed, 1), (stopped, 2)], ids=["killed", "stopped"])
def test_every_payment_has_one_outcome_and_it_is_the_one_that_was_told(
    fragile: Consortium, fault: Fault, seed: int
) -> None:
    dice = random.Random(seed)
    town = Town(fragile.banks, 100_000)
    orders = town.orders(dice, 2_500)
    with trouble(fault, fragile.banks, dice):
        ask(orders)
    outcomes = reconcile(fragile, town, orders)
    assert outcomes["settled"] > 200, outcomes
    assert outcomes["refused"] > 50, outcomes


def test_when_a_bank_stays_away_the_others_finish_or_undo_what_it_had_begun_and_go_on(
    fragile: Consortium,
) -> None:
    dice = random.Random(3)
    *living, lost = fragile.banks
    town = Town(fragile.banks, 100_000)
    orders = town.orders(dice, 600)
    loss = threading.Timer(1.0, lost.kill)
    loss.start()
    ask(orders, within_s=6)
    loss.join()

    # Only what nobody but the lost bank can have decided is still in doubt, and that is its own customers' money.
    def settled_without_it() -> None:
        for bank in living:
            audit = bank.audit()
            assert all(doubt["witnesses"] == [lost.ispb] for doubt in audit["in_doubt"]), audit
            for person in town.people:
                assert person.at[bank].account(person.account[bank])["held"] == 0

    eventually(settled_without_it, within_s=60)

    # The others go on, and refuse what needs it.
    ana = Person(living[:1], fragile.banks[:2], 1_000)
    (rui, shop), payer = living[2].someone("Rui Barbosa"), ana.at[living[0]]
    legs = [ana.transfer(living[0], bank, shop, 100) for bank in living[:2]]
    settled(payer.pay(*legs))
    rui.balance_becomes(shop, 200)
    answer = payer.pay(*legs, transfer(ana.account[living[0]], town.shops[3][1], 100))
    refused(answer, "bank_unreachable", lost.ispb)
    ana.balances_become(900, 900)
    rui.balance_becomes(shop, 200)

    lost.restart()
    fragile.wait_connected()
    settled(rui.pay(transfer(shop, ana.account[living[0]], 100)))
    settled(rui.pay(transfer(shop, ana.account[living[1]], 100)))
    ana.balances_become(1_000, 1_000)
    for bank, account in ana.account.items():
        cash = {"account": account, "amount": 1_000}
        settled(bank.operate("POST", "/v1/withdrawals", cash, key=new_key()))
    reconcile(fragile, town, orders)


# One payment, step by step.


def test_a_payment_whose_coordinator_died_is_ended_by_the_others(fragile: Consortium) -> None:
    coordinator, holder, payee = fragile.banks[:3]
    ana = Person([coordinator], [coordinator, holder], 1_000)
    rui, shop = payee.someone("Rui Barbosa")
    legs = [ana.transfer(coordinator, bank, shop, 100) for bank in (coordinator, holder)]
    payer, key = ana.at[coordinator], new_key()

    # The payee's bank stands still, so the payment waits for its answer; then the coordinator dies.
    def die_when_promised() -> None:
        ana.at[holder].hold_becomes(ana.account[holder], 100)
        coordinator.kill()
        payee.resume()

    payee.pause()
    while_under_way(lambda: pytest.raises(Exception, payer.pay, *legs, key=key), die_when_promised)

    # Nobody waits for its return.
    ana.at[holder].hold_becomes(ana.account[holder], 0)
    check_rest([holder, payee])

    coordinator.restart()
    fragile.wait_connected()
    answer = payer.pay(*legs, key=key)
    refused(answer, answer.json()["code"])
    check_rest(fragile.banks)
    ana.balances_become(1_000, 1_000)
    rui.balance_becomes(shop, 0)
    check_positions(fragile.banks)


def test_a_payment_that_a_bank_is_too_slow_for_is_given_up_in_time(fragile: Consortium) -> None:
    here, there = fragile.banks[:2]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")
    there.pause()
    started = time.monotonic()
    answer = ana.pay(transfer(mine, far, 100))
    took_s = time.monotonic() - started
    there.resume()
    refused(answer, "deadline_passed", there.ispb)
    assert 1.0 < took_s < 4.0
    check_rest(fragile.banks)
    ana.balance_becomes(mine, 1_000)
    rui.balance_becomes(far, 0)


def test_no_payment_waits_for_another_ones_slow_bank(fragile: Consortium) -> None:
    here, near, slow = fragile.banks[:3]
    ana, mine = here.someone("Ana Maria", 1_000)
    _, shop = here.someone("Rui Barbosa")
    _, bakery = near.someone("Rui Barbosa")
    _, far = slow.someone("Rui Barbosa")
    slow.pause()

    def pay_meanwhile() -> None:
        ana.hold_becomes(mine, 700)
        settled(ana.pay(transfer(mine, shop, 100)))
        settled(ana.pay(transfer(mine, bakery, 100)))
        refused(ana.pay(transfer(mine, shop, 101)), "insufficient_funds", here.ispb)
        assert ana.account(mine)["held"] >= 700
        slow.resume()

    settled(while_under_way(partial(ana.pay, transfer(mine, far, 700)), pay_meanwhile))
    ana.balance_becomes(mine, 100)


def test_a_payment_to_a_bank_that_is_known_to_be_down_is_refused_at_once(fragile: Consortium) -> None:
    here, there = fragile.banks[:2]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")
    there.kill()

    def known_to_be_down() -> None:
        assert not here.reaches(there)

    eventually(known_to_be_down)
    key = new_key()
    started = time.monotonic()
    told = refused(ana.pay(transfer(mine, far, 100), key=key), "bank_unreachable", there.ispb)
    assert time.monotonic() - started < 1.0
    assert here.positions()[there.ispb]["reachable"] is False

    there.restart()
    fragile.wait_connected()
    assert refused(ana.pay(transfer(mine, far, 100), key=key), "bank_unreachable") == told
    settled(ana.pay(transfer(mine, far, 100)))
    rui.balance_becomes(far, 100)


def test_a_bank_is_ready_whatever_its_peers_do(fragile: Consortium) -> None:
    here, *others = fragile.banks
    for bank in others:
        bank.kill()
    here.kill()
    here.restart()
    (ana, mine), (_, near) = here.someone("Ana Maria", 1_000), here.someone("Bia Maria")
    settled(ana.pay(transfer(mine, near, 100)))
    assert not any(peer["reachable"] for peer in found(here.call("GET", "/v1/bank"))["peers"])
