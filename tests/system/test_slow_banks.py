"""Banks that take their time: what others can do meanwhile, and what stays promised."""

from functools import partial

from tests.system.answers import found, refused, settled
from tests.system.consortium import Consortium, transfer
from tests.system.crowd import while_under_way


def test_no_payment_waits_for_another_ones_slow_bank(circle: Consortium) -> None:
    here, near, slow = circle.banks[:3]
    ana, mine = here.someone("Ana Maria", 1_000)
    _, shop = here.someone("Rui Barbosa")
    _, bakery = near.someone("Rui Barbosa")
    _, far = slow.someone("Rui Barbosa")

    def pay_meanwhile() -> None:
        ana.hold_becomes(mine, 700)
        settled(ana.pay(transfer(mine, shop, 100)))
        settled(ana.pay(transfer(mine, bakery, 100)))
        refused(ana.pay(transfer(mine, shop, 101)), "insufficient_funds", here.ispb)
        assert ana.account(mine)["held"] >= 700
        slow.resume()

    with slow.paused():
        settled(while_under_way(partial(ana.pay, transfer(mine, far, 700)), pay_meanwhile))
    ana.balance_becomes(mine, 100)


def test_a_promise_is_kept_whatever_happens_to_the_account_or_the_mandate_after_it(
    circle: Consortium,
) -> None:
    teller, holder, slow = circle.banks[:3]
    ana, account = holder.someone("Ana Maria", 1_000)
    (bia, near), (rui, far) = holder.someone("Bia Maria"), slow.someone("Rui Barbosa")
    payer, mandate = ana.at(teller), ana.allow(account, teller)

    def change_everything_when_promised() -> None:
        ana.hold_becomes(account, 1_000)
        assert ana.call("DELETE", f"/v1/mandates/{mandate['id']}").status_code == 204
        assert holder.operate("POST", f"/v1/operator/accounts/{near}/close").status_code == 422
        for blocked in (account, near):
            found(holder.operate("POST", f"/v1/operator/accounts/{blocked}/block"))
        slow.resume()

    legs = [
        transfer(account, target, amount, mandate["token"]) for target, amount in ((near, 100), (far, 900))
    ]
    with slow.paused():
        settled(while_under_way(partial(payer.pay, *legs), change_everything_when_promised))
    ana.balance_becomes(account, 0)
    bia.balance_becomes(near, 100)
    rui.balance_becomes(far, 900)
