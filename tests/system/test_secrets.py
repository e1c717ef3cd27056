"""What a bank writes down, after a run that had everything in it: no password, no token, no code, no whole document.

Each bank talks as much as its libraries can. What is searched for is what really went over the wire; and the search is
shown to find what it looks for.
"""

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyotp
import pytest

from tests.system import documents
from tests.system.answers import created, found, problem, refused, settled
from tests.system.consortium import (
    PASSWORD,
    Bank,
    Consortium,
    Customer,
    ciranda,
    consortium,
    new_key,
    transfer,
)

TALKATIVE = Path(__file__).with_name("talkative")
WRONG_PASSWORD = "uma senha que ninguem tem"
NEW_PASSWORD = "outra senha bem comprida"
KEPT_FOR_THEIR_OWNER = {"signing.key", "signing.key.old", "secret.key", "operator.token", "bank.toml"}
"""Files that hold a secret because that is what they are for."""


class Written(NamedTuple):
    """What was said in secret, and what was written down."""

    secrets: dict[str, str]
    documents: dict[str, str]
    logs: dict[str, bytes]
    files: dict[str, bytes]
    """The database, and whatever else lies in the banks' folders."""
    modes: dict[str, int]
    """Of the files that hold secrets."""


def _punctuated(document: str) -> str:
    if len(document) == 11:
        return f"{document[:3]}.{document[3:6]}.{document[6:9]}-{document[9:]}"
    return f"{document[:2]}.{document[2:5]}.{document[5:8]}/{document[8:12]}-{document[12:]}"


class Run:
    """The run, which notes each secret as it is told or heard."""

    def __init__(self, circle: Consortium) -> None:
        self.circle = circle
        self.here, self.there = circle.banks
        self.secrets: dict[str, str] = {
            "a password": PASSWORD,
            "a wrong password": WRONG_PASSWORD,
            "a new password": NEW_PASSWORD,
        }
        self.people: list[Customer] = []
        self.printed = b""
        for bank in circle.banks:
            self.secrets[f"root's token at {bank.slug}"] = bank.operator
            self.secrets[f"the secret of {bank.slug}"] = (
                bank.settings_file.with_name("secret.key").read_text().strip()
            )
            self._note_key(bank)

    def _note_key(self, bank: Bank) -> None:
        pem = bank.settings_file.with_name("signing.key").read_text()
        body = "".join(line for line in pem.splitlines() if not line.startswith("-"))
        self.secrets[f"signing key {len(self.secrets)} of {bank.slug}"] = body

    def someone(self, bank: Bank, document: str, balance: int) -> tuple[Customer, str]:
        """They write their document with punctuation, as people do."""
        customer = Customer(bank, "Ana Maria", document)
        created(bank.call("POST", "/v1/customers", {**customer.form(), "document": _punctuated(document)}))
        customer.log_in()
        account = customer.open("individual" if len(document) == 11 else "business")
        if balance:
            bank.deposit(account, balance)
        self.people.append(customer)
        self.secrets[f"session {len(self.secrets)}"] = customer.token
        return customer, account

    def play(self) -> None:
        here, there = self.here, self.there
        ana, wallet = self.someone(here, documents.cpf(), 1_000_000)
        far, purse = self.someone(there, ana.document, 1_000_000)
        shop, till = self.someone(there, documents.cnpj(), 0)
        self.someone(here, documents.cnpj(letters=True), 100)
        bia, _ = self.someone(here, documents.cpf(), 0)
        settled(ana.pay(transfer(wallet, till, 100), description="two banks"))
        self._mandates(ana, wallet, far, purse, till)
        refused(ana.pay(transfer(wallet, till, 10**12)), "limit_exceeded", here.ispb)
        refused(bia.pay(transfer(wallet, till, 1)), "not_permitted", here.ispb)
        joint = ana.open("joint", holders=[ana.document, bia.document], signatures="all")
        here.deposit(joint, 500)
        waiting = ana.pay(transfer(joint, till, 5)).json()
        created(bia.call("POST", f"/v1/payments/{waiting['id']}/approvals"))
        self._second_factor(ana, wallet, till)
        self._strangers(bia)
        self._operators()
        new = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert far.call("PUT", "/v1/customers/me/password", new).status_code == 204
        self._keys()
        assert shop.balance(till) > 0
        for bank in self.circle.banks:
            bank.process.terminate()
        for bank in self.circle.banks:
            assert bank.process.wait(30) == 0, bank.tail()

    def _mandates(self, ana: Customer, wallet: str, far: Customer, purse: str, till: str) -> None:
        given = far.allow(purse, self.here, scopes=["pay", "read"])
        self.secrets["a mandate's token"] = given["token"]
        created(ana.call("POST", "/v1/links", {"account": purse, "mandate": given["token"]}))
        settled(ana.pay(transfer(purse, till, 10), transfer(wallet, till, 10)))
        settled(ana.pay(transfer(purse, till, 10, given["token"])))
        refused(ana.pay(transfer(purse, till, 1, "mNothing.nothing")), "not_permitted", self.there.ispb)

    def _second_factor(self, ana: Customer, wallet: str, till: str) -> None:
        made = created(ana.call("POST", "/v1/second-factor", {"password": PASSWORD}))
        device = pyotp.TOTP(made["secret"])
        self.secrets["the secret of a second factor"] = made["secret"]
        first = {"code": device.now()}
        codes = found(ana.call("POST", "/v1/second-factor/confirmation", first))["recovery_codes"]
        self.secrets |= {f"recovery code {place}": code for place, code in enumerate(codes)}
        dear = {"transfers": [transfer(wallet, till, 150_000)]}
        problem(ana.call("POST", "/v1/payments", dear, key=new_key()), 403, "second_factor_required")
        for code in (device.at(time.time() + 30), codes[0], "aaaa-bbbb-cccc-dddd"):
            headers = {"Second-Factor": code}
            self.here.call("POST", "/v1/payments", dear, token=ana.token, key=new_key(), headers=headers)

    def _strangers(self, bia: Customer) -> None:
        for _ in range(7):
            login = {"document": _punctuated(bia.document), "password": WRONG_PASSWORD}
            self.here.call("POST", "/v1/sessions", login)
        stolen = self.secrets["a stranger's token"] = f"op_nobody_{'Zz09' * 10}"
        problem(self.here.call("GET", "/v1/accounts", token=stolen), 401, "unauthenticated")
        form = b'{"document": "%s", "password": "%s"' % (bia.document.encode(), PASSWORD.encode())
        problem(self.here.call("POST", "/v1/sessions", raw=form), 400, "bad_request")
        for listener in (self.here.public_url, self.here.peer_url):
            answer = self.here.http.post(
                f"{listener}/peer/v1/messages",
                content=form,
                headers={"Authorization": f"Bearer {stolen}", "Ciranda-Sender": bia.document},
            )
            assert answer.status_code in (401, 404)
        problem(self.here.call("GET", f"/v1/accounts/{bia.document}?token={stolen}"), 401, "unauthenticated")

    def _operators(self) -> None:
        for name, role in (("tina", "teller"), ("aldo", "auditor")):
            named = created(self.here.operate("POST", "/v1/operator/operators", {"name": name, "role": role}))
            self.secrets[f"{name}'s token"] = named["token"]
        again = created(self.here.operate("POST", "/v1/operator/operators/tina/token", {}))
        self.secrets["tina's next token"] = again["token"]
        audit = self.here.call("GET", "/v1/operator/audit", token=self.secrets["aldo's token"])
        assert found(audit)["sum"] == 0
        forbidden = self.here.call("GET", "/v1/operator/audit", token=again["token"])
        problem(forbidden, 403, "forbidden")
        assert self.here.operate("DELETE", "/v1/operator/operators/tina").status_code == 204

    def _keys(self) -> None:
        file = self.here.settings_file
        for step in ("rotate", "switch"):
            self._print("keys", step, file)
            self._note_key(self.here)
        self._print("audit", self.circle.folder)
        self._print("doctor", file, code=1)

    def _print(self, *words: object, code: int = 0) -> None:
        done = ciranda(*words)
        assert done.returncode == code, done.stdout + done.stderr
        self.printed += (done.stdout + done.stderr).encode()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    def talkative(circle: Consortium) -> None:
        for bank in circle.banks:
            bank.environment["PYTHONPATH"] = str(TALKATIVE)
            with bank.settings_file.open("a") as settings:
                settings.write("\n[limits]\nper_transfer = 100000000\n")

    folder = tmp_path_factory.mktemp("secrets") / "banks"
    with consortium(folder, banks=2, before_start=talkative) as circle:
        run = Run(circle)
        run.play()
        logs = {bank.slug: bank.log.read_bytes() for bank in circle.banks}
        files = [file for file in folder.rglob("*") if file.is_file()]
        yield Written(
            secrets=run.secrets,
            documents={one.document: _punctuated(one.document) for one in run.people},
            logs={**logs, "what commands printed": run.printed},
            files={
                str(file.relative_to(folder)): file.read_bytes()
                for file in files
                if file.suffix != ".log" and file.name not in KEPT_FOR_THEIR_OWNER
            },
            modes={
                file.name: file.stat().st_mode & 0o777 for file in files if file.name in KEPT_FOR_THEIR_OWNER
            },
        )


def spellings(secret: str) -> list[bytes]:
    """As it is, and as the commonest encodings would show it."""
    plain = secret.encode()
    return [plain, base64.b64encode(plain)[:-4], plain.hex().encode(), plain.replace(b" ", b"+")]


def found_in(text: bytes, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() for one in spellings(secret) if one in text]


def test_the_banks_said_all_they_could(written: Written) -> None:
    for slug in ("ipe", "jatoba"):
        assert b"everything is said" in written.logs[slug]
    events = set(re.findall(rb'"event": "(\w+)"', b"".join(written.logs.values())))
    assert {b"serving", b"stopped", b"reloaded", b"attempts_blocked", b"second_factor_on"} <= events
    assert {b"password_changed", b"peer_request_refused"} <= events


def test_no_log_holds_a_password_a_token_a_code_or_a_key(written: Written) -> None:
    assert {name: found_in(log, written.secrets) for name, log in written.logs.items()} == {
        name: [] for name in written.logs
    }


def test_no_log_holds_a_whole_document(written: Written) -> None:
    for name, log in written.logs.items():
        for bare, punctuated in written.documents.items():
            assert bare.encode() not in log, name
            assert punctuated.encode() not in log, name
        # Nor one that nobody here has: whatever is written like one.
        assert not re.findall(rb"\b\d{3}\.\d{3}\.\d{3}-\d\d\b|\b\d\d\.\d{3}\.\d{3}/\d{4}-\d\d\b", log), name


def test_no_database_holds_a_password_a_token_a_code_or_a_key_as_it_is(written: Written) -> None:
    books = [name for name in written.files if ".db" in name]
    assert len(books) >= 2, written.files.keys()
    for name, text in written.files.items():
        assert found_in(text, written.secrets) == [], name
    secret = base64.b32decode(written.secrets["the secret of a second factor"])
    assert not [name for name, text in written.files.items() if secret in text]


def test_what_holds_a_secret_is_for_its_owner_alone(written: Written) -> None:
    assert set(written.modes) == KEPT_FOR_THEIR_OWNER
    assert set(written.modes.values()) == {0o600}


def test_the_search_finds_what_it_looks_for(written: Written) -> None:
    for name, secret in written.secrets.items():
        assert len(secret) >= 12, "so long that it is nowhere by chance"
        for spelling in spellings(secret):
            assert name in found_in(b"... " + spelling + b" ...", written.secrets)
    # The databases do hold what they should: customers' documents, and their sessions as hashes.
    books = b"".join(text for name, text in written.files.items() if ".db" in name)
    assert all(document.encode() in books for document in written.documents)
    tokens = [secret for name, secret in written.secrets.items() if name.startswith("session")]
    hashes = [hashlib.sha256(token.encode()) for token in tokens]
    assert any(one.digest() in books or one.hexdigest().encode() in books for one in hashes)
