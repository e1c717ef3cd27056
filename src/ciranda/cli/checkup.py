"""What `ciranda doctor` looks at: one function for each line of the production checklist, in its order.

A check is given the bank as it is set up, and says in a few words what is off; None: it is as it should be. It changes
nothing, and what it cannot find out is off too. docs/PRODUCTION.md tells the same, and a test compares them.
"""

import ctypes
import os
import resource
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from ciranda import settings
from ciranda.engine.operator import Operator, Role
from ciranda.money import spell
from ciranda.node.people import SessionRules
from ciranda.node.second_factors import SecondFactorRules
from ciranda.ports import Unavailable
from ciranda.settings import BankSettings
from ciranda.storage import SchemaMismatch, check_schema, look
from ciranda.storage.opening import sqlalchemy_url
from ciranda.storage.sqlite import PRAGMAS

T = TypeVar("T")

WITNESSES_MIN = 3
ADMINS_MIN = 2
FREE_BYTES_MIN = 2**30
FREE_SHARE_MIN = 0.1
OPEN_FILES_MIN = 4_096
DISPUTES_SHOWN = 1_000
FLUSHES = ("fsync", "full_page_writes")
"""What PostgreSQL must not be told to leave out."""

_TIME_ERROR = 5
"""What adjtimex(2) returns while nothing disciplines the clock."""
_TIMEX_BYTES = 512

_DURABLE = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "glusterfs", "ceph")
_VOLATILE = ("tmpfs", "ramfs")


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    """A bank as it is set up: its settings, and its bank.toml as it is written."""

    settings: BankSettings
    written: dict[str, Any]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    look: Callable[[Bank], str | None]
    why: str
    how: str


def _secrets(bank: Bank) -> str | None:
    """A key that others may read is refused by `load` already; here is what lies beside the keys."""
    folder = bank.settings.folder
    files = [folder / settings.BANK, *folder.glob("*.key*"), *folder.glob("*.token")]
    if settings.is_sqlite(bank.settings.database):
        files += _files_of(_file(bank))
    for path in files:
        mode = _mode(path)
        if mode is not None and mode & 0o077:
            return f"{path} can be used by others (mode {mode:04o})"
    mode = _mode(folder)
    return f"{folder} is open to others (mode {mode:04o})" if mode is None or mode & 0o077 else None


def _own_keys(bank: Bank) -> str | None:
    around = bank.settings.folder.parent
    others = [
        member.name
        for member in bank.settings.roster.peers_of(bank.settings.ispb)
        if (around / member.slug / settings.SIGNING_KEY).exists()
    ]
    return f"the keys of {', '.join(others)} lie beside this bank's" if others else None


def _tls(bank: Bank) -> str | None:
    url = bank.settings.member.public_url
    return None if url.startswith("https://") else f"customers find the bank at {url}"


def _peer_tls(bank: Bank) -> str | None:
    url = bank.settings.member.peer_url
    return None if url.startswith("https://") else f"peers find the bank at {url}"


def _listeners(bank: Bank) -> str | None:
    for name, host, table in (
        ("public", bank.settings.public_host, "tls"),
        ("peers'", bank.settings.peer_host, "peer_tls"),
    ):
        if table not in bank.written and not _is_loopback(host):
            return f"the {name} listener takes plain HTTP at {host}"
    return None


def _limits(bank: Bank) -> str | None:
    off = bank.settings.limits is None
    return "accounts pay out as much as is in them, day and night" if off else None


def _second_factor(bank: Bank) -> str | None:
    amount = bank.settings.people.second_factor.payments_from
    if amount <= SecondFactorRules().payments_from:
        return None
    currency = bank.settings.roster.currency
    return f"less than {spell(amount, currency)} in a day is paid with a session alone"


def _sessions(bank: Bank) -> str | None:
    rules, usual = bank.settings.people.sessions, SessionRules()
    if rules.idle_s > usual.idle_s:
        return f"a session that nobody uses goes on for {rules.idle_s} seconds"
    return f"a session lasts {rules.longest_s} seconds" if rules.longest_s > usual.longest_s else None


def _proxies(bank: Bank) -> str | None:
    behind_one = _tls(bank) is None and "tls" not in bank.written
    known = bool(bank.settings.trusted_proxies)
    return "every customer seems to come from the proxy's address" if behind_one and not known else None


def _operators(bank: Bank) -> str | None:
    named = [one for one in _staff(bank) if one.ended_at is None]
    return None if named else "nobody is named: everybody who works here is root"


def _two_person(bank: Bank) -> str | None:
    if bank.settings.two_person is None:
        return "one operator alone pays out any sum, and root does everything"
    admins = sum(one.role is Role.ADMIN and one.ended_at is None for one in _staff(bank))
    return None if admins >= ADMINS_MIN else f"only {admins} of {ADMINS_MIN} admins are named"


def _schema(bank: Bank) -> str | None:
    try:
        check_schema(bank.settings.database)
    except SchemaMismatch as mismatch:
        return str(mismatch)
    return None


def _durability(bank: Bank) -> str | None:
    return (_of_sqlite if settings.is_sqlite(bank.settings.database) else _of_postgresql)(bank)


def _of_sqlite(bank: Bank) -> str | None:
    file = _file(bank)
    kind = filesystem(file.parent)
    if kind in _REMOTE + _VOLATILE:
        return f"{file} is on {kind}, which does not tell the truth about what is on the disk"
    # These are not kept in the file: what the program asks for is what the bank will have.
    missing = [pragma for pragma in _DURABLE if pragma not in PRAGMAS]
    return f"this program does not ask for {missing[0]}" if missing else None


def _of_postgresql(bank: Bank) -> str | None:
    def ask(connection: Connection) -> str | None:
        for name in FLUSHES:
            if connection.execute(text(f"SHOW {name}")).scalar_one() != "on":
                return f"{name} is off"
        if connection.execute(text("SHOW synchronous_commit")).scalar_one() not in ("on", "remote_apply"):
            return "synchronous_commit is weaker than on"
        standbys = connection.execute(text("SELECT count(*) FROM pg_stat_replication")).scalar_one()
        named = connection.execute(text("SHOW synchronous_standby_names")).scalar_one()
        return "a standby follows asynchronously" if standbys and not named else None

    return _ask(bank, ask)


def _backups(bank: Bank) -> str | None:
    return None if bank.written.get("backups") else "nobody has noted where the backups are"


def _history(bank: Bank) -> str | None:
    found = _ask(bank, lambda connection: look.disputes(connection, DISPUTES_SHOWN))
    if not found:
        return None
    latest = found[0]
    whose = f"{latest.head.bank} at folio {latest.head.number}, by the copy of {latest.holder}"
    return f"{len(found)} heads are not borne out by the chain that was signed; the latest: of {whose}"


def _clock(_bank: Bank) -> str | None:
    return None if clock_is_kept() else "nothing keeps this machine's clock right"


def _witnesses(bank: Bank) -> str | None:
    roster = bank.settings.roster
    if roster.witnesses < WITNESSES_MIN:
        return f"the consortium asks for {roster.witnesses} of {WITNESSES_MIN} witnesses"
    banks = len(roster.members)
    return None if banks >= WITNESSES_MIN else f"the consortium has {banks} banks"


def _disk(bank: Bank) -> str | None:
    folder = bank.settings.folder
    if settings.is_sqlite(bank.settings.database):
        folder = _file(bank).parent
    total, _, free = shutil.disk_usage(folder)
    if free >= FREE_BYTES_MIN and free >= FREE_SHARE_MIN * total:
        return None
    return f"{free // 2**20} MiB are free where {folder} is, {100 * free // total} %"


def _open_files(_bank: Bank) -> str | None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY or most >= OPEN_FILES_MIN else f"{most} files may be open"


CHECKS = (
    Check(
        name="secrets",
        look=_secrets,
        why="whoever reads them speaks as the bank, or reads its customers' names and balances",
        how="chmod 600 the file, chmod 700 the folder",
    ),
    Check(
        name="own-keys",
        look=_own_keys,
        why="one stolen machine would speak as several banks, and the consortium's majority is of machines",
        how="move each bank's folder to its own machine, and delete it here",
    ),
    Check(
        name="tls",
        look=_tls,
        why="customers send passwords and tokens",
        how="[tls] in bank.toml, or a proxy, and https in public_url of consortium.toml",
    ),
    Check(
        name="peer-tls",
        look=_peer_tls,
        why="what banks say to each other is signed, but can be read",
        how="[peer_tls] in bank.toml, or a proxy, and https in peer_url of consortium.toml",
    ),
    Check(
        name="listeners",
        look=_listeners,
        why="anybody on the way can read what it is told",
        how="[tls] and [peer_tls] in bank.toml; or listen on 127.0.0.1, behind a proxy that ends TLS",
    ),
    Check(
        name="limits",
        look=_limits,
        why="a thief with a session takes all at once, at night",
        how="[limits] in bank.toml",
    ),
    Check(
        name="second-factor",
        look=_second_factor,
        why="passwords are guessed, reused and given away",
        how="payments_from = 100000, or less, under [second_factor] in bank.toml",
    ),
    Check(
        name="sessions",
        look=_sessions,
        why="whoever finds a telephone or a browser open is its owner until the session ends",
        how="idle_s = 3600 and longest_s = 43200, or less, under [sessions] in bank.toml",
    ),
    Check(
        name="proxies",
        look=_proxies,
        why="one who guesses passwords makes all customers wait, for failures are counted by address",
        how="trusted_proxies in bank.toml",
    ),
    Check(
        name="operators",
        look=_operators,
        why="the record cannot say who it was, and a token that all share is never taken from one",
        how="ciranda operator add NAME --role ROLE",
    ),
    Check(
        name="two-person",
        look=_two_person,
        why="one dishonest or deceived person is enough to empty the vault",
        how="two_person = true in bank.toml, a restart, and two admins: ciranda operator add NAME --role admin",
    ),
    Check(
        name="schema",
        look=_schema,
        why="the bank does not start",
        how="stop it, and ciranda migrate BANK_TOML",
    ),
    Check(
        name="durability",
        look=_durability,
        why="other banks rely on what this one has promised; a commit that is lost makes or loses money",
        how="SQLite on a local disk; PostgreSQL with fsync, full_page_writes and synchronous_commit on, "
        "and standbys named in synchronous_standby_names",
    ),
    Check(
        name="backups",
        look=_backups,
        why="whoever is called at night must know where they are, and that they are for reading only",
        how='backups = "where they are, and who can read them" in bank.toml',
    ),
    Check(
        name="history",
        look=_history,
        why="a bank's record was written anew after it had signed it, by somebody who can write to its database",
        how="ciranda peer disputes, and the evidence as docs/OPERATING.md says; it is not switched off",
    ),
    Check(
        name="clock",
        look=_clock,
        why="five minutes off cut the bank off, and sessions and mandates end by it",
        how="run chrony or systemd-timesyncd",
    ),
    Check(
        name="witnesses",
        look=_witnesses,
        why="with fewer the death of one bank leaves others' money in doubt",
        how="witnesses = 3 in consortium.toml, and at least three banks",
    ),
    Check(
        name="disk",
        look=_disk,
        why="on a full disk nothing is written, and every customer gets 503",
        how="make room: at least 1 GiB and a tenth of the disk",
    ),
    Check(
        name="open-files",
        look=_open_files,
        why="each connection is one, and when they run out nobody is let in",
        how="LimitNOFILE=65536 in the service, or ulimit -n 65536; run the doctor with the same limit",
    ),
)


def examine(bank: Bank) -> list[tuple[Check, str | None]]:
    """Each check, with what is off."""
    return [(check, _looked(check, bank)) for check in CHECKS]


def _looked(check: Check, bank: Bank) -> str | None:
    try:
        return check.look(bank)
    except (OSError, SQLAlchemyError, Unavailable, ImportError) as error:
        return f"it could not be found out: {str(error).splitlines()[0]}"


# What the machine says.


def clock_is_kept() -> bool:
    """Whether the kernel believes that something, NTP as a rule, keeps its clock right."""
    adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    if adjtimex is None:
        return False
    state = int(adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return 0 <= state < _TIME_ERROR


def filesystem(folder: Path) -> str:
    """What kind of file system the folder is on, as the kernel calls it; empty where it does not say."""
    found, kind = "", ""
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, where, its_kind, *_ = line.split(" ")
            if folder.resolve().is_relative_to(where) and len(where) >= len(found):
                found, kind = where, its_kind
    return kind


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return None


# What the database says.


def _staff(bank: Bank) -> list[Operator]:
    return _ask(bank, look.operators)


def _ask(bank: Bank, question: Callable[[Connection], T]) -> T:
    """Raises SQLAlchemyError. A file that is not there is not made."""
    url = bank.settings.database
    if settings.is_sqlite(url):
        url = f"sqlite:///file:{_file(bank)}?mode=ro&uri=true"
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        return question(connection)


def _file(bank: Bank) -> Path:
    return Path(make_url(bank.settings.database).database or "")


def _files_of(file: Path) -> list[Path]:
    return [file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm", ".lock"))]
