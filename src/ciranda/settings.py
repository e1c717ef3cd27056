"""Settings: what a bank reads from its folder before it opens its doors.

    consortium.toml     the roster, the same file in every bank
    <slug>/bank.toml    which member this bank is, and what is its own affair
    <slug>/signing.key, operator.token, secret.key     for its eyes only
    <slug>/tls.crt, tls.key                            its certificate, if it speaks TLS

Whatever is wrong here is found here: every mistake in these files is a `SettingsError` with one sentence for the
person who wrote them, before a port is opened or a database touched.
"""

import base64
import binascii
import json
import re
import secrets
import stat
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from msgspec.structs import replace

from ciranda.engine.limits import Figures, LimitRules
from ciranda.engine.operator import TwoPerson
from ciranda.identity import Ispb, parse_ispb
from ciranda.money import AMOUNT_MAX, OWN_BALANCE_MAX
from ciranda.node.attempts import AttemptRules
from ciranda.node.heads import EXCHANGE_EVERY_S
from ciranda.node.passwords import PasswordCost
from ciranda.node.people import PeopleRules, SessionRules
from ciranda.node.second_factors import SecondFactorRules
from ciranda.roster import Member, Roster, Standing

CONSORTIUM = "consortium.toml"
BANK = "bank.toml"
SIGNING_KEY = "signing.key"
OPERATOR_TOKEN = "operator.token"  # noqa: S105
SECRET_KEY = "secret.key"  # noqa: S105
DATABASE = "bank.db"
NEXT_SIGNING_KEY = "signing.key.next"
OLD_SIGNING_KEY = "signing.key.old"
TLS_CERTIFICATE = "tls.crt"
TLS_KEY = "tls.key"
AUTHORITY = "ca.crt"

CREDIT_LIMIT = 10**12
PEER_REQUESTS_PER_S = 5_000
WITNESSES = 3
DEADLINE_MS = 5_000
PER_NIGHT = 100_000
"""What leaves a person's account at night at most, unless bank or holder say otherwise: R$ 1,000, as in Pix."""
WITHDRAWALS_ALONE = 100_000


Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """One sentence about what is wrong, and in which file."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate that a listener shows, and its key: PEM files."""

    certificate: Path
    key: Path


class PeerTls(msgspec.Struct, frozen=True, kw_only=True):
    """TLS between banks, at both ends."""

    own: Tls | None
    """Shown by the peers' listener, and to peers that ask for it; None where a proxy does that."""
    authority: Path | None
    """Who signs the peers' certificates; None: whomever this machine trusts."""
    mutual: bool
    """Whether peers must show a certificate that the authority has signed."""


class BankSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that one bank needs to know to start."""

    ispb: Ispb
    roster: Roster
    folder: Path
    consortium: Path
    """Where the roster was read."""
    database: str
    """A URL; the path of an SQLite file in it is absolute."""
    signing_key: Ed25519PrivateKey
    operator_token: str
    secret: bytes
    """32 bytes, from which the bank derives its mandates' tokens and seals its customers' links."""
    public_host: str
    public_port: int
    peer_host: str
    peer_port: int
    credit_limits: dict[Ispb, int]
    """How much each peer may owe this bank, in minor units, unless an operator has said otherwise since."""
    people: PeopleRules
    """What it asks of its customers."""
    two_person: TwoPerson | None
    """Whether some of what operators do needs a second one."""
    peer_requests_per_s: int
    trusted_proxies: tuple[Network, ...]
    """Whose word is taken for where a request comes from."""
    tls: Tls | None
    peer_tls: PeerTls | None
    files: tuple[Path, ...]
    """All files that may change while the bank runs."""
    limits: LimitRules | None
    """None: customers' limits are off."""
    heads_every_s: float
    """How often it asks its peers for the heads of their chains."""

    @property
    def member(self) -> Member:
        """This bank, as the consortium knows it."""
        return self.roster.members[self.ispb]

    @property
    def own_roster(self) -> Roster:
        """The roster with this bank's own figures for what each peer may owe it."""
        members = {
            ispb: replace(member, credit_limit=self.credit_limits.get(ispb, member.credit_limit))
            for ispb, member in self.roster.members.items()
        }
        return replace(self.roster, members=members)

    def __repr__(self) -> str:
        # The default one would show the secrets to whoever logs it.
        return f"BankSettings({self.ispb}, {self.folder})"


def load(bank_toml: Path, roster: Roster | None = None) -> BankSettings:
    """The settings of the bank whose `bank.toml` this is. Raises SettingsError.

    `roster`: in the place of the one that `bank.toml` names.
    """
    bank_toml = bank_toml.absolute()
    folder = bank_toml.parent
    written = _parse(bank_toml, _BankFile)
    roster = roster or load_consortium(folder / written.consortium)
    ispb = _ispb(written.ispb, bank_toml)
    if ispb not in roster.members:
        raise SettingsError(f"{bank_toml}: no bank of the consortium {roster.name} has the ISPB {ispb}.")
    member = roster.members[ispb]
    public_host, public_port = _listen(written.public_listen, member.public_url, bank_toml)
    peer_host, peer_port = _listen(written.peer_listen, member.peer_url, bank_toml)
    tls = _tls(written.tls, folder)
    peer_tls = _peer_tls(written.peer_tls, folder, bank_toml)
    _check_scheme(member.public_url, tls, bank_toml)
    _check_scheme(member.peer_url, None if peer_tls is None else peer_tls.own, bank_toml)
    return BankSettings(
        ispb=ispb,
        roster=roster,
        folder=folder,
        consortium=(folder / written.consortium).resolve(),
        database=_absolute(written.database, folder, bank_toml),
        signing_key=_signing_key(folder / SIGNING_KEY, member),
        operator_token=read_operator_token(folder / OPERATOR_TOKEN),
        secret=_secret(folder / SECRET_KEY),
        public_host=public_host,
        public_port=public_port,
        peer_host=peer_host,
        peer_port=peer_port,
        credit_limits=_credit_limits(written.credit_limits, roster, ispb, bank_toml),
        limits=None if written.limits is None else _limits(written.limits),
        peer_requests_per_s=written.peer_requests_per_s,
        heads_every_s=written.chain.exchange_every_s,
        tls=tls,
        peer_tls=peer_tls,
        files=(
            bank_toml,
            folder / written.consortium,
            folder / SIGNING_KEY,
            *_tls_files(tls, peer_tls),
        ),
        two_person=TwoPerson(withdrawals_above=written.withdrawals_alone) if written.two_person else None,
        people=PeopleRules(
            passwords=written.passwords,
            sessions=written.sessions,
            attempts=written.attempts,
            second_factor=written.second_factor,
        ),
        trusted_proxies=tuple(_network(text, bank_toml) for text in written.trusted_proxies),
    )


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bank's book is: as much as one must know who only reads it."""

    ispb: Ispb
    consortium: Path
    database: str
    """A URL; the path of an SQLite file in it is absolute."""


def book_of(bank_toml: Path) -> Book:
    """Needs no key and no token. Raises SettingsError."""
    bank_toml = bank_toml.absolute()
    written = _parse(bank_toml, _BankFile)
    return Book(
        ispb=_ispb(written.ispb, bank_toml),
        consortium=bank_toml.parent / written.consortium,
        database=_absolute(written.database, bank_toml.parent, bank_toml),
    )


def load_consortium(path: Path) -> Roster:
    """The roster that `consortium.toml` writes down. Raises SettingsError."""
    written = _parse(path, _ConsortiumFile)
    members = [_member(bank, path) for bank in written.bank]
    for what in ("ispb", "slug", "public_url", "peer_url", "public_key"):
        _all_different(what, members, path)
    _keys_all_different(members, path)
    return Roster(
        name=written.name,
        currency=written.currency,
        version=written.version,
        witnesses=written.witnesses,
        deadline_ms=written.deadline_ms,
        members={member.ispb: member for member in members},
    )


def read_operator_token(path: Path) -> str:
    """The token by which a bank knows its operator. Raises SettingsError."""
    token = _guarded(path).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]{43,}", token):
        raise SettingsError(f"{path}: this is not an operator's token of 256 bits, in URL-safe base64.")
    return token


def is_sqlite(database: str) -> bool:
    return database.partition(":")[0].partition("+")[0] == "sqlite"


# What `ciranda init` writes.


def consortium_toml(roster: Roster) -> str:
    lines = [
        "# The consortium: the same file in every bank. Amounts are in centavos, times in milliseconds.",
        f"name = {_quoted(roster.name)}",
        f"currency = {_quoted(roster.currency)}",
        f"version = {roster.version}",
        f"witnesses = {roster.witnesses}",
        f"deadline_ms = {roster.deadline_ms}",
    ]
    for member in roster.members.values():
        lines += [
            "",
            "[[bank]]",
            f"ispb = {_quoted(member.ispb)}",
            f"name = {_quoted(member.name)}",
            f"slug = {_quoted(member.slug)}",
            f"public_url = {_quoted(member.public_url)}",
            f"peer_url = {_quoted(member.peer_url)}",
            f"public_key = {_quoted(base64.b64encode(member.public_key).decode())}",
            f"credit_limit = {member.credit_limit}",
        ]
        if member.next_public_key is not None:
            lines.append(f"next_public_key = {_quoted(base64.b64encode(member.next_public_key).decode())}")
        if member.standing != "member":
            lines.append(f"standing = {_quoted(member.standing)}")
    return "\n".join(lines) + "\n"


def bank_toml(ispb: Ispb, database: str, *, tls: bool = False, two_person: bool = False) -> str:
    """`tls`: with the certificates that lie in the bank's folder, and the authority beside the roster."""
    return (
        "# This bank's own settings.\n"
        f"ispb = {_quoted(ispb)}\n"
        f'consortium = "../{CONSORTIUM}"\n'
        f"database = {_quoted(database)}\n"
        + ("\n# What costs most needs two operators.\ntwo_person = true\n" if two_person else "")
        + "\n"
        "# Where to listen, if not at the addresses that the consortium knows:\n"
        '# public_listen = "0.0.0.0:8101"\n'
        '# peer_listen = "0.0.0.0:8201"\n'
        "\n"
        "# How much a peer may owe this bank, in centavos, where it differs from the consortium's figure:\n"
        "# [credit_limits]\n"
        "# 10000002 = 50000000\n"
        "\n"
        "# How much may leave a customer's account, where its holders choose nothing else, in centavos:\n"
        "# [limits]\n"
        f"# per_night = {PER_NIGHT}\n"
    ) + (_TLS_TOML if tls else "")


_TLS_TOML = f"""
[tls]
certificate = "{TLS_CERTIFICATE}"
key = "{TLS_KEY}"

[peer_tls]
certificate = "{TLS_CERTIFICATE}"
key = "{TLS_KEY}"
authority = "../{AUTHORITY}"
# Peers must show a certificate too:
# mutual = true
"""


def write_keys(folder: Path) -> bytes:
    """Draws a new bank's keys and tokens into its folder; the public key, 32 raw bytes, is for the roster."""
    public_key = write_signing_key(folder / SIGNING_KEY)
    write_guarded(folder / OPERATOR_TOKEN, secrets.token_urlsafe(32).encode() + b"\n")
    write_guarded(folder / SECRET_KEY, secrets.token_hex(32).encode() + b"\n")
    return public_key


def write_signing_key(path: Path) -> bytes:
    """Draws a new one; its public half, 32 raw bytes."""
    key = Ed25519PrivateKey.generate()
    write_guarded(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return raw_public(key)


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """Raises SettingsError."""
    try:
        key = load_pem_private_key(_guarded(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{path}: this is not an unencrypted private key in PEM.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: this is not an Ed25519 key.")
    return key


def raw_public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def write_consortium(path: Path, roster: Roster) -> None:
    """Puts a new roster in the place of the old one. Whoever reads meanwhile finds one of the two, whole."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(consortium_toml(roster))
        load_consortium(draft)
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: it cannot be written: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)


def write_guarded(path: Path, content: bytes) -> None:
    """Writes a new file that only its owner may read, from its first moment on."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)


# The files, as they are written. An unknown name is a typing error, and typing errors are not passed over in silence.

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
_CreditLimit = Annotated[int, msgspec.Meta(ge=0, le=OWN_BALANCE_MAX)]


class _BankEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ispb: str
    name: _Name
    slug: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
    public_url: str
    peer_url: str
    public_key: str
    credit_limit: _CreditLimit = CREDIT_LIMIT
    next_public_key: str | None = None
    standing: Standing = "member"


class _ConsortiumFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: _Name
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")] = "BRL"
    version: Annotated[int, msgspec.Meta(ge=1)] = 1
    witnesses: Annotated[int, msgspec.Meta(ge=1)] = WITNESSES
    deadline_ms: Annotated[int, msgspec.Meta(ge=100, le=600_000)] = DEADLINE_MS
    bank: Annotated[list[_BankEntry], msgspec.Meta(min_length=1)]


_Figure = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]


class _CompanyLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    per_transfer: _Figure | None = None
    per_day: _Figure | None = None
    per_night: _Figure | None = None


class _Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    per_transfer: _Figure | None = None
    per_day: _Figure | None = None
    per_night: _Figure = PER_NIGHT
    companies: _CompanyLimits = _CompanyLimits()


class _TlsTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    certificate: str
    key: str


class _PeerTlsTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    certificate: str | None = None
    key: str | None = None
    authority: str | None = None
    mutual: bool = False


class _Chain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    exchange_every_s: Annotated[float, msgspec.Meta(ge=1, le=3_600)] = EXCHANGE_EVERY_S


class _BankFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ispb: str
    consortium: str = f"../{CONSORTIUM}"
    database: str = f"sqlite:///{DATABASE}"
    public_listen: str | None = None
    peer_listen: str | None = None
    peer_requests_per_s: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = PEER_REQUESTS_PER_S
    credit_limits: dict[str, _CreditLimit] = {}
    tls: _TlsTable | None = None
    peer_tls: _PeerTlsTable | None = None
    two_person: bool = False
    withdrawals_alone: Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)] = WITHDRAWALS_ALONE
    backups: str | None = None
    limits: _Limits | None = None
    trusted_proxies: list[str] = []
    passwords: PasswordCost = msgspec.field(default_factory=PasswordCost)
    sessions: SessionRules = msgspec.field(default_factory=SessionRules)
    attempts: AttemptRules = msgspec.field(default_factory=AttemptRules)
    second_factor: SecondFactorRules = msgspec.field(default_factory=SecondFactorRules)
    chain: _Chain = msgspec.field(default_factory=_Chain)


_File = TypeVar("_File", _ConsortiumFile, _BankFile)


def _parse(path: Path, kind: type[_File]) -> _File:
    try:
        return msgspec.convert(tomllib.loads(_read(path).decode()), kind)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: this is not TOML: {error}.") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise SettingsError(f"{path}: it cannot be read: {error.strerror}.") from error


def _guarded(path: Path) -> bytes:
    """The content of a file that nobody else may read; one that others can read is not a secret any more."""
    content = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SettingsError(
            f"{path}: others may read it (mode {mode:04o}); it must be for its owner alone: chmod 600."
        )
    return content


def _member(bank: _BankEntry, path: Path) -> Member:
    for url in (bank.public_url, bank.peer_url):
        _place(url, path)
    return Member(
        ispb=_ispb(bank.ispb, path),
        name=bank.name,
        slug=bank.slug,
        public_url=bank.public_url.rstrip("/"),
        peer_url=bank.peer_url.rstrip("/"),
        public_key=_public_key(bank.public_key, bank, path),
        credit_limit=bank.credit_limit,
        next_public_key=None
        if bank.next_public_key is None
        else _public_key(bank.next_public_key, bank, path),
        standing=bank.standing,
    )


def _public_key(text: str, bank: _BankEntry, path: Path) -> bytes:
    try:
        public_key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SettingsError(f"{path}: the public key of {bank.slug} is not base64.") from error
    if len(public_key) != 32:
        raise SettingsError(f"{path}: the public key of {bank.slug} is not an Ed25519 key of 32 bytes.")
    return public_key


def _network(text: str, path: Path) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise SettingsError(
            f"{path}: trusted_proxies: {text!r} is no address or network: {error}."
        ) from error


def _ispb(text: str, path: Path) -> Ispb:
    try:
        return parse_ispb(text)
    except ValueError as error:
        raise SettingsError(f"{path}: {text!r}: {error}.") from error


def _all_different(what: str, members: list[Member], path: Path) -> None:
    seen: dict[object, Member] = {}
    for member in members:
        value = getattr(member, what)
        if value in seen:
            raise SettingsError(
                f"{path}: {seen[value].slug} ({seen[value].ispb}) and {member.slug} ({member.ispb}) have the same {what}."
            )
        seen[value] = member


def _keys_all_different(members: list[Member], path: Path) -> None:
    keys = [key for member in members for key in member.public_keys]
    for member in members:
        if any(keys.count(key) > 1 for key in member.public_keys):
            raise SettingsError(f"{path}: a public key of {member.slug} ({member.ispb}) stands there twice.")


def _place(url: str, path: Path) -> tuple[str, int]:
    """The host and port of a URL of the roster."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{path}: {url!r} is not a URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"{path}: {url!r} is not the URL of a bank, such as http://127.0.0.1:8101.")
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)


def _listen(listen: str | None, url: str, path: Path) -> tuple[str, int]:
    if listen is None:
        return _place(url, path)
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.netloc != listen:
        raise SettingsError(f"{path}: {listen!r} is not a place to listen at, such as 0.0.0.0:8101.")
    return host, port


def _absolute(database: str, folder: Path, path: Path) -> str:
    """The database's URL; the file that an SQLite URL names is the one in the bank's folder, wherever we were started."""
    if not re.match(r"[a-z][a-z0-9+]*://", database):
        raise SettingsError(f"{path}: the database {database!r} is not a URL, such as sqlite:///{DATABASE}.")
    if not is_sqlite(database):
        return database
    scheme, _, rest = database.partition("://")
    file, question, query = rest.removeprefix("/").partition("?")
    if not rest.startswith("/") or file in ("", ":memory:"):
        raise SettingsError(f"{path}: the database {database!r} names no file, and a bank must not forget.")
    return f"{scheme}:///{folder / file}{question}{query}"


def _signing_key(path: Path, member: Member) -> Ed25519PrivateKey:
    key = read_signing_key(path)
    if raw_public(key) not in member.public_keys:
        raise SettingsError(f"{path}: this is not the key that the consortium knows {member.name} by.")
    return key


def _secret(path: Path) -> bytes:
    text = _guarded(path).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise SettingsError(f"{path}: this is not a secret of 32 bytes, in hexadecimal digits.")
    return bytes.fromhex(text)


def _tls(written: _TlsTable | None, folder: Path) -> Tls | None:
    if written is None:
        return None
    certificate, key = folder / written.certificate, folder / written.key
    _read(certificate)
    _guarded(key)
    return Tls(certificate=certificate, key=key)


def _peer_tls(written: _PeerTlsTable | None, folder: Path, path: Path) -> PeerTls | None:
    if written is None:
        return None
    if (written.certificate is None) is not (written.key is None):
        raise SettingsError(f"{path}: peer_tls: a certificate and its key go together.")
    if written.mutual and (written.certificate is None or written.authority is None):
        raise SettingsError(f"{path}: peer_tls: mutual needs a certificate and an authority.")
    own = None
    if written.certificate is not None and written.key is not None:
        own = _tls(_TlsTable(certificate=written.certificate, key=written.key), folder)
    authority = None if written.authority is None else folder / written.authority
    if authority is not None:
        _read(authority)
    return PeerTls(own=own, authority=authority, mutual=written.mutual)


def _tls_files(tls: Tls | None, peer_tls: PeerTls | None) -> list[Path]:
    files = [] if tls is None else [tls.certificate, tls.key]
    if peer_tls is not None and peer_tls.own is not None:
        files += [peer_tls.own.certificate, peer_tls.own.key]
    if peer_tls is not None and peer_tls.authority is not None:
        files.append(peer_tls.authority)
    return files


def _check_scheme(url: str, tls: Tls | None, path: Path) -> None:
    """The other way round is no mistake: a proxy may end TLS."""
    if tls is not None and not url.startswith("https:"):
        raise SettingsError(f"{path}: with a certificate, the bank is at an https URL, and not at {url}.")


def _credit_limits(written: dict[str, int], roster: Roster, own: Ispb, path: Path) -> dict[Ispb, int]:
    peers = {peer.ispb: peer.credit_limit for peer in roster.peers_of(own)}
    for text in written:
        if _ispb(text, path) not in peers:
            raise SettingsError(f"{path}: credit_limits: {text} is no peer of this bank.")
    return peers | {Ispb(text): limit for text, limit in written.items()}


def _limits(written: _Limits) -> LimitRules:
    return LimitRules(persons=_figures(written), companies=_figures(written.companies))


def _figures(written: _Limits | _CompanyLimits) -> Figures:
    return Figures(per_transfer=written.per_transfer, per_day=written.per_day, per_night=written.per_night)


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, except that TOML escapes DEL too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
