"""An account: what may be promised of it, and what may still come in."""

from msgspec.structs import replace

from ciranda.identity import VAULT, Ispb, clearing, make_address
from ciranda.instant import Instant
from ciranda.ledger.account import AccountKind, clearing_account, customers_account, vault
from ciranda.money import AMOUNT_MAX, BALANCE_MAX, OWN_BALANCE_MAX

BANK, PEER = Ispb("10000001"), Ispb("10000002")
ACCOUNT = customers_account(make_address(BANK, "0001", "1"), AccountKind.INDIVIDUAL, (), None, Instant(0))


def test_a_customer_has_available_what_is_not_held() -> None:
    assert replace(ACCOUNT, balance=100, held=30).available == 70


def test_a_peer_may_owe_as_much_as_the_credit_limit() -> None:
    owed = clearing_account(PEER, 1_000, Instant(0))
    assert owed.id == clearing(PEER)
    assert owed.available == 1_000
    assert replace(owed, balance=-400, held=100).available == 500


def test_the_vault_pays_out_more_than_all_customers_could_bring() -> None:
    cash = vault(Instant(0))
    assert cash.id == VAULT
    assert cash.available == OWN_BALANCE_MAX > 1_000 * AMOUNT_MAX


def test_what_is_on_its_way_takes_up_room() -> None:
    assert ACCOUNT.room == BALANCE_MAX
    assert replace(ACCOUNT, balance=5, incoming=7).room == BALANCE_MAX - 12


def test_an_account_with_anything_in_it_or_on_its_way_is_not_idle() -> None:
    assert ACCOUNT.idle
    assert not replace(ACCOUNT, balance=1).idle
    assert not replace(ACCOUNT, incoming=1).idle
    assert not replace(ACCOUNT, balance=1, held=1).idle
