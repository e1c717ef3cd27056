"""`ciranda audit --chain` on a bank that does not run, and whose file somebody has written to."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ciranda import settings
from ciranda.api.heads import _view
from ciranda.cli.demo import free_base_port
from ciranda.cli.init import found
from ciranda.cli.main import app
from ciranda.engine.bank import Bank
from ciranda.engine.input import ChangeAccount, Input
from ciranda.identity import Ispb, make_address
from ciranda.instant import Instant
from ciranda.storage import make_store
from ciranda.storage.store import SqlStore
from ciranda.wire.head import Hand
from tests.storage.book import (
    ANA,
    BIA,
    NOW,
    A,
    B,
    HandSetClock,
    SeededDice,
    customer,
    deposit,
    open_account,
    pay,
)
from tests.storage.forger import Forger
from tests.storage.test_operators import act

ONE, OTHER = make_address(A, "0001", "000001"), make_address(A, "0001", "000002")


class Ran:
    def __init__(self, *words: object) -> None:
        result = CliRunner().invoke(app, ["audit", *map(str, words), "--chain"])
        self.code, self.out = result.exit_code, result.output

    @property
    def first(self) -> str:
        """What is named first."""
        return self.out.splitlines()[1].strip()


class Victim:
    """Ipê: two accounts, three payments, an operator's action; and Jatobá, which holds a copy of its head."""

    def __init__(self, circle: Path) -> None:
        found(circle, banks=2, base_port=free_base_port(), database=None)
        self.circle, self.folder = circle, circle / "ipe"
        self.settings = settings.load(self.folder / "bank.toml")
        self.forger = Forger(self.folder / "bank.db")
        self.copies = circle / "copies.json"
        asyncio.run(self._live())

    async def _live(self) -> None:
        store, other = await self._open("ipe"), await self._open("jatoba")
        for document in (ANA, BIA):
            await store.add_customer(customer(document), "hash", None, None)
        batches: list[list[Input]] = [
            [open_account(1, ANA), open_account(2, ANA)],
            [deposit("cash", ONE, 1_000)],
            [pay("first", (ONE, OTHER, 100))],
            [act("root", ChangeAccount(account=OTHER, change="block"))],
            [act("root", ChangeAccount(account=OTHER, change="unblock"))],
            [pay("second", (ONE, OTHER, 200))],
        ]
        for batch in batches:
            await store.transact(batch)
        number, hash, _ = await store.chain(None)
        head = Hand(A, self.settings.roster, self.settings.signing_key).sign(number, hash, NOW)
        await other.keep_head(head, NOW, forget_before=Instant(0))
        self.copies.write_text(json.dumps({"heads": [_plain(_view(head, B))]}))
        await store.transact([pay("third", (ONE, OTHER, 300))])
        store.close()
        other.close()

    async def _open(self, slug: str) -> SqlStore:
        own = settings.load(self.circle / slug / "bank.toml")
        bank = Bank(ispb=own.ispb, roster=own.roster, mandate_secret=bytes(32))
        store = make_store(own.database, bank, HandSetClock(), SeededDice())
        await store.open()
        return store


def _plain(view: Any) -> dict[str, Any]:
    return {name: getattr(view, name) for name in view.__struct_fields__}


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path / "circle")


def test_a_bank_that_nobody_touched_holds(victim: Victim) -> None:
    ran = Ran(victim.circle)
    assert ran.code == 0, ran.out
    assert "1 copies of its heads" in ran.out
    assert "All holds" in ran.out
    assert Ran(victim.folder).code == Ran(victim.folder / "bank.toml", "--heads", victim.copies).code == 0


@pytest.mark.parametrize(
    ("forgery", "values", "named"),
    [
        ("UPDATE entries SET amount = amount + 1 WHERE number = 2 AND account = ?", [ONE], "entries E"),
        ("DELETE FROM payments WHERE id LIKE ?", ["%second"], "second was removed after folio"),
        ("UPDATE actions SET operator = ? WHERE action = 'block'", ["tina"], "actions "),
        (
            "UPDATE accounts SET floor = -1000000 WHERE id = ?",
            [ONE],
            f"accounts {ONE} was altered after folio",
        ),
        (
            "UPDATE accounts SET holders = ? WHERE id = ?",
            [BIA, ONE],
            f"accounts {ONE} was altered after folio",
        ),
        ("UPDATE secrets SET password_hash = ?", ["mine"], f"secrets {BIA} was altered after folio"),
        ("INSERT INTO holdings VALUES (?, ?)", [ANA, "vault"], f"holdings {ANA} vault was inserted"),
        ("DELETE FROM folios WHERE number = ?", [4], "folio 5 of 2026-11-23T"),
        ("UPDATE folios SET at = ? WHERE number = 3", [NOW + 1], "folio 3 of 2026-11-23T"),
    ],
)
def test_whatever_is_tampered_with_is_named(
    victim: Victim, forgery: str, values: list[Any], named: str
) -> None:
    victim.forger.do(forgery, *values)
    ran = Ran(victim.folder)
    assert ran.code == 1
    assert "the first that is not as it was written" in ran.out
    assert named in ran.out, ran.out


def test_banks_that_were_never_served_have_nothing_to_be_found(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--banks", "2"]).exit_code == 0
    told = Ran(tmp_path / "new")
    assert told.code == 0, told.out


def test_the_first_of_several_is_named_first(victim: Victim) -> None:
    for name in ("%third", "%first", "%second"):
        victim.forger.do("UPDATE payments SET description = 'x' WHERE id LIKE ?", name)
    assert "first was altered" in Ran(victim.folder).first


def test_a_history_that_was_written_anew_to_its_end_is_found_by_the_peers_copy_alone(victim: Victim) -> None:
    victim.forger.do("UPDATE payments SET clauses = replace(clauses, '100', '1') WHERE id LIKE '%first'")
    victim.forger.make_fit()
    assert Ran(victim.folder).code == 0
    for ran in (Ran(victim.circle), Ran(victim.folder, "--heads", victim.copies)):
        assert ran.code == 1
        assert (
            ran.first
            == "folio 9 is not what 10000002 has the bank's signature of 2026-11-23T02:13:20.000Z for"
        )


def test_in_json_it_says_what_was_found(victim: Victim) -> None:
    victim.forger.do("UPDATE actions SET operator = 'tina' WHERE action = 'block'")
    ran = Ran(victim.circle, "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["holds"], told["unread"]) == (1, False, {})
    (found,) = [found for proof in told["proofs"] for found in proof["found"]]
    assert (found["what"], found["table"], found["folio"]) == ("altered", "actions", 7)


def test_a_copy_without_the_banks_signature_is_told_and_proves_nothing_against_it(victim: Victim) -> None:
    copies = json.loads(victim.copies.read_text())
    copies["heads"][0]["hash"] = "00" * 32
    victim.copies.write_text(json.dumps(copies))
    ran = Ran(victim.folder, "--heads", victim.copies)
    assert ran.code == 1
    assert "in the hands of Jatobá, has not its signature" in ran.out
    assert "✓ Ipê" in ran.out


def test_a_key_that_the_roster_does_not_have_is_told(victim: Victim) -> None:
    (victim.folder / settings.SIGNING_KEY).unlink()
    stranger = settings.write_signing_key(victim.folder / settings.SIGNING_KEY)
    assert stranger != victim.settings.member.public_key
    hand = Hand(A, victim.settings.roster, settings.read_signing_key(victim.folder / settings.SIGNING_KEY))
    with closing(sqlite3.connect(victim.folder / "bank.db")) as connection:
        (hash,) = connection.execute("SELECT hash FROM folios WHERE number = 5").fetchone()
    view = _plain(_view(hand.sign(5, hash, NOW), Ispb("10000002")))
    victim.copies.write_text(json.dumps({"heads": [view]}))
    ran = Ran(victim.folder, "--heads", victim.copies)
    assert ran.code == 0
    assert "1 copies are signed with keys that the roster does not have now" in ran.out


def test_a_database_that_is_not_there_is_told_with_code_2_and_not_made(victim: Victim) -> None:
    for file in victim.folder.glob("bank.db*"):
        file.unlink()
    ran = Ran(victim.circle)
    assert ran.code == 2
    assert "Ipê could not be read" in ran.out
    assert "✓ Jatobá" in ran.out
    assert not (victim.folder / "bank.db").exists()


def test_heads_that_are_none_and_heads_without_the_chain_are_refused(victim: Victim) -> None:
    victim.copies.write_text("[]")
    assert Ran(victim.folder, "--heads", victim.copies).code == 2
    victim.copies.write_text(victim.copies.read_text())
    plain = CliRunner().invoke(app, ["audit", str(victim.circle), "--heads", str(victim.copies)])
    assert plain.exit_code == 2
