"""A bank's settings: what `init` writes can be read, and every mistake is told in one sentence, before a port is open."""

import base64
import contextlib
import json
import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ciranda.cli.init import found
from ciranda.engine.limits import Figures, LimitRules
from ciranda.identity import Ispb
from ciranda.money import OWN_BALANCE_MAX
from ciranda.node.people import USUAL_RULES
from ciranda.roster import Member, Roster
from ciranda.settings import (
    SettingsError,
    bank_toml,
    consortium_toml,
    load,
    load_consortium,
    raw_public,
    write_consortium,
    write_guarded,
    write_keys,
    write_signing_key,
)
from ciranda.tls import Contexts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "consortium"
    found(folder, banks=2, base_port=8100, database=None)
    return folder


@pytest.fixture
def consortium(made: Path, tmp_path: Path) -> Path:
    """A consortium of Ipê and Jatobá that a test may spoil."""
    shutil.copytree(made, tmp_path / "consortium")
    return tmp_path / "consortium"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_bank_loads_what_init_wrote(consortium: Path) -> None:
    bank = load(consortium / "ipe" / "bank.toml")
    assert bank.ispb == "10000001"
    assert bank.member.name == "Ipê"
    assert bank.database == f"sqlite:///{consortium}/ipe/bank.db"
    assert (bank.public_host, bank.public_port) == ("127.0.0.1", 8101)
    assert (bank.peer_host, bank.peer_port) == ("127.0.0.1", 8201)
    assert len(bank.secret) == 32
    assert len(bank.operator_token) == 43
    assert bank.credit_limits == {"10000002": 10**12}


def test_what_a_bank_asks_of_its_customers_is_its_own_affair(consortium: Path) -> None:
    path = consortium / "ipe" / "bank.toml"
    assert load(path).people == USUAL_RULES
    assert load(path).trusted_proxies == ()
    change(path, "database =", 'trusted_proxies = ["127.0.0.1", "10.0.0.0/24", "2001:db8::/32"]\ndatabase =')
    with path.open("a") as file:
        file.write(
            "\n[passwords]\nmemory_kib = 65536\n[sessions]\nidle_s = 600\n"
            "[attempts]\nfailures_per_address = 30\n[second_factor]\npayments_from = 0\n"
        )
    bank = load(path)
    assert [str(network) for network in bank.trusted_proxies] == [
        "127.0.0.1/32",
        "10.0.0.0/24",
        "2001:db8::/32",
    ]
    assert (bank.people.passwords.memory_kib, bank.people.passwords.passes) == (65_536, 2)
    assert (bank.people.sessions.idle_s, bank.people.sessions.longest_s) == (600, 43_200)
    assert bank.people.attempts.failures_per_address == 30
    assert bank.people.second_factor.payments_from == 0


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("[passwords]\nmemory_kib = 19455", "passwords.memory_kib"),
        ("[passwords]\npasses = 1", "passwords.passes"),
        ("[passwords]\npepper = 1", "pepper"),
        ("[sessions]\nidle_s = 0", "sessions.idle_s"),
        ("[attempts]\nfailures_per_address = 0", "attempts.failures_per_address"),
        ("[second_factor]\npayments_from = -1", "second_factor.payments_from"),
    ],
)
def test_no_bank_protects_its_customers_less_than_is_safe(consortium: Path, lines: str, named: str) -> None:
    path = consortium / "ipe" / "bank.toml"
    with path.open("a") as file:
        file.write(f"\n{lines}\n")
    with pytest.raises(SettingsError, match=named):
        load(path)


@pytest.mark.parametrize("proxy", ["nonsense", "10.0.0.1/24", "10.0.0.0/99", ""])
def test_a_proxy_that_is_no_network_is_a_mistake(consortium: Path, proxy: str) -> None:
    path = consortium / "ipe" / "bank.toml"
    change(path, "database =", f'trusted_proxies = ["{proxy}"]\ndatabase =')
    with pytest.raises(SettingsError, match="trusted_proxies"):
        load(path)


def test_two_banks_share_no_secret(consortium: Path) -> None:
    ipe, jatoba = (load(consortium / slug / "bank.toml") for slug in ("ipe", "jatoba"))
    assert ipe.secret != jatoba.secret
    assert ipe.operator_token != jatoba.operator_token
    assert ipe.member.public_key != jatoba.member.public_key


def test_settings_shown_in_a_log_show_no_secret(consortium: Path) -> None:
    bank = load(consortium / "ipe" / "bank.toml")
    assert bank.operator_token not in repr(bank)
    assert bank.secret.hex() not in repr(bank)


def test_the_consortium_has_its_documented_defaults(consortium: Path) -> None:
    written = tomllib.loads((consortium / "consortium.toml").read_text())
    assert (written["witnesses"], written["deadline_ms"], written["currency"]) == (3, 5000, "BRL")
    assert {bank["credit_limit"] for bank in written["bank"]} == {10**12}


def test_what_is_left_out_of_consortium_toml_has_a_default(consortium: Path) -> None:
    path = consortium / "consortium.toml"
    for line in (
        "witnesses = 3\n",
        "deadline_ms = 5000\n",
        "version = 1\n",
        "credit_limit = 1000000000000\n",
    ):
        change(path, line, "")
    roster = load_consortium(path)
    assert (roster.witnesses, roster.deadline_ms, roster.version) == (3, 5000, 1)
    assert roster.members[Ispb("10000001")].credit_limit == 10**12


def test_a_roster_survives_being_written_and_read_whatever_its_names(tmp_path: Path) -> None:
    member = Member(
        ispb=Ispb("1A2B3C4D"),
        name='Banco "do Povo" \\ Ação\x7f',
        slug="banco-do-povo",
        public_url="https://bank.example",
        peer_url="https://bank.example:8443",
        public_key=bytes(range(32)),
        credit_limit=0,
        next_public_key=bytes(range(1, 33)),
        standing="joining",
    )
    roster = Roster(
        name="Roda d'água",
        currency="BRL",
        version=7,
        witnesses=5,
        deadline_ms=3000,
        members={member.ispb: member},
    )
    path = tmp_path / "consortium.toml"
    path.write_text(consortium_toml(roster))
    assert load_consortium(path) == roster


def test_a_bank_is_found_through_a_relative_path_and_its_database_through_its_folder(
    consortium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(consortium / "jatoba")
    bank = load(Path("bank.toml"))
    assert bank.database == f"sqlite:///{consortium}/jatoba/bank.db"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sqlite:///book.db", "sqlite:///{folder}/book.db"),
        ("sqlite:////var/lib/ipe.db", "sqlite:////var/lib/ipe.db"),
        ("sqlite:///book.db?timeout=5", "sqlite:///{folder}/book.db?timeout=5"),
        ("postgresql://ipe@db.example:5432/ipe", "postgresql://ipe@db.example:5432/ipe"),
    ],
)
def test_a_relative_database_lies_in_the_banks_folder(consortium: Path, written: str, read: str) -> None:
    change(consortium / "ipe" / "bank.toml", "sqlite:///bank.db", written)
    folder = consortium / "ipe"
    assert load(folder / "bank.toml").database == read.format(folder=folder)


def test_a_bank_may_listen_elsewhere_than_where_it_is_known(consortium: Path) -> None:
    change(
        consortium / "ipe" / "bank.toml", '# public_listen = "0.0.0.0:8101"', 'public_listen = "0.0.0.0:80"'
    )
    change(consortium / "ipe" / "bank.toml", '# peer_listen = "0.0.0.0:8201"', 'peer_listen = "[::1]:81"')
    bank = load(consortium / "ipe" / "bank.toml")
    assert (bank.public_host, bank.public_port) == ("0.0.0.0", 80)
    assert (bank.peer_host, bank.peer_port) == ("::1", 81)
    assert bank.member.public_url == "http://127.0.0.1:8101"


def test_a_url_without_a_port_means_the_schemes_own(consortium: Path) -> None:
    change(consortium / "consortium.toml", "http://127.0.0.1:8101", "https://ipe.example")
    bank = load(consortium / "ipe" / "bank.toml")
    assert (bank.public_host, bank.public_port) == ("ipe.example", 443)


def test_a_bank_may_set_its_own_figure_for_a_peer(consortium: Path) -> None:
    change(
        consortium / "ipe" / "bank.toml",
        "# [credit_limits]\n# 10000002 = 50000000",
        "[credit_limits]\n10000002 = 7",
    )
    assert load(consortium / "ipe" / "bank.toml").credit_limits == {"10000002": 7}
    assert load(consortium / "jatoba" / "bank.toml").credit_limits == {"10000001": 10**12}


def test_limits_are_off_until_the_bank_switches_them_on(consortium: Path) -> None:
    path = consortium / "ipe" / "bank.toml"
    assert load(path).limits is None
    change(path, "# [limits]\n# per_night = 100000", "[limits]")
    none = Figures()
    assert load(path).limits == LimitRules(persons=Figures(per_night=100_000), companies=none)
    change(path, "[limits]", "[limits]\nper_transfer = 5\nper_night = 7\n[limits.companies]\nper_day = 0")
    persons = Figures(per_transfer=5, per_night=7)
    assert load(path).limits == LimitRules(persons=persons, companies=Figures(per_day=0))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "Ciranda"', 'name = "Ciranda', "not TOML"),
        ('name = "Ciranda"', "", "missing required field `name`"),
        ("witnesses = 3", "witnesses = 0", "witnesses"),
        ("witnesses = 3", 'witnesses = "3"', "witnesses"),
        ("witnesses = 3", "wittnesses = 3", "unknown field `wittnesses`"),
        ("deadline_ms = 5000", "deadline_ms = 5.5", "deadline_ms"),
        ('currency = "BRL"', 'currency = "R$"', "currency"),
        ('ispb = "10000001"', 'ispb = "1000001"', "an ISPB is 8 characters"),
        ('ispb = "10000001"', 'ispb = "10000002"', "the same ispb"),
        ('slug = "ipe"', 'slug = "jatoba"', "the same slug"),
        ('slug = "ipe"', 'slug = "../ipe"', "slug"),
        ("127.0.0.1:8101", "127.0.0.1:8102", "the same public_url"),
        ("127.0.0.1:8201", "127.0.0.1:8202", "the same peer_url"),
        ("http://127.0.0.1:8101", "127.0.0.1:8101", "not the URL of a bank"),
        ("http://127.0.0.1:8101", "http://127.0.0.1:81011", "not a URL"),
        ("credit_limit = 1000000000000", "credit_limit = -1", "credit_limit"),
        ("credit_limit = 1000000000000", f"credit_limit = {OWN_BALANCE_MAX + 1}", "credit_limit"),
        ('public_key = "', 'public_key = "%', "not base64"),
        ('public_key = "', 'public_key = "AAAA', "not an Ed25519 key of 32 bytes"),
        ("credit_limit = 1000000000000", 'next_public_key = "AAAA"', "not an Ed25519 key of 32 bytes"),
        ("credit_limit = 1000000000000", 'standing = "gone"', "standing"),
    ],
)
def test_a_mistake_in_consortium_toml_is_told(consortium: Path, old: str, new: str, says: str) -> None:
    path = consortium / "consortium.toml"
    change(path, old, new)
    with pytest.raises(SettingsError, match=says) as error:
        load(consortium / "ipe" / "bank.toml")
    assert "consortium.toml" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('ispb = "10000001"', 'ispb = "10000009"', "no bank of the consortium"),
        ('ispb = "10000001"', 'ispb = "ipe"', "an ISPB is 8 characters"),
        ('ispb = "10000001"', 'ispb = "10000002"', "not the key that the consortium knows Jatobá by"),
        ('ispb = "10000001"', "ispb = 10000001", "ispb"),
        ('ispb = "10000001"', "ispb", "not TOML"),
        ("../consortium.toml", "../elsewhere.toml", "no such file"),
        ("sqlite:///bank.db", "bank.db", "not a URL"),
        ("sqlite:///bank.db", "sqlite://", "names no file"),
        ("sqlite:///bank.db", "sqlite:///:memory:", "names no file"),
        ('# public_listen = "0.0.0.0:8101"', 'public_listen = "8101"', "not a place to listen at"),
        ('# public_listen = "0.0.0.0:8101"', 'public_listen = "0.0.0.0:99999"', "not a place to listen at"),
        (
            '# public_listen = "0.0.0.0:8101"',
            'public_listen = "http://0.0.0.0:80"',
            "not a place to listen at",
        ),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            "[credit_limits]\n10000001 = 5",
            "is no peer of this bank",
        ),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            "[credit_limits]\njatoba = 5",
            "an ISPB is 8 characters",
        ),
        ("# [credit_limits]\n# 10000002 = 50000000", "[credit_limits]\n10000002 = -5", "credit_limits"),
        ("# [limits]", "[limits]\nper_nite = 5", "unknown field `per_nite`"),
        ("# [limits]", "[limits]\nper_day = -5", "per_day"),
        ("# [limits]", "[limits.companies]\nper_day = 10.5", "per_day"),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            "peer_requests_per_s = 0",
            "peer_requests_per_s",
        ),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            '[tls]\ncertificate = "tls.crt"',
            "missing required field `key`",
        ),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            '[tls]\ncertificate = "tls.crt"\nkey = "tls.key"',
            "tls.crt: there is no such file",
        ),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            '[tls]\ncertificate = "bank.toml"\nkey = "secret.key"',
            "is at an https URL",
        ),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            '[peer_tls]\ncertificate = "bank.toml"',
            "go together",
        ),
        ("# [credit_limits]\n# 10000002 = 50000000", "[peer_tls]\nmutual = true", "mutual needs"),
        (
            "# [credit_limits]\n# 10000002 = 50000000",
            '[peer_tls]\nauthority = "no.crt"',
            "no.crt: there is no such file",
        ),
    ],
)
def test_a_mistake_in_bank_toml_is_told(consortium: Path, old: str, new: str, says: str) -> None:
    change(consortium / "ipe" / "bank.toml", old, new)
    with pytest.raises(SettingsError, match=says):
        load(consortium / "ipe" / "bank.toml")


@pytest.mark.parametrize("name", ["bank.toml", "signing.key", "operator.token", "secret.key"])
def test_a_missing_file_is_told_by_its_name(consortium: Path, name: str) -> None:
    (consortium / "ipe" / name).unlink()
    with pytest.raises(SettingsError, match=rf"ipe/{name}: there is no such file"):
        load(consortium / "ipe" / "bank.toml")


@pytest.mark.parametrize("name", ["signing.key", "operator.token", "secret.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_may_read_is_refused(consortium: Path, name: str, mode: int) -> None:
    (consortium / "ipe" / name).chmod(mode)
    with pytest.raises(SettingsError, match="others may read it"):
        load(consortium / "ipe" / "bank.toml")


@pytest.mark.parametrize("name", ["signing.key", "operator.token", "secret.key"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\x00\xfe"])
def test_a_spoilt_key_is_told(consortium: Path, name: str, content: bytes) -> None:
    (consortium / "ipe" / name).write_bytes(content)
    with pytest.raises(SettingsError, match=name):
        load(consortium / "ipe" / "bank.toml")


def test_another_banks_key_is_refused(consortium: Path) -> None:
    shutil.copy(consortium / "jatoba" / "signing.key", consortium / "ipe" / "signing.key")
    with pytest.raises(SettingsError, match="not the key that the consortium knows Ipê by"):
        load(consortium / "ipe" / "bank.toml")


def test_a_bank_starts_with_either_of_its_two_keys(consortium: Path) -> None:
    folder = consortium / "ipe"
    public_key = write_signing_key(folder / "signing.key.next")
    text = f'next_public_key = "{base64.b64encode(public_key).decode()}"\ncredit_limit = 1000000000000'
    change(consortium / "consortium.toml", "credit_limit = 1000000000000", text)
    assert raw_public(load(folder / "bank.toml").signing_key) != public_key
    (folder / "signing.key.next").replace(folder / "signing.key")
    assert raw_public(load(folder / "bank.toml").signing_key) == public_key


def test_a_key_that_stands_in_the_roster_twice_is_told(consortium: Path) -> None:
    path = consortium / "consortium.toml"
    theirs = base64.b64encode(load_consortium(path).members[Ispb("10000002")].public_key).decode()
    change(
        path, "credit_limit = 1000000000000", f'credit_limit = 1000000000000\nnext_public_key = "{theirs}"'
    )
    with pytest.raises(SettingsError, match="stands there twice"):
        load_consortium(path)


def test_a_roster_is_replaced_whole_or_not_at_all(consortium: Path) -> None:
    path = consortium / "consortium.toml"
    before, roster = path.read_bytes(), load_consortium(path)
    with pytest.raises(SettingsError):
        write_consortium(path, replace(roster, currency="R$"))
    assert path.read_bytes() == before
    write_consortium(path, replace(roster, version=2))
    assert load_consortium(path).version == 2
    assert sorted(file.name for file in consortium.iterdir()) == ["consortium.toml", "ipe", "jatoba"]


def test_init_with_tls_gives_each_bank_a_certificate_that_only_it_can_use(tmp_path: Path) -> None:
    folder = tmp_path / "consortium"
    found(folder, banks=2, base_port=8100, database=None, tls=True)
    ipe, jatoba = (load(folder / slug / "bank.toml") for slug in ("ipe", "jatoba"))
    for bank in (ipe, jatoba):
        assert bank.member.public_url.startswith("https://127.0.0.1:")
        assert bank.tls is not None
        Contexts(bank)
    assert ipe.tls is not None
    assert jatoba.tls is not None
    ipe.tls.key.write_bytes(jatoba.tls.key.read_bytes())
    with pytest.raises(SettingsError, match="is not a certificate that"):
        Contexts(ipe)
    ipe.tls.key.chmod(0o640)
    with pytest.raises(SettingsError, match="others may read it"):
        load(folder / "ipe" / "bank.toml")


ENTRY = {
    "ispb": "10000001",
    "name": "Ipê",
    "slug": "ipe",
    "public_url": "http://127.0.0.1:8101",
    "peer_url": "http://127.0.0.1:8201",
    "public_key": "A" * 43 + "=",
    "credit_limit": 5,
    "next_public_key": "B" * 42 + "E=",
    "standing": "left",
}
values = st.sampled_from(
    ['"', "[", "]]", "http://[", "http://a:99999999", "=", "é", "\0", "0", "-1", "9" * 30]
) | st.text(max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sorted(ENTRY)), values), st.binary(max_size=20))
def test_any_roster_is_read_or_refused_with_one_sentence(
    tmp_path: Path, damage: dict[str, str], tail: bytes
) -> None:
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in (ENTRY | damage).items()]
    path = tmp_path / "consortium.toml"
    text = "\n".join(['name = "Ciranda"', "[[bank]]", *lines, ""])
    path.write_bytes(text.encode("utf-8", "surrogatepass") + tail)
    with contextlib.suppress(SettingsError):
        roster = load_consortium(path)
        path.write_text(consortium_toml(roster))
        assert load_consortium(path) == roster


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_a_roster_or_refused_with_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "consortium.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError):
        load_consortium(path)


def test_a_key_file_is_closed_to_others_and_never_written_over(tmp_path: Path) -> None:
    write_keys(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    with pytest.raises(FileExistsError):
        write_guarded(tmp_path / "signing.key", b"another")


def test_a_bank_toml_is_read_as_it_was_written(consortium: Path) -> None:
    assert tomllib.loads(bank_toml(Ispb("10000001"), "sqlite:///bank.db")) == {
        "ispb": "10000001",
        "consortium": "../consortium.toml",
        "database": "sqlite:///bank.db",
    }
