"""The people of a bank at their terminals: named, paying out together, and read by an auditor; only `ciranda` commands."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ciranda.cli.demo import free_base_port
from tests.system.test_person import CIRANDA, MARIA, Terminal


class Staff:
    """Each has a terminal, and a token in a file of their own."""

    def __init__(self, consortium: Path, home: Path) -> None:
        self.terminal = Terminal(consortium, home)
        self.terminal.environment["CIRANDA_BANK"] = "ipe"
        self._home = home

    def draws(self, name: str) -> str:
        """The hash of the token."""
        return self.terminal.run("operator", "draw", name, "--file", self._home / f"{name}.token").strip()

    def run(self, who: str, *words: object, code: int = 0) -> str:
        return self.terminal.run(*words, "--operator-token-file", self._home / f"{who}.token", code=code)

    def ask(self, who: str, *words: object, code: int = 0) -> Any:
        return self.terminal.ask(*words, "--operator-token-file", self._home / f"{who}.token", code=code)

    def agree(self, first: str, second: str, *words: object) -> Any:
        proposal = self.ask(first, *words)
        assert proposal["status"] == "awaiting_approval"
        return self.ask(second, "proposal", "approve", proposal["id"])


@pytest.fixture(scope="module")
def staff(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staff]:
    """A bank where two people must agree, with two admins whom root has named."""
    folder, home = tmp_path_factory.mktemp("two") / "circle", tmp_path_factory.mktemp("staff")
    port = str(free_base_port())
    subprocess.run(
        [*CIRANDA, "init", str(folder), "--banks", "2", "--base-port", port, "--two-person"],
        check=True,
        capture_output=True,
    )
    with subprocess.Popen([*CIRANDA, "up", str(folder)], stdout=subprocess.PIPE, text=True) as up:
        try:
            assert up.stdout is not None
            assert any("All banks are up" in line for line in up.stdout)
            yield _named(Staff(folder, home))
        finally:
            up.terminate()


def _named(people: Staff) -> Staff:
    for name in ("ada", "bea"):
        token_hash = people.draws(name)
        people.terminal.run("operator", "add", name, "--role", "admin", "--token-hash", token_hash)
    for name, role in (("tina", "teller"), ("otto", "operator"), ("aldo", "auditor")):
        words = ("operator", "add", name, "--role", role, "--token-hash", people.draws(name))
        assert people.agree("ada", "bea", *words)["status"] == "done"
    return people


@pytest.fixture(scope="module")
def account(staff: Staff) -> str:
    staff.terminal.run("signup", "--document", MARIA, "--name", "Maria da Areia")
    address = str(staff.terminal.ask("open")["address"])
    staff.run("tina", "deposit", address, "5.000,00")
    return address


def test_a_large_withdrawal_is_paid_out_by_two(staff: Staff, account: str) -> None:
    assert "Paid out" in staff.run("tina", "withdraw", account, "1.000,00")
    assert staff.agree("tina", "otto", "withdraw", account, "1.000,01")["outcome"] == "done"
    assert staff.terminal.balance(account, "ipe") == 299_999
    assert "A second operator must approve it" in staff.run("tina", "withdraw", account, "4.000,00")
    (waiting, *_) = staff.ask("otto", "proposal", "list")["proposals"]
    said = staff.run("tina", "proposal", "approve", waiting["id"], code=1)
    assert "somebody else must approve it" in said
    assert "insufficient_funds" in staff.run("otto", "proposal", "approve", waiting["id"], code=1)


def test_an_account_is_blocked_by_one_and_unblocked_by_two(staff: Staff, account: str) -> None:
    assert "is blocked" in staff.run("otto", "operator", "block", account)
    proposal = staff.ask("otto", "operator", "unblock", account)
    assert "forbidden" in staff.run("tina", "proposal", "approve", proposal["id"], "--json", code=1)
    assert "rejected" in staff.run("otto", "proposal", "reject", proposal["id"])


def test_a_peers_limit_is_lowered_at_once(staff: Staff) -> None:
    assert staff.ask("otto", "peer", "limit", "10000002", "500,00")["limit"] == 50_000
    assert "A second operator" in staff.run("otto", "peer", "limit", "10000002", "600,00")


def test_whoever_is_ended_is_out_and_the_auditor_reads_it_all(staff: Staff, account: str) -> None:
    assert "no operator any more" in staff.run("ada", "operator", "end", "otto")
    assert staff.ask("otto", "operator", "list", code=1)["code"] == "unauthenticated"
    assert "may not use this call" in staff.run("aldo", "operator", "end", "ada", code=1)
    actions = staff.ask("aldo", "operator", "actions", "--limit", "1000")["actions"]
    did = [(one["operator"], one["action"], one["outcome"]) for one in reversed(actions)]
    assert did[:4] == [
        ("root", "add_operator", "done"),
        ("root", "add_operator", "done"),
        ("ada", "add_operator", "awaiting_approval"),
        ("bea", "approve", "done"),
    ]
    assert did[-3:] == [
        ("ada", "end_operator", "done"),
        ("otto", "trespass", "unauthenticated"),
        ("aldo", "trespass", "forbidden"),
    ]
    assert ("tina", "deposit", "done") in did
    assert {one["name"]: one["role"] for one in staff.ask("aldo", "operator", "list")["operators"]} == {
        "ada": "admin",
        "aldo": "auditor",
        "bea": "admin",
        "otto": "operator",
        "tina": "teller",
    }
