"""Members: a bank added to a consortium that runs, and one taken out of it.

Both change `consortium.toml`, and nothing else that is there. Banks that share the file take the change by themselves;
where each has a copy of its own, the new file is given to all.
"""

import asyncio
import random
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer
from msgspec.structs import replace

from ciranda import settings
from ciranda.cli.authority import AUTHORITY_KEY, trusted
from ciranda.cli.init import TREES, furnish, make_folder, unmake
from ciranda.cli.keys import with_member
from ciranda.cli.screen import CommandError, JsonOption, out, show_json, table
from ciranda.client import BankAway, BankClient, ProblemError
from ciranda.identity import Ispb, parse_ispb
from ciranda.money import spell
from ciranda.roster import Member, Roster
from ciranda.settings import (
    BANK,
    CONSORTIUM,
    CREDIT_LIMIT,
    OPERATOR_TOKEN,
    SettingsError,
    load_consortium,
    read_operator_token,
    write_consortium,
)

REFUSED = 1
_TIMEOUT_S = 10.0
LOOKS = 10
"""How often payments that are under way are looked at again, in some seconds."""

commands = typer.Typer(no_args_is_help=True, help="The consortium's banks: add, remove.")

DirArgument = Annotated[Path, typer.Argument(help="The consortium's folder.", metavar="DIR")]


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not finished between a bank that leaves and another one."""

    bank: str
    """Whose book shows it."""
    what: str


@commands.command("add")
def add(
    dir: DirArgument,
    slug: Annotated[
        str | None, typer.Argument(help="Its folder's name. Default: the next tree.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="What customers see.")] = None,
    ispb: Annotated[
        str | None, typer.Option("--ispb", help="Default: one after the highest.", show_default=False)
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Where customers find it. Default: the port after the highest.", show_default=False
        ),
    ] = None,
    peer_url: Annotated[
        str | None,
        typer.Option(help="Where peers find it. Default: the port after the highest.", show_default=False),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database", metavar="URL", help="Its empty database. Default: an SQLite file in its folder."
        ),
    ] = None,
    joining: Annotated[
        bool,
        typer.Option(
            "--joining", help="Make it known first; without this word, a second time, it is a member."
        ),
    ] = False,
) -> None:
    """Add a bank to a consortium that may be running: its folder, its keys, its entry in the roster.

    The bank itself is then started with ciranda serve. All others take the new roster while they run.

    Example: ciranda bank add ./consortium

    Example: ciranda bank add ./consortium cacto --name Cacto --joining
    """
    roster = load_consortium(dir / CONSORTIUM)
    known = _find(roster, slug)
    if known is not None:
        if known.standing != "joining" or joining:
            raise CommandError(f"{known.name} is in the consortium already; nothing was changed.")
        write_consortium(dir / CONSORTIUM, with_member(roster, replace(known, standing="member")))
        out.print(f"{known.name} is a member of {roster.name} from now on.")
        return
    tree = next((tree for tree in TREES if _find(roster, tree.slug) is None), None)
    if slug is None and tree is None:
        raise CommandError("There is no tree left: give the bank a name of its own.")
    own_slug = slug or (tree.slug if tree else "")
    named = name or next((tree.name for tree in TREES if tree.slug == own_slug), own_slug.capitalize())
    members = list(roster.members.values())
    member = Member(
        ispb=_ispb(ispb, roster),
        name=named,
        slug=own_slug,
        public_url=public_url or _next_port([one.public_url for one in members]),
        peer_url=peer_url or _next_port([one.peer_url for one in members]),
        public_key=b"",
        credit_limit=CREDIT_LIMIT,
        standing="joining" if joining else "member",
    )
    _admit(dir, roster, member, database)
    out.print(f"{member.name} ({member.ispb}) is in the roster, version {roster.version + 1}.")
    out.print(f"Start it: ciranda serve {dir / member.slug / BANK}")


@commands.command("remove")
def remove(
    dir: DirArgument,
    slug: Annotated[str, typer.Argument(help="The bank: its slug or ISPB.")],
    force: Annotated[
        bool, typer.Option("--force", help="Although something is open with it, or a bank cannot be asked.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Have a bank leave a consortium that may be running; given again, strike it out of the roster.

    It does not leave while any bank owes it money or has it in doubt. Once it has left, payments to it are refused as
    unknown_bank, and what was begun before is finished. Struck out, nobody hears it any more.

    Exit code 1 if something is open, 2 if a bank could not be asked.

    Example: ciranda bank remove ./consortium buriti
    """
    roster = load_consortium(dir / CONSORTIUM)
    member = _find(roster, slug)
    if member is None:
        raise CommandError(f"No bank of {roster.name} is called {slug}.")
    if len(roster.members) == 1:
        raise CommandError(f"{member.name} is the only bank of {roster.name}.")
    open_things, away = asyncio.run(_open_with(dir, roster, member))
    if (open_things or away) and not force:
        if as_json:
            show_json({"removed": False, "open": open_things, "away": away})
        else:
            _tell(member, open_things, away)
        raise typer.Exit(REFUSED if open_things else 2)
    struck = member.standing == "left"
    if struck:
        others = {ispb: one for ispb, one in roster.members.items() if ispb != member.ispb}
        changed = replace(roster, version=roster.version + 1, members=others)
    else:
        changed = with_member(roster, replace(member, standing="left"))
    write_consortium(dir / CONSORTIUM, changed)
    if as_json:
        show_json(
            {"removed": True, "open": open_things, "away": away, "standing": None if struck else "left"}
        )
    elif struck:
        out.print(f"{member.name} is struck out of {roster.name}.")
    else:
        out.print(
            f"{member.name} has left {roster.name}. When nothing is open with it any more, strike it out:"
        )
        out.print(f"ciranda bank remove {dir} {member.slug}")


def _admit(dir: Path, roster: Roster, member: Member, database: str | None) -> None:
    """All or nothing, as `ciranda init`."""
    made: list[Path] = []
    try:
        make_folder(dir / member.slug, made, must_be_new=True)
        public_key = settings.write_keys(dir / member.slug)
        changed = with_member(roster, replace(member, public_key=public_key))
        furnish(dir, changed, member, database, made, tls=(dir / AUTHORITY_KEY).exists())
        # Last of all: the other banks may take it in the same moment.
        write_consortium(dir / CONSORTIUM, changed)
    except BaseException:
        unmake(made)
        raise


def _find(roster: Roster, named: str | None) -> Member | None:
    return next((one for one in roster.members.values() if named in (one.slug, one.ispb)), None)


def _ispb(given: str | None, roster: Roster) -> Ispb:
    if given is not None:
        try:
            return parse_ispb(given)
        except ValueError as error:
            raise CommandError(f"{given}: {error}.") from error
    numbers = [int(ispb) for ispb in roster.members if ispb.isdigit()]
    return Ispb(f"{max(numbers, default=10_000_000) + 1:08d}")


def _next_port(urls: list[str]) -> str:
    """Where the last bank is, one port further than any."""
    ports = [urlsplit(url).port or 0 for url in urls]
    last = urlsplit(urls[-1])
    host = last.hostname or ""
    return f"{last.scheme}://{f'[{host}]' if ':' in host else host}:{max(ports) + 1}"


async def _open_with(dir: Path, roster: Roster, leaving: Member) -> tuple[list[Open], dict[str, str]]:
    """What is not finished with the bank that leaves, by the others' books and its own; and who could not be asked.

    What is in doubt is mostly done in a moment, so it is looked at again for a while.
    """
    for look in range(LOOKS):
        found: list[Open] = []
        away: dict[str, str] = {}
        for member in roster.members.values():
            try:
                found += await _open_at(dir, roster, member, leaving)
            except (BankAway, ProblemError, SettingsError) as error:
                away[member.name] = str(error)
        if away or not any("in doubt" in one.what for one in found):
            break
        await asyncio.sleep(random.uniform(0.3, 0.6) * min(look + 1, 3))
    return found, away


async def _open_at(dir: Path, roster: Roster, member: Member, leaving: Member) -> list[Open]:
    token = read_operator_token(dir / member.slug / OPERATOR_TOKEN)
    async with BankClient(member.public_url, token, timeout_s=_TIMEOUT_S, authority=trusted(dir)) as client:
        audit = await client.audit()
    found = []
    own = member.ispb == leaving.ispb
    for peer, balance in audit.balances.clearing.items():
        if balance and (own or peer == leaving.ispb):
            other = roster.members.get(Ispb(peer))
            debtor, creditor = member.name, other.name if other else peer
            if balance < 0:
                debtor, creditor = creditor, debtor
            owes = f"{debtor} owes {creditor} {spell(abs(balance), roster.currency)}"
            found.append(Open(bank=member.name, what=owes))
    for doubt in audit.in_doubt:
        if own or leaving.ispb in (doubt.coordinator, *doubt.witnesses):
            found.append(Open(bank=member.name, what=f"{doubt.id} is in doubt since {doubt.since}"))
    return found


def _tell(member: Member, open_things: list[Open], away: dict[str, str]) -> None:
    shown = table("by the book of", "open")
    for one in open_things:
        shown.add_row(one.bank, one.what)
    for bank, why in away.items():
        shown.add_row(bank, why)
    out.print(shown)
    out.print(f"{member.name} stays. Settle what is open, or: --force")
