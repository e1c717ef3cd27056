"""`ciranda doctor`: a bank where nothing is off, and a fault planted for each of its checks."""

import asyncio
import json
import resource
import shutil
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from ciranda import settings
from ciranda.cli import checkup
from ciranda.cli.demo import free_base_port
from ciranda.cli.init import found
from ciranda.cli.main import app
from ciranda.engine.bank import Bank
from ciranda.engine.input import Act, AddOperator
from ciranda.engine.operator import Role, TwoPerson
from ciranda.instant import Instant
from ciranda.node.people import SessionRules
from ciranda.node.second_factors import SecondFactorRules
from ciranda.storage import make_store
from tests.storage.book import HandSetClock, SeededDice
from tests.storage.forger import Forger

GIB = 2**30


class Machine:
    """What the doctor asks of the machine, as a test wants it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.clock(kept=True)
        self.disk(100 * GIB, 50 * GIB)
        self.files(65_536)
        self.filesystem("ext4")

    def clock(self, *, kept: bool) -> None:
        self._patch.setattr(checkup, "clock_is_kept", lambda: kept)

    def disk(self, total: int, free: int) -> None:
        self._patch.setattr(shutil, "disk_usage", lambda _: (total, total - free, free))

    def files(self, most: int) -> None:
        self._patch.setattr(resource, "getrlimit", lambda _: (most, most))

    def filesystem(self, kind: str) -> None:
        self._patch.setattr(checkup, "filesystem", lambda _: kind)

    def pragmas(self, *asked: str) -> None:
        self._patch.setattr(checkup, "PRAGMAS", asked)


class Patient(NamedTuple):
    bank: checkup.Bank
    machine: Machine

    def off(self, bank: checkup.Bank | None = None) -> dict[str, str]:
        return {check.name: off for check, off in checkup.examine(bank or self.bank) if off is not None}

    def with_settings(self, **changes: Any) -> checkup.Bank:
        return replace(self.bank, settings=replace(self.bank.settings, **changes))

    def with_rules(self, **changes: Any) -> checkup.Bank:
        return self.with_settings(people=replace(self.bank.settings.people, **changes))

    def with_urls(self, **urls: str) -> checkup.Bank:
        own = self.bank.settings
        member = replace(own.member, **urls)
        return self.with_settings(
            roster=replace(own.roster, members={**own.roster.members, own.ispb: member})
        )

    def without(self, *tables: str) -> checkup.Bank:
        written = {name: value for name, value in self.bank.written.items() if name not in tables}
        return replace(self.bank, written=written)


async def _name_two_admins(bank: settings.BankSettings) -> None:
    whole = Bank(ispb=bank.ispb, roster=bank.roster, mandate_secret=bytes(32), two_person=bank.two_person)
    store = make_store(bank.database, whole, HandSetClock(), SeededDice())
    await store.open()
    await store.transact(
        [
            Act(
                id=f"{number:028x}",
                by="root",
                deed=AddOperator(
                    name=name,
                    role=Role.ADMIN,
                    cash_limit=None,
                    token_hash=bytes(32),
                    expires_at=Instant(2**50),
                    founding=True,
                ),
            )
            for number, name in enumerate(("ada", "bea"))
        ]
    )
    store.close()


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """A bank alone on its machine, with everything on."""
    circle = tmp_path / "circle"
    found(circle, banks=3, base_port=free_base_port(), database=None, two_person=True)
    for slug in ("jatoba", "sumauma"):
        shutil.rmtree(circle / slug)
    with (circle / "ipe" / "bank.toml").open("a") as bank_toml:
        bank_toml.write("[limits]\n")
    own = settings.load(circle / "ipe" / "bank.toml")
    asyncio.run(_name_two_admins(own))
    bank = checkup.Bank(
        settings=own,
        written={
            "tls": {},
            "peer_tls": {},
            "backups": "in the vault of the second site",
        },
    )
    healthy = Patient(bank, Machine(monkeypatch))
    return Patient(
        healthy.with_urls(public_url="https://ipe.example", peer_url="https://peers.ipe.example"),
        healthy.machine,
    )


def test_nothing_is_off_where_everything_is_on(patient: Patient) -> None:
    assert patient.off() == {}


def _open_to_others(patient: Patient, name: str) -> checkup.Bank:
    (patient.bank.settings.folder / name).chmod(0o644)
    return patient.bank


def _another_banks_keys(patient: Patient) -> checkup.Bank:
    folder = patient.bank.settings.folder
    shutil.copytree(folder, folder.parent / "jatoba")
    return patient.bank


def _no_database(patient: Patient) -> checkup.Bank:
    Path(patient.bank.settings.database.removeprefix("sqlite:///")).unlink()
    return patient.bank


def _with_dispute(patient: Patient) -> checkup.Bank:
    Forger(Path(patient.bank.settings.database.removeprefix("sqlite:///"))).do(
        "INSERT INTO disputes VALUES ('10000002', '10000001', 7, x'00', 0, x'00', x'00', NULL, 0)"
    )
    return patient.bank


def _on_the_machine(change: Callable[[Machine], None]) -> Callable[[Patient], checkup.Bank]:
    def plant(patient: Patient) -> checkup.Bank:
        change(patient.machine)
        return patient.bank

    return plant


FAULTS: list[tuple[str, Callable[[Patient], checkup.Bank], str]] = [
    ("secrets", lambda patient: _open_to_others(patient, "bank.toml"), "bank.toml can be used by others"),
    ("secrets", lambda patient: _open_to_others(patient, "bank.db"), "bank.db can be used by others"),
    ("secrets", lambda patient: _open_to_others(patient, "operator.token"), "mode 0644"),
    ("secrets", lambda patient: _open_to_others(patient, "."), "is open to others"),
    ("own-keys", _another_banks_keys, "the keys of Jatobá"),
    ("tls", lambda patient: patient.with_urls(public_url="http://ipe.example"), "http://ipe.example"),
    ("peer-tls", lambda patient: patient.with_urls(peer_url="http://ipe.example"), "http://ipe.example"),
    (
        "listeners",
        lambda patient: replace(
            patient.without("tls"),
            settings=replace(
                patient.bank.settings, public_host="0.0.0.0", trusted_proxies=(ip_network("127.0.0.1"),)
            ),
        ),
        "the public listener takes plain HTTP at 0.0.0.0",
    ),
    (
        "listeners",
        lambda patient: replace(
            patient.without("peer_tls"), settings=replace(patient.bank.settings, peer_host="10.0.0.7")
        ),
        "the peers' listener takes plain HTTP at 10.0.0.7",
    ),
    ("limits", lambda patient: patient.with_settings(limits=None), "as much as is in them"),
    (
        "second-factor",
        lambda patient: patient.with_rules(second_factor=SecondFactorRules(payments_from=100_001)),
        "R$ 1.000,01",
    ),
    ("sessions", lambda patient: patient.with_rules(sessions=SessionRules(idle_s=3_601)), "nobody uses"),
    ("sessions", lambda patient: patient.with_rules(sessions=SessionRules(longest_s=43_201)), "lasts 43201"),
    ("proxies", lambda patient: patient.without("tls"), "the proxy's address"),
    ("two-person", lambda patient: patient.with_settings(two_person=None), "one operator alone"),
    ("durability", _on_the_machine(lambda machine: machine.filesystem("nfs4")), "nfs4"),
    ("durability", _on_the_machine(lambda machine: machine.filesystem("tmpfs")), "tmpfs"),
    (
        "durability",
        _on_the_machine(lambda machine: machine.pragmas("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF")),
        "synchronous=FULL",
    ),
    ("backups", lambda patient: patient.without("backups"), "nobody has noted"),
    ("history", lambda patient: _with_dispute(patient), "of 10000002 at folio 7, by the copy of 10000001"),
    ("clock", _on_the_machine(lambda machine: machine.clock(kept=False)), "clock"),
    (
        "witnesses",
        lambda patient: patient.with_settings(roster=replace(patient.bank.settings.roster, witnesses=1)),
        "1 of 3 witnesses",
    ),
    (
        "witnesses",
        lambda patient: patient.with_settings(
            roster=replace(
                patient.bank.settings.roster,
                members=dict(list(patient.bank.settings.roster.members.items())[:2]),
            )
        ),
        "has 2 banks",
    ),
    ("disk", _on_the_machine(lambda machine: machine.disk(100 * GIB, GIB - 1)), "1023 MiB are free"),
    ("disk", _on_the_machine(lambda machine: machine.disk(1_000 * GIB, 99 * GIB)), "9 %"),
    ("open-files", _on_the_machine(lambda machine: machine.files(1_024)), "1024 files"),
]


@pytest.mark.parametrize(("check", "plant", "says"), FAULTS, ids=[f"{f[0]}: {f[2]}" for f in FAULTS])
def test_a_planted_fault_is_found_by_its_check_and_no_other(
    patient: Patient, check: str, plant: Callable[[Patient], checkup.Bank], says: str
) -> None:
    off = patient.off(plant(patient))
    assert set(off) == {check}
    assert says in off[check]


def test_a_database_that_is_not_there_is_told_by_all_that_need_it_and_is_not_made(patient: Patient) -> None:
    off = patient.off(_no_database(patient))
    assert set(off) == {"schema", "operators", "two-person", "history"}
    assert "could not be found out" in off["operators"]
    assert not (patient.bank.settings.folder / "bank.db").exists()


def test_a_bank_where_everybody_is_root_is_told(tmp_path: Path, patient: Patient) -> None:
    found(tmp_path / "fresh", banks=3, base_port=free_base_port(), database=None, two_person=True)
    fresh = settings.load(tmp_path / "fresh" / "ipe" / "bank.toml")
    off = patient.off(replace(patient.bank, settings=replace(patient.bank.settings, database=fresh.database)))
    assert set(off) == {"operators", "two-person"}
    assert off["two-person"] == "only 0 of 2 admins are named"


def test_every_check_has_had_a_fault_planted() -> None:
    planted = {check for check, _, _ in FAULTS} | {"schema", "operators"}
    assert {check.name for check in checkup.CHECKS} == planted


# The command.


def ran(*words: object) -> Any:
    return CliRunner().invoke(app, ["doctor", *map(str, words)])


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    found(tmp_path / "circle", banks=2, base_port=free_base_port(), database=None)
    return tmp_path / "circle" / "ipe" / "bank.toml"


def test_what_init_makes_is_not_for_production_and_the_doctor_says_why(fresh: Path) -> None:
    result = ran(fresh)
    assert result.exit_code == 1
    assert "OFF  tls: customers find the bank at http://127.0.0.1" in result.stdout
    assert (
        result.stdout.count("     why: ") == result.stdout.count("     how: ") == result.stdout.count("OFF  ")
    )
    told = json.loads(ran(fresh, "--json").stdout)
    assert told["off"] == result.stdout.count("OFF  ")
    assert [one["check"] for one in told["findings"]] == [
        "settings",
        *(check.name for check in checkup.CHECKS),
    ]


def test_it_ends_with_0_only_where_nothing_is_off(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "CHECKS", [c for c in checkup.CHECKS if c.name in ("secrets", "schema")])
    result = ran(fresh)
    assert (result.exit_code, "Nothing is off." in result.stdout) == (0, True)
    fresh.chmod(0o640)
    assert ran(fresh).exit_code == 1


def _shared_key(circle: Path) -> None:
    text = (circle / "consortium.toml").read_text()
    first, second = (line for line in text.splitlines() if line.startswith("public_key"))
    (circle / "consortium.toml").write_text(text.replace(second, first))


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (lambda circle: (circle / "ipe" / "signing.key").chmod(0o644), "others may read it"),
        (lambda circle: (circle / "ipe" / "secret.key").unlink(), "no such file"),
        (_shared_key, "the same public_key"),
    ],
)
def test_settings_that_cannot_be_read_are_off(fresh: Path, plant: Callable[[Path], None], says: str) -> None:
    plant(fresh.parent.parent)
    result = ran(fresh, "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["check"] == "settings"
    assert says in finding["off"]


def test_the_kernel_is_asked_whether_the_clock_is_kept() -> None:
    assert checkup.clock_is_kept() in (True, False)
    assert checkup.filesystem(Path("/proc")) == "proc"


def test_two_person_is_read_from_bank_toml(tmp_path: Path) -> None:
    found(tmp_path / "two", banks=1, base_port=free_base_port(), database=None, two_person=True)
    path = tmp_path / "two" / "ipe" / "bank.toml"
    assert settings.load(path).two_person == TwoPerson(withdrawals_above=settings.WITHDRAWALS_ALONE)
    path.write_text(path.read_text().replace("two_person = true", "two_person = true\nwithdrawals_alone = 5"))
    assert settings.load(path).two_person == TwoPerson(withdrawals_above=5)
