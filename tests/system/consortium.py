"""A consortium of real banks: `ciranda init`, one `ciranda serve` a bank, and HTTP.

No process that is started here outlives the `with` block: each bank leads a process group of its own, and the whole
group is killed at the end, whatever state it is in.
"""

import contextlib
import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.system import documents
from tests.system.answers import Json, check_manners, created, found, settled
from tests.system.patience import eventually

CIRANDA = Path(sys.executable).with_name("ciranda")
PASSWORD = "uma senha bem comprida"
ANSWER_S = 30.0
STOP_S = 30.0

RUNNING: list["Consortium"] = []
"""Those whose logs are shown when a test fails."""


def ciranda(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [CIRANDA, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )


def transfer(source: str, target: str, amount: Any, mandate: str | None = None) -> Json:
    """One transfer of a payment's body. `amount` may be what no amount can be."""
    asked = {"source": source, "target": target, "amount": amount}
    return asked if mandate is None else {**asked, "mandate": mandate}


class Bank:
    """One bank: its processes, and its public API."""

    def __init__(self, folder: Path, entry: Mapping[str, str], workers: int) -> None:
        self.ispb = entry["ispb"]
        self.name = entry["name"]
        self.slug = entry["slug"]
        self.peer_url = entry["peer_url"]
        self.public_url = entry["public_url"]
        self.log = folder / f"{self.slug}.log"
        self.log_read = 0
        self.workers = workers
        self.settings_file = folder / self.slug / "bank.toml"
        self.command: list[str | Path] = [CIRANDA, "serve", self.settings_file, "--workers", str(workers)]
        self.environment: dict[str, str] = {}
        """What it is given beside ours."""
        self.operator = (folder / self.slug / "operator.token").read_text().strip()
        self._process: subprocess.Popen[bytes] | None = None
        self._orphans: list[psutil.Process] = []
        """Workers of a parent that was killed: they should be dead too."""
        self._of_thread = threading.local()

    # Its settings, before it starts.

    def set_roster(self, text: str, peer_listen: str) -> None:
        """From here on it has a roster of its own."""
        own = self.settings_file.with_name("consortium.toml")
        own.write_text(text)
        self._set("consortium", own.name)
        self._set("peer_listen", peer_listen)

    def set_database(self, url: str) -> None:
        self._set("database", url)

    def _set(self, name: str, value: str) -> None:
        text = self.settings_file.read_text()
        line = f'{name} = "{value}"'
        pattern = rf"^{name} = .*$"
        changed = (
            re.sub(pattern, line, text, flags=re.M) if re.search(pattern, text, re.M) else f"{text}\n{line}\n"
        )
        self.settings_file.write_text(changed)

    # Its processes.

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.slug} was never started"
        return self._process

    def children(self) -> list[psutil.Process]:
        """The workers, if there are several."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait_ready(self) -> None:
        def check() -> None:
            assert self.process.poll() is None, f"{self.slug} has ended: {self.tail()}"
            found(self.call("GET", "/health/ready"))

        eventually(check, within_s=60)

    def kill(self) -> None:
        """`kill -9`, in the middle of whatever it does."""
        if self.workers > 1:
            self._orphans += self.children()
        self.process.kill()
        self.process.wait(STOP_S)

    def pause(self) -> None:
        """SIGSTOP: it does nothing at all, but its sockets still accept what is sent."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still in the block, unless it is resumed before."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def restart(self) -> None:
        self.start()
        self.wait_ready()

    def database_files(self) -> list[Path]:
        """Of a bank on SQLite."""
        return sorted(self.settings_file.parent.glob("*.db*"))

    def close(self) -> None:
        """Kills whatever is left of it, and of what it started."""
        for orphan in self._orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_S)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4_000:] if self.log.exists() else ""

    # What can be asked of it.

    @property
    def http(self) -> httpx.Client:
        """A client for each thread, and a connection for each request: none is left over from before a crash, and
        all workers get their share."""
        client: httpx.Client | None = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = httpx.Client(
                base_url=self.public_url,
                timeout=ANSWER_S,
                limits=httpx.Limits(max_keepalive_connections=0),
                trust_env=False,
                verify=False,
            )
        return client

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str | None = None,
        raw: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        """One request, and an answer with the manners that all answers have. `raw` is sent in place of `body`."""
        sent = {} if headers is None else dict(headers)
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = self.http.request(method, path, content=raw, headers=sent, params=query or None)
        check_manners(answer)
        return answer

    def operate(
        self, method: str, path: str, body: Any = None, key: str | None = None, **query: Any
    ) -> httpx.Response:
        """The same, as the bank's operator."""
        return self.call(method, path, body, token=self.operator, key=key, **query)

    def deposit(self, account: str, amount: int) -> Json:
        order = {"account": account, "amount": amount}
        return settled(self.operate("POST", "/v1/deposits", order, key=new_key()))

    def audit(self) -> Json:
        return found(self.operate("GET", "/v1/operator/audit"))

    def positions(self) -> dict[str, Json]:
        """The position with each peer, by the peer's ISPB."""
        answer = found(self.operate("GET", "/v1/operator/positions"))
        return {position["ispb"]: position for position in answer["positions"]}

    def payments(self) -> dict[str, Json]:
        """Every payment that this bank knows, by id."""
        known: dict[str, Json] = {}
        query: Json = {"limit": 1000}
        while True:
            page = found(self.operate("GET", "/v1/operator/payments", **query))
            known |= {payment["id"]: payment for payment in page["payments"]}
            if page["next_cursor"] is None:
                return known
            query["after"] = page["next_cursor"]

    def reaches(self) -> set[str]:
        """The ISPBs of the peers that it believes to be up."""
        peers = found(self.call("GET", "/v1/bank"))["peers"]
        return {peer["ispb"] for peer in peers if peer["reachable"]}

    def sign_up(self, name: str, document: str | None = None) -> "Customer":
        """A new customer, logged in. A person, unless the document is a company's."""
        customer = Customer(self, name, document or documents.cpf())
        created(self.call("POST", "/v1/customers", customer.form()))
        customer.log_in()
        return customer

    def someone(self, name: str = "Ana Maria", balance: int = 0) -> tuple["Customer", str]:
        """A new person, and their individual account with this balance."""
        customer = self.sign_up(name)
        account = customer.open()
        if balance:
            self.deposit(account, balance)
        return customer, account


class Customer:
    """A customer of one bank, with a session there."""

    def __init__(self, bank: Bank, name: str, document: str) -> None:
        self.bank = bank
        self.name = name
        self.document = document
        self.token = ""

    def form(self) -> Json:
        """What signing up asks for."""
        return {"document": self.document, "name": self.name, "password": PASSWORD}

    def log_in(self) -> None:
        login = {"document": self.document, "password": PASSWORD}
        self.token = created(self.bank.call("POST", "/v1/sessions", login))["token"]

    def at(self, bank: Bank) -> "Customer":
        """The same person, as a new customer of another bank."""
        return bank.sign_up(self.name, self.document)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
        raw: bytes | None = None,
        **query: Any,
    ) -> httpx.Response:
        return self.bank.call(method, path, body, token=self.token, key=key, raw=raw, **query)

    def open(self, kind: str = "individual", **more: Any) -> str:
        """Opens an account and gives its address."""
        address = created(self.call("POST", "/v1/accounts", {"kind": kind, **more}))["address"]
        assert isinstance(address, str)
        return address

    def account(self, address: str) -> Json:
        return found(self.call("GET", f"/v1/accounts/{address}"))

    def balance(self, address: str) -> int:
        balance = self.account(address)["balance"]
        assert isinstance(balance, int)
        return balance

    def balance_becomes(self, address: str, balance: int) -> None:
        """Waits: the payer's bank answers its client first, and tells the payee's bank then."""

        def check() -> None:
            account = self.account(address)
            assert (account["balance"], account["held"]) == (balance, 0), account

        eventually(check)

    def hold_becomes(self, address: str, held: int) -> None:
        """Waits until a payment under way holds so much."""

        def check() -> None:
            assert self.account(address)["held"] == held

        eventually(check)

    def entries(self, address: str, **query: Any) -> list[Json]:
        """One page of the statement."""
        answer = found(self.call("GET", f"/v1/accounts/{address}/entries", **query))
        entries = answer["entries"]
        assert isinstance(entries, list)
        return entries

    def pay(self, *transfers: Json, key: str | None = None, **more: Any) -> httpx.Response:
        """Asks for a payment, under a new key unless one is given."""
        return self.call("POST", "/v1/payments", {"transfers": transfers, **more}, key=key or new_key())

    def payment(self, id: str) -> Json:
        return found(self.call("GET", f"/v1/payments/{id}"))

    def allow(self, account: str, initiator: Bank, **more: Any) -> Json:
        """Gives a mandate on the account to another bank."""
        order = {"account": account, "initiator": initiator.ispb, "expires_at": "2099-12-31T00:00:00.000Z"}
        return created(self.call("POST", "/v1/mandates", {**order, **more}))


class Person:
    """One human being: an individual account in each of `banks`, and each of `tellers` may be told to pay from all."""

    def __init__(self, tellers: Sequence[Bank], banks: Sequence[Bank], balance: int) -> None:
        document = documents.cpf()
        members = dict.fromkeys([*banks, *tellers])
        self.at = {bank: bank.sign_up("Ana Maria", document) for bank in members}
        self.account = {bank: self.at[bank].open() for bank in banks}
        self.mandate: dict[tuple[Bank, Bank], str] = {
            (teller, bank): self.at[bank].allow(account, teller)["token"]
            for teller in tellers
            for bank, account in self.account.items()
            if teller is not bank
        }
        if balance:
            for bank, account in self.account.items():
                bank.deposit(account, balance)

    def transfer(self, teller: Bank, source: Bank, target: str, amount: int) -> Json:
        """Out of the account at `source`, as `teller` must be asked for it."""
        return transfer(self.account[source], target, amount, self.mandate.get((teller, source)))

    def balances(self) -> list[int]:
        return [self.at[bank].balance(account) for bank, account in self.account.items()]

    def balances_become(self, *balances: int) -> None:
        for (bank, account), balance in zip(self.account.items(), balances, strict=True):
            self.at[bank].balance_becomes(account, balance)


class Consortium:
    """All banks of one folder."""

    def __init__(
        self, folder: Path, banks: int, database: str | None, workers: int, init: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        template = () if database is None else ("--database", database)
        port = _free_base_port(banks)
        made = ciranda("init", folder, "--banks", banks, "--base-port", port, *template, *init)
        assert made.returncode == 0, made.stdout + made.stderr
        roster = tomllib.loads(self.roster_file.read_text())
        self.banks = [Bank(folder, entry, workers) for entry in roster["bank"]]
        self._of = {bank.ispb: bank for bank in self.banks}

    @property
    def roster_file(self) -> Path:
        return self.folder / "consortium.toml"

    def set_deadline(self, deadline_ms: int) -> None:
        """Before the banks start: how long a payment may take until it is given up."""
        text, changes = re.subn(
            r"deadline_ms = \d+", f"deadline_ms = {deadline_ms}", self.roster_file.read_text()
        )
        assert changes == 1
        self.roster_file.write_text(text)

    def start(self) -> None:
        for bank in self.banks:
            bank.start()
        for bank in self.banks:
            bank.wait_ready()
        self.wait_connected()

    def wait_connected(self) -> None:
        """Until every bank believes every other to be up: each of its workers, as far as can be seen from outside."""

        def check() -> None:
            for bank in self.banks:
                for _ in range(1 if bank.workers == 1 else 8):
                    assert bank.reaches() == {peer.ispb for peer in self.banks if peer is not bank}, bank.slug

        eventually(check, within_s=30)

    def mend(self) -> None:
        """Whatever state the banks are in, they run and know each other."""
        for bank in self.banks:
            if bank.process.poll() is None:
                bank.resume()
            else:
                bank.start()
        for bank in self.banks:
            bank.wait_ready()
        self.wait_connected()

    def bank_of(self, address: str) -> Bank:
        return self._of[address.split(".")[0]]

    def met(self, entry: Mapping[str, str]) -> Bank:
        """A bank that was added to the folder, and is not started yet."""
        bank = self._of[entry["ispb"]] = Bank(self.folder, entry, self.banks[0].workers)
        self.banks.append(bank)
        return bank

    def money(self) -> int:
        """What all customers of all banks have together."""
        return sum(bank.audit()["balances"]["customers"] for bank in self.banks)

    def check_logs(self) -> None:
        """Since this was last asked, no bank stumbled over a mistake of its own, not even one that nobody was told."""
        for bank in self.banks:
            log = bank.log.read_text(errors="replace")
            news, bank.log_read = log[bank.log_read :], len(log)
            assert "Traceback" not in news, f"{bank.slug}: {news[-4_000:]}"

    def close(self) -> None:
        for bank in self.banks:
            bank.close()


@contextmanager
def consortium(
    folder: Path,
    banks: int = 4,
    *,
    deadline_ms: int | None = None,
    database: str | None = None,
    workers: int = 1,
    init: Sequence[str] = (),
    before_start: Callable[["Consortium"], None] | None = None,
) -> Iterator[Consortium]:
    """Banks that run and know each other, until the end of the block. `init`: more options for `ciranda init`."""
    circle = Consortium(folder, banks, database, workers, init)
    if deadline_ms is not None:
        circle.set_deadline(deadline_ms)
    if before_start is not None:
        before_start(circle)
    RUNNING.append(circle)
    try:
        circle.start()
        yield circle
        circle.check_logs()
    finally:
        RUNNING.remove(circle)
        circle.close()


def new_key() -> str:
    """An idempotency key that nobody has used."""
    return secrets.token_hex(16)


def _free_base_port(banks: int) -> int:
    """A port P such that P+1 … P+banks and P+101 … P+100+banks are free. Below those that the system gives out."""
    while True:
        base = random.randrange(10_000, 32_000)
        ports = [base + offset + bank for offset in (0, 100) for bank in range(1, banks + 1)]
        if all(map(_is_free, ports)):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
