"""`ciranda init`: a local consortium of banks named after the trees of Brazil; `ciranda migrate`: a newer schema.

All or nothing: what a failed init has made, it removes again, and it never writes over what is there.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import typer

from ciranda import settings
from ciranda.cli.authority import AUTHORITY_KEY, issue, make_authority
from ciranda.cli.screen import CommandError, out, table
from ciranda.identity import Ispb
from ciranda.roster import Member, Roster
from ciranda.settings import (
    AUTHORITY,
    BANK,
    CONSORTIUM,
    CREDIT_LIMIT,
    DATABASE,
    DEADLINE_MS,
    WITNESSES,
    BankSettings,
)


class Tree(NamedTuple):
    name: str
    slug: str


TREES = (
    Tree("Ipê", "ipe"),
    Tree("Jatobá", "jatoba"),
    Tree("Sumaúma", "sumauma"),
    Tree("Buriti", "buriti"),
    Tree("Umbu", "umbu"),
    Tree("Caju", "caju"),
    Tree("Pequi", "pequi"),
    Tree("Aroeira", "aroeira"),
    Tree("Jequitibá", "jequitiba"),
    Tree("Araucária", "araucaria"),
    Tree("Açaí", "acai"),
    Tree("Bacuri", "bacuri"),
    Tree("Cupuaçu", "cupuacu"),
    Tree("Embaúba", "embauba"),
    Tree("Guapuruvu", "guapuruvu"),
    Tree("Imbuia", "imbuia"),
    Tree("Jenipapo", "jenipapo"),
    Tree("Paineira", "paineira"),
    Tree("Pitanga", "pitanga"),
    Tree("Sapucaia", "sapucaia"),
)

BANKS = 4
BASE_PORT = 8100
PEER_OFFSET = 100
_FIRST_ISPB = 10000001


def init(
    dir: Annotated[Path, typer.Argument(help="The folder to make the consortium in.", metavar="DIR")],
    banks: Annotated[int, typer.Option("--banks", help="How many banks.", min=1, max=len(TREES))] = BANKS,
    base_port: Annotated[
        int,
        typer.Option(
            "--base-port",
            help="Bank i listens on this + i for the public, and on this + 100 + i for its peers.",
            min=1,
            max=65535 - PEER_OFFSET - len(TREES),
        ),
    ] = BASE_PORT,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL-TEMPLATE",
            help="Where each bank keeps its book; {slug} becomes the bank's. The databases exist and are empty. "
            "Default: an SQLite file in the bank's folder.",
            show_default=False,
        ),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="With TLS on all listeners, and an authority for trying it out.")
    ] = False,
    two_person: Annotated[
        bool,
        typer.Option(
            "--two-person", help="Large withdrawals, higher limits and the like need two operators of a bank."
        ),
    ] = False,
) -> None:
    """Make a consortium of banks on this machine: folders, keys, empty books.

    Example: ciranda init ./consortium --banks 4

    Example: ciranda init ./consortium --database 'postgresql://ciranda@localhost:5432/{slug}'

    Example: ciranda init ./consortium --tls
    """
    roster = found(dir, banks=banks, base_port=base_port, database=database, tls=tls, two_person=two_person)
    shown = table("bank", "ISPB", "public", "peers")
    for member in roster.members.values():
        shown.add_row(member.name, member.ispb, member.public_url, member.peer_url)
    out.print(shown)
    out.print(f"\nStart all of them: ciranda up {dir}")
    out.print(f"Or one:            ciranda serve {dir / TREES[0].slug / BANK}")


def migrate(
    bank_toml: Annotated[Path, typer.Argument(help="The bank's settings.", metavar="BANK_TOML")],
) -> None:
    """Bring a bank's database to the schema of this version. The bank must be stopped.

    Example: ciranda migrate ./consortium/ipe/bank.toml
    """
    bank = settings.load(bank_toml)
    _migrate(bank, must_be_empty=False)
    out.print(f"The schema of {bank.member.name} is up to date.")


def found(
    dir: Path,
    *,
    banks: int,
    base_port: int,
    database: str | None,
    tls: bool = False,
    two_person: bool = False,
) -> Roster:
    """Makes the folder `dir` with its banks. Raises CommandError, and then nothing is left of it."""
    if database is not None and banks > 1 and "{slug}" not in database:
        raise CommandError("Two banks cannot share one database: the URL needs {slug} in it.")
    if (dir / CONSORTIUM).exists():
        raise CommandError(f"{dir} is a consortium already; nothing was changed.")
    made: list[Path] = []
    try:
        make_folder(dir, made)
        if tls:
            for name in (AUTHORITY, AUTHORITY_KEY):
                _must_be_new(dir / name, made)
            make_authority(dir, "Ciranda")
        members = []
        for number, tree in enumerate(TREES[:banks], 1):
            folder = dir / tree.slug
            make_folder(folder, made, must_be_new=True)
            public_key = settings.write_keys(folder)
            members.append(_member(number, tree, public_key, base_port, "https" if tls else "http"))
        roster = Roster(
            name="Ciranda",
            currency="BRL",
            version=1,
            witnesses=WITNESSES,
            deadline_ms=DEADLINE_MS,
            members={member.ispb: member for member in members},
        )
        _write(dir / CONSORTIUM, settings.consortium_toml(roster), made)
        for member in members:
            furnish(dir, roster, member, database, made, tls=tls, two_person=two_person)
    except BaseException:
        unmake(made)
        raise
    return roster


def furnish(
    dir: Path,
    roster: Roster,
    member: Member,
    database: str | None,
    made: list[Path],
    *,
    tls: bool,
    two_person: bool = False,
) -> None:
    """Gives a member that has its keys all else that it needs to start. Raises CommandError."""
    folder = dir / member.slug
    url = (database or f"sqlite:///{DATABASE}").replace("{slug}", member.slug)
    if tls:
        hosts = {urlsplit(one).hostname or "" for one in (member.public_url, member.peer_url)}
        issue(dir, folder, member.name, hosts - {""})
    settings.write_guarded(
        folder / BANK, settings.bank_toml(member.ispb, url, tls=tls, two_person=two_person).encode()
    )
    bank = settings.load(folder / BANK, roster)
    _claim(bank.database, made)
    _migrate(bank, must_be_empty=True)


def _migrate(bank: BankSettings, *, must_be_empty: bool) -> None:
    # The databases are heavy to import, and other commands do without them.
    from ciranda import storage
    from ciranda.ports import Unavailable

    try:
        if must_be_empty and not settings.is_sqlite(bank.database) and _is_used(bank.database):
            raise CommandError(
                f"The database of {bank.member.name} is a bank's already; nothing was changed in it."
            )
        storage.migrate(bank.database)
    except (Unavailable, storage.SchemaMismatch) as error:
        raise CommandError(f"The database of {bank.member.name}: {error}.") from error


def _is_used(database: str) -> bool:
    from ciranda import storage

    try:
        storage.check_schema(database)
    except storage.SchemaMismatch:
        return False
    return True


def _member(number: int, tree: Tree, public_key: bytes, base_port: int, scheme: str) -> Member:
    return Member(
        ispb=Ispb(str(_FIRST_ISPB + number - 1)),
        name=tree.name,
        slug=tree.slug,
        public_url=f"{scheme}://127.0.0.1:{base_port + number}",
        peer_url=f"{scheme}://127.0.0.1:{base_port + PEER_OFFSET + number}",
        public_key=public_key,
        credit_limit=CREDIT_LIMIT,
    )


def _must_be_new(path: Path, made: list[Path]) -> None:
    if path.exists():
        raise CommandError(f"{path} is there already; nothing was changed.")
    made.append(path)


def make_folder(folder: Path, made: list[Path], *, must_be_new: bool = False) -> None:
    """Makes a folder and those above it; a bank's own is for its owner alone, for its customers' sake."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    if must_be_new and folder not in missing:
        raise CommandError(f"{folder} is there already; nothing was changed.")
    for path in reversed(missing):
        try:
            path.mkdir(mode=0o700 if must_be_new else 0o777)
        except OSError as error:
            raise CommandError(f"{path} cannot be made: {error.strerror}.") from error
        made.append(path)


def _write(path: Path, text: str, made: list[Path]) -> None:
    try:
        with path.open("x") as file:
            made.append(path)
            file.write(text)
    except FileExistsError as error:
        raise CommandError(f"{path} is there already; nothing was changed.") from error


def _claim(database: str, made: list[Path]) -> None:
    """An SQLite file outside of the bank's folder is ours only if it is new."""
    if not settings.is_sqlite(database):
        return
    file = Path(database.partition(":///")[2].partition("?")[0])
    _must_be_new(file, made)
    made += [*(file.with_name(file.name + ending) for ending in ("-wal", "-shm"))]


def unmake(made: list[Path]) -> None:
    for path in reversed(made):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
