"""The command line without a running bank: what `init` makes, what is refused, and with which exit code."""

import ast
import json
import re
import socket
import string
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ciranda
from ciranda import settings
from ciranda.cli import init, sessions, speech
from ciranda.cli.demo import free_base_port
from ciranda.cli.main import app
from ciranda.cli.sessions import KeptSession
from ciranda.identity import Document, Ispb
from ciranda.refusal import Code

HERE = "10000001.0001.1234563"


@pytest.fixture(autouse=True)
def _a_person_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No session, consortium or language of whoever runs the tests."""
    for name in ("CIRANDA_BANK", "CIRANDA_CONSORTIUM", "CIRANDA_PASSWORD", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CIRANDA_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


class Ran:
    """What a command said, with the terminal's line breaks taken out."""

    def __init__(self, *words: object) -> None:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code = result.exit_code
        self.out = result.stdout
        self.said = re.sub(r"[\s│]+", " ", result.output)


@pytest.fixture
def consortium(tmp_path: Path) -> Path:
    """Two banks that do not run, at ports where nobody else listens either."""
    assert Ran("init", tmp_path / "circle", "--banks", 2, "--base-port", free_base_port()).code == 0
    return tmp_path / "circle"


def url_of(consortium: Path, slug: str) -> str:
    roster = settings.load_consortium(consortium / "consortium.toml")
    return next(member.public_url for member in roster.members.values() if member.slug == slug)


def keep_session(ispb: str = "10000001", url: str = "http://bank.test", until: str = "2999-01-01") -> None:
    session = KeptSession(
        ispb=Ispb(ispb),
        bank="Ipê",
        url=url,
        document=Document("11144477735"),
        token="a secret",
        expires_at=f"{until}T00:00:00.000Z",
    )
    sessions.keep(session)


# Making a consortium.


def test_init_makes_four_banks_with_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "circle"
    assert Ran("init", folder).code == 0
    assert {path.name for path in folder.iterdir()} == {
        "consortium.toml",
        "ipe",
        "jatoba",
        "sumauma",
        "buriti",
    }
    for slug in ("ipe", "jatoba", "sumauma", "buriti"):
        files = {path.name for path in (folder / slug).iterdir()}
        assert files == {"bank.toml", "signing.key", "operator.token", "secret.key", "bank.db"}
        for name in ("signing.key", "operator.token", "secret.key"):
            assert (folder / slug / name).stat().st_mode & 0o777 == 0o600
        assert (folder / slug).stat().st_mode & 0o777 == 0o700


def test_init_gives_the_banks_the_documented_names_and_addresses(tmp_path: Path) -> None:
    assert Ran("init", tmp_path / "circle", "--base-port", 9000).code == 0
    written = tomllib.loads((tmp_path / "circle" / "consortium.toml").read_text())
    assert [
        (bank["ispb"], bank["name"], bank["slug"], bank["public_url"], bank["peer_url"])
        for bank in written["bank"]
    ] == [
        ("10000001", "Ipê", "ipe", "http://127.0.0.1:9001", "http://127.0.0.1:9101"),
        ("10000002", "Jatobá", "jatoba", "http://127.0.0.1:9002", "http://127.0.0.1:9102"),
        ("10000003", "Sumaúma", "sumauma", "http://127.0.0.1:9003", "http://127.0.0.1:9103"),
        ("10000004", "Buriti", "buriti", "http://127.0.0.1:9004", "http://127.0.0.1:9104"),
    ]


def test_init_makes_as_many_banks_as_there_are_trees_and_no_more(tmp_path: Path) -> None:
    assert Ran("init", tmp_path / "circle", "--banks", 20).code == 0
    roster = settings.load_consortium(tmp_path / "circle" / "consortium.toml")
    assert len(roster.members) == 20
    assert [member.slug for member in roster.members.values()][4:8] == ["umbu", "caju", "pequi", "aroeira"]
    assert Ran("init", tmp_path / "other", "--banks", 21).code == 2
    assert Ran("init", tmp_path / "other", "--banks", 0).code == 2
    assert not (tmp_path / "other").exists()


def test_init_puts_each_banks_slug_into_the_databases_url(tmp_path: Path) -> None:
    template = f"sqlite:///{tmp_path}/book-of-{{slug}}.db"
    assert Ran("init", tmp_path / "circle", "--banks", 2, "--database", template).code == 0
    bank = settings.load(tmp_path / "circle" / "jatoba" / "bank.toml")
    assert bank.database == f"sqlite:///{tmp_path}/book-of-jatoba.db"
    assert (tmp_path / "book-of-ipe.db").exists()


def test_init_may_fill_a_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "circle").mkdir()
    (tmp_path / "circle" / "notes.txt").write_text("mine")
    assert Ran("init", tmp_path / "circle").code == 0
    assert (tmp_path / "circle" / "notes.txt").read_text() == "mine"


def test_init_refuses_to_write_over_a_consortium(consortium: Path) -> None:
    before = {path: path.read_bytes() for path in consortium.rglob("*") if path.is_file()}
    ran = Ran("init", consortium)
    assert ran.code == 2
    assert "is a consortium already" in ran.said
    assert {path: path.read_bytes() for path in consortium.rglob("*") if path.is_file()} == before


def test_init_refuses_to_write_over_a_banks_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "circle" / "jatoba").mkdir(parents=True)
    ran = Ran("init", tmp_path / "circle")
    assert ran.code == 2
    assert "jatoba is there already" in ran.said
    assert [path.name for path in (tmp_path / "circle").iterdir()] == ["jatoba"]


def test_init_refuses_a_database_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "jatoba.db").write_text("another bank's")
    ran = Ran("init", tmp_path / "circle", "--database", f"sqlite:///{tmp_path}/{{slug}}.db")
    assert ran.code == 2
    assert not (tmp_path / "circle").exists()
    assert not (tmp_path / "ipe.db").exists()
    assert (tmp_path / "jatoba.db").read_text() == "another bank's"


def test_init_that_cannot_reach_a_database_leaves_nothing(tmp_path: Path) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody@127.0.0.1:{nobody_listens.getsockname()[1]}/{{slug}}"
        assert Ran("init", tmp_path / "new" / "circle", "--database", url).code == 2
    assert not (tmp_path / "new").exists()


def test_init_refuses_one_database_for_two_banks(tmp_path: Path) -> None:
    ran = Ran("init", tmp_path / "circle", "--database", f"sqlite:///{tmp_path}/bank.db")
    assert ran.code == 2
    assert "{slug}" in ran.said
    assert not (tmp_path / "circle").exists()


def test_every_tree_has_a_name_of_its_own() -> None:
    assert len({tree.slug for tree in init.TREES}) == len({tree.name for tree in init.TREES}) == 20
    assert all(tree.slug.isascii() and tree.slug.islower() for tree in init.TREES)


def test_migrate_can_be_repeated(consortium: Path) -> None:
    assert Ran("migrate", consortium / "ipe" / "bank.toml").code == 0
    assert Ran("migrate", consortium / "ipe" / "bank.toml").code == 0


# What is wrong is told in a sentence, with its exit code.


def test_the_version_is_told() -> None:
    ran = Ran("--version")
    assert (ran.code, ran.out) == (0, f"ciranda {ciranda.__version__}\n")


def test_the_console_script_ends_with_the_code_and_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ciranda.cli.main", "audit", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


def all_commands() -> list[list[str]]:
    names = [command.name for command in app.registered_commands if command.name]
    groups = [
        [group.name, command.name]
        for group in app.registered_groups
        for command in group.typer_instance.registered_commands  # type: ignore[union-attr]
        if group.name and command.name
    ]
    return [[name] for name in names] + groups


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    ran = Ran(*command, "--help")
    assert ran.code == 0
    assert f"Example: ciranda {' '.join(command)}" in ran.said


@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["serve"],
        ["serve", "nowhere/bank.toml"],
        ["serve", "nowhere/bank.toml", "--workers", "0"],
        ["up", "nowhere"],
        ["audit", "nowhere"],
        ["migrate", "nowhere/bank.toml"],
        ["accounts"],
        ["accounts", "--bank", "ipe"],
        ["accounts", "--consortium", "nowhere"],
        ["accounts", "--bank", "https://"],
        ["statement", "10000001.0001.1234564"],
        ["statement", "ipe"],
        ["payee", HERE],
        ["deposit", HERE, "1.234"],
        ["deposit", HERE, "10"],
        ["pay"],
        ["pay", HERE],
        ["pay", HERE, HERE],
        ["pay", HERE, HERE, "ten"],
        ["pay", "--from", f"{HERE}=10"],
        ["pay", "--from", HERE, "--to", HERE],
        ["pay", HERE, HERE, "10", "--to", HERE],
        ["link", "add", HERE],
        ["mandate", "give", HERE, "--to", "jatoba"],
        ["login", "--bank", "ipe"],
        ["accounts", "--lang", "fr"],
    ],
    ids=" ".join,
)
def test_a_command_that_makes_no_sense_is_refused_with_code_2(command: list[str]) -> None:
    assert Ran(*command).code == 2


def test_audit_tells_which_banks_could_not_be_asked(consortium: Path) -> None:
    ran = Ran("audit", consortium)
    assert ran.code == 2
    assert "Ipê could not be asked" in ran.said
    assert "Jatobá could not be asked" in ran.said


def test_audit_in_json_tells_which_banks_could_not_be_asked(consortium: Path) -> None:
    ran = Ran("audit", consortium, "--json")
    assert ran.code == 2
    report = json.loads(ran.out)
    assert report["holds"] is False
    assert set(report["away"]) == {"10000001", "10000002"}


def test_a_bank_that_is_not_there_is_told_with_code_2(consortium: Path) -> None:
    keep_session(url=url_of(consortium, "ipe"))
    ran = Ran("accounts", "--consortium", consortium)
    assert ran.code == 2
    assert "it cannot be reached" in ran.said


def test_what_goes_wrong_is_told_in_json_to_whoever_asked_for_json(consortium: Path) -> None:
    keep_session(url=url_of(consortium, "ipe"))
    ran = Ran("accounts", "--consortium", consortium, "--json")
    assert ran.code == 2
    assert json.loads(ran.out)["code"] == "bank_away"


def test_a_script_is_never_asked_for_a_password(consortium: Path) -> None:
    ran = Ran("login", "--consortium", consortium, "--bank", "ipe", "--document", "111.444.777-35")
    assert ran.code == 2
    assert "Not given, and nobody to ask: Password." in ran.said


def test_a_mistyped_document_is_told(consortium: Path) -> None:
    ran = Ran("login", "--consortium", consortium, "--bank", "ipe", "--document", "111.444.777-36")
    assert ran.code == 2
    assert "neither a valid CPF nor a valid CNPJ" in ran.said


# Which bank is meant.


def test_an_unknown_bank_is_told_with_those_that_are_known(consortium: Path) -> None:
    ran = Ran("accounts", "--consortium", consortium, "--bank", "umbu")
    assert ran.code == 2
    assert "Known are: ipe, jatoba." in ran.said


def test_a_bank_is_named_by_slug_ispb_or_url(consortium: Path) -> None:
    for named in ("jatoba", "10000002", url_of(consortium, "jatoba")):
        ran = Ran("accounts", "--consortium", consortium, "--bank", named)
        assert ran.code == 2
        assert "You are not logged in at Jatobá: ciranda login --bank jatoba" in ran.said


def test_a_consortium_is_found_where_one_stands(consortium: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(consortium)
    assert "not logged in at Jatobá" in Ran("accounts", "--bank", "jatoba").said


def test_a_consortium_is_found_through_the_environment(
    consortium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRANDA_CONSORTIUM", str(consortium))
    assert "not logged in at Jatobá" in Ran("accounts", "--bank", "jatoba").said


def test_the_only_bank_logged_in_to_need_not_be_named() -> None:
    keep_session(url="http://127.0.0.1:9")
    assert "http://127.0.0.1:9: it cannot be reached" in Ran("accounts").said


def test_a_session_is_not_shown_to_another_bank_of_the_same_ispb(consortium: Path) -> None:
    keep_session(url="http://127.0.0.1:9")
    ran = Ran("accounts", "--consortium", consortium, "--bank", "ipe")
    assert "You are not logged in at Ipê" in ran.said


# Sessions.


def test_a_session_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    keep_session()
    folder = tmp_path / "config" / "sessions"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_one_session_is_kept_for_each_bank() -> None:
    keep_session("10000001")
    keep_session("10000002")
    keep_session("10000001", url="http://elsewhere")
    assert [(session.ispb, session.url) for session in sessions.kept()] == [
        ("10000001", "http://elsewhere"),
        ("10000002", "http://bank.test"),
    ]


def test_a_session_that_is_over_or_spoilt_is_as_good_as_none(tmp_path: Path) -> None:
    keep_session("10000001", until="2020-01-01")
    keep_session("10000002")
    (tmp_path / "config" / "sessions" / "10000002.json").write_text("{")
    assert sessions.kept() == []


def test_sessions_lie_where_the_desktop_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CIRANDA_CONFIG_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert sessions.folder() == tmp_path / "xdg" / "ciranda" / "sessions"


# Languages.


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LANG", "pt_BR.UTF-8", "Qual banco?"),
        ("LANG", "en_GB.UTF-8", "Which bank?"),
        ("LC_ALL", "pt_PT", "Qual banco?"),
    ],
)
def test_a_person_is_spoken_to_in_the_machines_language(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    assert says in Ran("accounts").said


def test_a_person_may_ask_for_the_other_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "pt_BR.UTF-8")
    assert "Which bank?" in Ran("accounts", "--lang", "en").said
    assert "Qual banco?" in Ran("accounts", "--lang", "pt-BR").said


def said_sentences() -> list[str]:
    """Every sentence that a command says, from the source."""
    folder = Path(speech.__file__).parent
    calls = [
        node.args[0]
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"
    ]
    return sorted(
        {call.value for call in calls if isinstance(call, ast.Constant) and isinstance(call.value, str)}
    )


@pytest.mark.parametrize("sentence", said_sentences())
def test_every_sentence_is_said_in_portuguese_with_the_same_parts(sentence: str) -> None:
    def parts(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text)}

    assert parts(speech._PORTUGUESE[sentence]) == parts(sentence)


@pytest.mark.parametrize("code", list(Code))
def test_every_refusal_is_told_in_portuguese(code: Code) -> None:
    speech.choose("pt")
    try:
        assert speech.reason(code, "in English").endswith(".")
        assert speech.reason(code, "in English") != "in English"
    finally:
        speech.choose("en")
