"""Which bank is meant: by slug, ISPB or URL, by the account's address, or because there is only one.

The banks that can be named are those of the consortium (its folder is given, or `consortium.toml` lies where we stand)
and those that one is logged in to.
"""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer

from ciranda.cli import sessions
from ciranda.cli.authority import trusted
from ciranda.cli.screen import CommandError
from ciranda.cli.sessions import KeptSession
from ciranda.cli.speech import say
from ciranda.client import BankClient
from ciranda.identity import Address, Ispb, bank_of, parse_address
from ciranda.roster import Roster
from ciranda.settings import CONSORTIUM, load_consortium

BankOption = Annotated[
    str | None,
    typer.Option(
        "--bank", "-b", envvar="CIRANDA_BANK", help="The bank: its slug, ISPB or URL.", show_default=False
    ),
]
ConsortiumOption = Annotated[
    Path | None,
    typer.Option(
        "--consortium",
        envvar="CIRANDA_CONSORTIUM",
        help="The consortium's folder. Default: where you are, if it is one.",
        show_default=False,
    ),
]


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    ispb: Ispb
    name: str
    url: str
    slug: str | None


class Circle:
    """The banks that this command can name."""

    def __init__(self, consortium: Path | None) -> None:
        self.folder = _folder(consortium)
        self._roster = load_consortium(self.folder / CONSORTIUM) if self.folder else None
        self._sessions = sessions.kept()

    async def choose(self, named: str | None) -> Bank:
        """The bank that was named; if none was, the only one that it can be."""
        return self.only() if named is None else await self.named(named)

    async def to_enter(self, named: str | None) -> Bank:
        """The bank that was named; if none was, the only one there is: being logged in at one says nothing of others."""
        return _the_only(self._known(), self._spelt()) if named is None else await self.named(named)

    def only(self) -> Bank:
        """The only bank where one is logged in; or the only one there is."""
        here = self.logged_in_at()
        return here[0] if len(here) == 1 else _the_only(self._known(), self._spelt())

    async def named(self, text: str) -> Bank:
        if text.startswith(("http://", "https://")):
            return await self._at(text.rstrip("/"))
        for bank in self._known():
            if text in (bank.slug, bank.ispb):
                return bank
        raise CommandError(
            say("No bank is called {bank} here. Known are: {banks}.", bank=text, banks=self._spelt())
        )

    def near(self, accounts: list[Address]) -> Bank:
        """The first of these accounts' banks where one is logged in; or else the only one where one is."""
        for account in accounts:
            bank = self._find(bank_of(account))
            if bank and self.session(bank):
                return bank
        return self.only()

    def holding(self, account: Address) -> Bank:
        """The bank that holds an account: its address names it."""
        if bank := self._find(bank_of(account)):
            return bank
        raise CommandError(
            say(
                "Where the bank {bank} is, is not known here: name it with --bank URL.", bank=bank_of(account)
            )
        )

    async def where(self, named: str | None, account: Address) -> Bank:
        """The bank that was named; if none was, the one that holds the account."""
        return self.holding(account) if named is None else await self.named(named)

    def session(self, bank: Bank) -> KeptSession | None:
        """One's session at this bank, or None; one at another address is not this bank's to see."""
        for session in self._sessions:
            if session.ispb == bank.ispb and session.url == bank.url:
                return session
        return None

    def logged_in(self, bank: Bank) -> KeptSession:
        if session := self.session(bank):
            return session
        raise CommandError(
            say(
                "You are not logged in at {bank}: ciranda login --bank {slug}",
                bank=bank.name,
                slug=bank.slug or bank.url,
            )
        )

    def client(self, bank: Bank) -> BankClient:
        """Speaks to the bank as the customer who is logged in there."""
        return self.stranger(bank.url, self.logged_in(bank).token)

    def stranger(self, url: str, token: str | None = None) -> BankClient:
        """Speaks to the bank at this URL, as whom the token shows, or as anybody."""
        return BankClient(url, token, authority=trusted(self.folder))

    def name_of(self, ispb: str) -> str:
        bank = self._find(ispb)
        return bank.name if bank else ispb

    def currency(self) -> str:
        return self._roster.currency if self._roster else "BRL"

    def operator_folder(self, bank: Bank) -> Path | None:
        """The bank's own folder, where its operator's token lies, if it is one of this consortium's folder."""
        return self.folder / bank.slug if self.folder and bank.slug else None

    def _find(self, ispb: str) -> Bank | None:
        return next((bank for bank in self._known() if bank.ispb == ispb), None)

    def _known(self) -> list[Bank]:
        members = _members(self._roster)
        return members + [bank for bank in self.logged_in_at() if bank.ispb not in {m.ispb for m in members}]

    def logged_in_at(self) -> list[Bank]:
        slugs = {(bank.ispb, bank.url): bank.slug for bank in _members(self._roster)}
        return [
            Bank(
                ispb=session.ispb,
                name=session.bank,
                url=session.url,
                slug=slugs.get((session.ispb, session.url)),
            )
            for session in self._sessions
            # In a consortium, a session at a stranger of the same ISPB is no session at all.
            if self._roster is None or (session.ispb, session.url) in slugs
        ]

    def _spelt(self) -> str:
        return ", ".join(bank.slug or f"{bank.ispb} ({bank.url})" for bank in self._known()) or say("none")

    async def _at(self, url: str) -> Bank:
        if not urlsplit(url).hostname:
            raise CommandError(say("{url} is not a URL.", url=url))
        for bank in self._known():
            if bank.url == url:
                return bank
        async with self.stranger(url) as client:
            card = await client.bank()
        return Bank(ispb=Ispb(card.ispb), name=card.name, url=url, slug=None)


def _the_only(banks: list[Bank], spelt: str) -> Bank:
    if len(banks) != 1:
        raise CommandError(say("Which bank? Name it with --bank: {banks}.", banks=spelt))
    return banks[0]


def typed_address(text: str) -> Address:
    """An account's address, as a person typed it."""
    try:
        return parse_address(text.strip())
    except ValueError as error:
        raise CommandError(f"{text}: {say(str(error))}.") from error


def _members(roster: Roster | None) -> list[Bank]:
    if roster is None:
        return []
    return [
        Bank(ispb=member.ispb, name=member.name, url=member.public_url, slug=member.slug)
        for member in roster.members.values()
    ]


def _folder(given: Path | None) -> Path | None:
    if given is not None:
        return given.parent if given.name == CONSORTIUM else given
    here = Path(CONSORTIUM)
    return Path() if here.is_file() else None
