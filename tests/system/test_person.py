"""A person at a terminal: from signing up to paying out of three banks at once, only with `ciranda` commands."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from ciranda.cli.demo import free_base_port
from tests.system import documents

PATIENCE_S = 120.0
CIRANDA = [sys.executable, "-m", "ciranda.cli.main"]
MARIA, JOAO, RUI, BAKERY = "111.444.777-35", "529.982.247-25", "168.995.350-09", "11.222.333/0001-81"
SLUGS = ("ipe", "jatoba", "sumauma", "buriti")


class Terminal:
    """A person's own terminal: their sessions, their language, the consortium that they use."""

    def __init__(self, consortium: Path, home: Path, lang: str = "en_GB.UTF-8") -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "CIRANDA_CONFIG_HOME": str(home),
            "CIRANDA_CONSORTIUM": str(consortium),
            "CIRANDA_PASSWORD": "quem nao sabe entrar na roda",
            "LANG": lang,
        }

    def run(self, *words: object, code: int = 0) -> str:
        """What the command said, on either stream; it must end with this code."""
        command = [*CIRANDA, *(str(word) for word in words)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask(self, *words: object, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def balance(self, account: str, bank: str) -> int:
        (found,) = [
            one for one in self.ask("accounts", "--bank", bank)["accounts"] if one["address"] == account
        ]
        return int(found["balance"])


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("system") / "circle"
    subprocess.run(
        [*CIRANDA, "init", str(folder), "--base-port", str(free_base_port())], check=True, capture_output=True
    )
    with subprocess.Popen([*CIRANDA, "up", str(folder)], stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert any("All banks are up" in line for line in up.stdout)
        yield folder
        up.terminate()


@pytest.fixture(scope="module")
def maria(consortium: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = Terminal(consortium, tmp_path_factory.mktemp("maria"))
    for slug in SLUGS[:3]:
        terminal.run("signup", "--bank", slug, "--document", MARIA, "--name", "Maria da Areia")
    return terminal


@pytest.fixture(scope="module")
def accounts(maria: Terminal) -> dict[str, str]:
    """Maria's account at each of three banks, with R$ 100,00 in it."""
    opened = {slug: maria.ask("open", "--bank", slug)["address"] for slug in SLUGS[:3]}
    for address in opened.values():
        maria.run("deposit", address, "100,00")
    return opened


@pytest.fixture(scope="module")
def bakery(consortium: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = Terminal(consortium, tmp_path_factory.mktemp("bakery"))
    terminal.run("signup", "--bank", "buriti", "--document", BAKERY, "--name", "Padaria da Praia")
    return terminal


@pytest.fixture(scope="module")
def till(bakery: Terminal) -> str:
    address: str = bakery.ask("open")["address"]
    return address


def test_a_person_pays_out_of_three_banks_at_once(
    maria: Terminal, accounts: dict[str, str], bakery: Terminal, till: str
) -> None:
    before = {slug: maria.balance(accounts[slug], slug) for slug in SLUGS[:3]}
    earned = bakery.balance(till, "buriti")
    paid = maria.ask(
        "pay",
        *("--from", f"{accounts['ipe']}=10,00"),
        *("--from", f"{accounts['jatoba']}=20.00"),
        *("--from", f"{accounts['sumauma']}=30"),
        *("--to", till, "--bank", "jatoba", "--description", "Pão"),
    )
    assert paid["status"] == "settled"
    assert paid["amount"] == 6000
    after = {slug: maria.balance(accounts[slug], slug) for slug in SLUGS[:3]}
    assert {slug: before[slug] - after[slug] for slug in after} == {
        "ipe": 1000,
        "jatoba": 2000,
        "sumauma": 3000,
    }
    # The client's answer does not wait until the last bank was told.
    patience_ends = time.monotonic() + PATIENCE_S
    while bakery.balance(till, "buriti") != earned + 6000:
        assert time.monotonic() < patience_ends


def test_a_person_pays_out_of_one_account_in_one_line(
    maria: Terminal, accounts: dict[str, str], till: str
) -> None:
    assert "Paid: R$ 1,50." in maria.run("pay", accounts["ipe"], till, "1,50")
    assert "-R$ 1,50" in maria.run("statement", accounts["ipe"])


def test_a_refused_payment_ends_with_code_1_and_its_reason(
    maria: Terminal, accounts: dict[str, str], till: str
) -> None:
    said = maria.run("pay", accounts["ipe"], till, "99999,00", code=1)
    assert "Refused by Ipê: The account has not enough money available." in said
    problem = maria.ask("pay", accounts["ipe"], till, "99999,00", code=1)
    assert (problem["code"], problem["bank"]) == ("insufficient_funds", "10000001")


def test_a_repeated_payment_with_its_key_has_one_effect(
    maria: Terminal, accounts: dict[str, str], till: str
) -> None:
    before = maria.balance(accounts["jatoba"], "jatoba")
    once = maria.ask("pay", accounts["jatoba"], till, "2", "--key", "bread-of-monday")
    again = maria.ask("pay", accounts["jatoba"], till, "2", "--key", "bread-of-monday")
    assert once["id"] == again["id"]
    assert maria.balance(accounts["jatoba"], "jatoba") == before - 200


def test_a_person_is_shown_who_would_be_paid(maria: Terminal, till: str) -> None:
    found = maria.ask("payee", till, "--bank", "ipe")
    assert found["name"].startswith("Pa")
    assert found["name"] != "Padaria da Praia"
    assert "Buriti" in maria.run("payee", till, "--bank", "ipe")


def test_a_person_links_an_account_and_pays_out_of_it(
    maria: Terminal, accounts: dict[str, str], till: str
) -> None:
    maria.run("link", "add", accounts["ipe"], "--bank", "sumauma")
    everywhere = maria.ask("accounts", "--bank", "sumauma", "--everywhere")["accounts"]
    assert {account["address"] for account in everywhere} == {accounts["ipe"], accounts["sumauma"]}
    assert accounts["ipe"] in maria.run("link", "list", "--bank", "sumauma")
    paid = maria.ask("pay", accounts["ipe"], till, "3", "--bank", "sumauma", "--key", "linked")
    assert paid["status"] == "settled"
    maria.run("link", "remove", accounts["ipe"], "--bank", "sumauma")
    assert "No links" in maria.run("link", "list", "--bank", "sumauma")


def test_a_person_gives_a_mandate_and_ends_it(maria: Terminal, accounts: dict[str, str]) -> None:
    words = ("--to", "buriti", "--per-payment", "10", "--total", "50,00", "--expires", "12h")
    given = maria.ask("mandate", "give", accounts["ipe"], *words)
    assert (given["per_payment"], given["total"], given["initiator"]) == (1000, 5000, "10000004")
    assert given["id"] in maria.run("mandate", "list", "--bank", "ipe")
    maria.run("mandate", "end", given["id"], "--bank", "ipe")


def test_cash_goes_in_and_out_at_the_teller(maria: Terminal, accounts: dict[str, str]) -> None:
    before = maria.balance(accounts["sumauma"], "sumauma")
    assert "Deposited: R$ 12,34." in maria.run("deposit", accounts["sumauma"], "12,34")
    assert "Paid out: R$ 2,34." in maria.run("withdraw", accounts["sumauma"], "2,34")
    assert maria.balance(accounts["sumauma"], "sumauma") == before + 1000
    assert "not enough money" in maria.run("withdraw", accounts["sumauma"], "99999", code=1)


def test_a_joint_account_has_its_holders(maria: Terminal, consortium: Path, tmp_path: Path) -> None:
    joao = Terminal(consortium, tmp_path / "joao", lang="pt_BR.UTF-8")
    assert "Boas-vindas ao Ipê, João." in joao.run(
        "signup", "--bank", "ipe", "--document", JOAO, "--name", "João"
    )
    assert "Você ainda não tem conta" in joao.run("accounts")
    opened = maria.ask("open", "joint", "--holder", MARIA, "--holder", JOAO, "--bank", "ipe")
    assert len(opened["holders"]) == 2
    assert opened["address"] in joao.run("accounts")


def test_holders_who_sign_together_approve_and_refuse_at_their_terminals(
    maria: Terminal, consortium: Path, tmp_path: Path, till: str
) -> None:
    rui = Terminal(consortium, tmp_path / "rui", lang="pt_BR.UTF-8")
    rui.run("signup", "--bank", "sumauma", "--document", RUI, "--name", "Rui")
    holders = ("--holder", MARIA, "--holder", RUI, "--signatures", "all", "--bank", "sumauma")
    casa = maria.ask("open", "joint", *holders)["address"]
    maria.run("deposit", casa, "10,00")
    assert "Nada aguarda sua aprovação." in rui.run("approvals")

    assert "All other holders of the account must approve: E10000003" in maria.run("pay", casa, till, "4")
    (awaiting,) = rui.ask("approvals")["approvals"]
    listed = rui.run("approvals")
    assert "Maria da Areia" in listed
    assert "R$ 4,00" in listed
    assert "Pago: R$ 4,00." in rui.run("approve", awaiting["id"])
    assert maria.ask("approve", awaiting["id"], "--bank", "sumauma")["status"] == "settled"
    assert "não é mais possível recusar" in rui.run("approve", awaiting["id"], "--refuse", code=1)

    refused = maria.ask("pay", casa, till, "1")["id"]
    assert "Recusado. Não vai acontecer." in rui.run("approve", refused, "--refuse")
    assert maria.ask("payments", refused, "--bank", "sumauma")["status"] == "refused"
    late = maria.ask("pay", casa, till, "7")["id"]
    assert "Recusado pelo Sumaúma: A conta não tem saldo" in rui.run("approve", late, code=1)

    given = maria.run("mandate", "give", casa, "--to", "jatoba")
    assert "All other holders of the account must approve" in given
    (mandate,) = rui.ask("approvals")["approvals"]
    assert mandate["kind"] == "mandate"
    assert "aguarda aprovação" in rui.run("mandate", "list")
    assert "Aprovado por todos" in rui.run("approve", mandate["id"])
    # In passing, as for accounts of one's own, no mandate of theirs can be given.
    assert "All holders of" in maria.run("pay", casa, till, "1", "--bank", "jatoba", code=2)
    assert "is neither a payment's id" in maria.run("approve", "x", "--bank", "sumauma", code=2)


def test_a_payment_can_be_looked_up(maria: Terminal, accounts: dict[str, str], till: str) -> None:
    paid = maria.ask("pay", accounts["sumauma"], till, "1")
    assert maria.ask("payments", paid["id"], "--bank", "sumauma")["id"] == paid["id"]
    assert paid["id"] in maria.run("payments", "--bank", "sumauma")


def test_a_wrong_password_is_refused_with_code_1(consortium: Path, tmp_path: Path, maria: Terminal) -> None:
    stranger = Terminal(consortium, tmp_path / "stranger")
    (tmp_path / "password").write_text("not the one it is\n")
    words = ("--bank", "ipe", "--document", MARIA, "--password-file", tmp_path / "password")
    stranger.run("login", *words, code=1)


def test_whoever_logs_out_must_log_in_again(consortium: Path, tmp_path: Path, maria: Terminal) -> None:
    elsewhere = Terminal(consortium, tmp_path / "elsewhere")
    elsewhere.run("login", "--bank", "ipe", "--document", MARIA)
    elsewhere.run("accounts")
    elsewhere.run("logout")
    elsewhere.run("accounts", "--bank", "ipe", code=2)


def test_the_books_are_in_order_after_all_this(maria: Terminal, consortium: Path) -> None:
    assert "All holds" in maria.run("audit", consortium)


def test_a_person_guards_their_money_with_a_second_factor(
    consortium: Path, till: str, tmp_path: Path
) -> None:
    document = documents.cpf()
    terminal, other = Terminal(consortium, tmp_path / "one"), Terminal(consortium, tmp_path / "other")
    terminal.run("signup", "--bank", "ipe", "--document", document, "--name", "Lia do Mar")
    account = terminal.ask("open", "--bank", "ipe")["address"]
    terminal.run("deposit", account, "5.000,00")
    made = terminal.ask("second-factor", "add")
    device = pyotp.TOTP(made["secret"])
    codes = terminal.ask("second-factor", "confirm", device.now())["recovery_codes"]
    assert "is on" in terminal.run("second-factor", "show")

    def pay(*more: object, code: int = 0) -> Any:
        return terminal.ask("pay", account, till, "1.500,00", *more, code=code)

    assert pay(code=1)["code"] == "second_factor_required"
    assert terminal.ask("pay", account, till, "5,00")["status"] == "settled"
    # The next one: this moment's has been used to confirm.
    assert pay("--code", device.at(time.time() + 30))["status"] == "settled"
    assert pay("--code", codes[0], code=0)["status"] == "settled"
    assert pay("--code", codes[0], code=1)["code"] == "second_factor_required"
    give = ("mandate", "give", account, "--to", "jatoba")
    terminal.run(*give, code=1)
    terminal.run(*give, "--code", codes[1])

    terminal.run("second-factor", "set", "--at-login", "--payments-from", "10,00", "--code", codes[2])
    login = ("login", "--bank", "ipe", "--document", document)
    assert other.ask(*login, code=1)["code"] == "second_factor_required"
    other.run(*login, "--code", codes[3])
    listed = terminal.ask("sessions", "list")["sessions"]
    assert [one["current"] for one in listed].count(True) == 1
    (others,) = [one["id"] for one in listed if not one["current"]]
    terminal.run("sessions", "end", code=2)
    terminal.run("sessions", "end", others)
    other.run("accounts", "--bank", "ipe", code=1)
    terminal.run("sessions", "end", "--others")
    assert "R$" in terminal.run("second-factor", "show")
    assert len(terminal.ask("second-factor", "recovery", "--code", codes[4])["recovery_codes"]) == 10
    fresh = tmp_path / "new password"
    fresh.write_text("outra roda na praia\n")
    terminal.run("password", "--new-password-file", fresh)
    terminal.run("password", "--new-password-file", fresh, code=1)
