"""A bank that was filled looks as if its customers had come one by one."""

import asyncio
from pathlib import Path

import pytest

from ciranda.assembly import SystemDice, WallClock, bank_of
from ciranda.bench.fill import (
    CUSTOMERS_MAX,
    OPENING_BALANCE,
    address,
    customers_for,
    document,
    fill,
    fill_all,
)
from ciranda.cli.init import found
from ciranda.identity import VAULT, Ispb, parse_address, parse_document
from ciranda.settings import BANK, BankSettings, load
from ciranda.storage import make_store
from ciranda.storage.store import SqlStore

ACCOUNTS = 150


def store_of(settings: BankSettings) -> SqlStore:
    return make_store(settings.database, bank_of(settings), WallClock(), SystemDice())


def test_vault_customers_and_statements_agree(tmp_path: Path) -> None:
    member = next(iter(found(tmp_path / "c", banks=1, base_port=8100, database=None).members.values()))
    settings = load(tmp_path / "c" / member.slug / BANK)
    filled = fill(settings.folder / BANK, ACCOUNTS, None)

    async def look() -> None:
        store = store_of(settings)
        try:
            balance, payments = await store.trial_balance()
            assert (payments.refused, payments.in_doubt) == (0, 0)
            assert balance.customers == -balance.vault == ACCOUNTS * OPENING_BALANCE
            for account in range(ACCOUNTS):
                kept = await store.account(filled.address(account))
                assert kept is not None
                assert kept.balance == OPENING_BALANCE
                [line] = await store.entries(kept.id, limit=10)
                assert (line.entry.number, line.entry.amount, line.entry.balance) == (
                    1,
                    OPENING_BALANCE,
                    OPENING_BALANCE,
                )
                assert line.entry.counterpart == VAULT
        finally:
            store.close()

    asyncio.run(look())
    assert len(filled.tokens) == customers_for(ACCOUNTS) == 2


def test_each_account_of_the_others_gives_the_initiator_a_mandate(tmp_path: Path) -> None:
    roster = found(tmp_path / "c", banks=2, base_port=8100, database=None)
    files = [tmp_path / "c" / member.slug / BANK for member in roster.members.values()]
    first, second = asyncio.run(fill_all(files, 10, next(iter(roster.members))))
    assert first.mandates == []
    assert len(set(second.mandates)) == 10


def test_a_bigger_bank_is_filled_by_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciranda.bench.fill.FEW", 0)
    member = next(iter(found(tmp_path / "c", banks=1, base_port=8100, database=None).members.values()))
    [filled] = asyncio.run(fill_all([tmp_path / "c" / member.slug / BANK], 10, None))
    assert filled.accounts == 10


def test_addresses_and_documents_are_well_formed_and_different() -> None:
    bank = Ispb("10000001")
    addresses = [address(bank, account) for account in range(2_000)]
    assert len({parse_address(one) for one in addresses}) == 2_000
    documents = [document(customer) for customer in range(200)]
    assert len({parse_document(one) for one in documents}) == 200


def test_there_are_never_more_customers_than_the_generator_keeps_sessions_for() -> None:
    assert [customers_for(accounts) for accounts in (4, 1_000, 1_000_000)] == [2, 10, CUSTOMERS_MAX]
