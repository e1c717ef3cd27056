"""A customer's accounts: seeing them, opening one, reading its statement."""

import asyncio
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from ciranda.cli.bank import BankOption, Circle, ConsortiumOption, typed_address
from ciranda.cli.screen import JsonOption, money, out, show_json, table
from ciranda.cli.speech import LangOption, say
from ciranda.client import ListedAccount
from ciranda.identity import kind_of


class Kind(StrEnum):
    INDIVIDUAL = "individual"
    BUSINESS = "business"
    JOINT = "joint"


class Signatures(StrEnum):
    ANY = "any"
    ALL = "all"


def accounts(
    bank: BankOption = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", "-e", help="Also the linked accounts at other banks.")
    ] = False,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show your accounts at a bank, with their balances.

    Example: ciranda accounts --bank ipe --everywhere
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            found = await client.accounts(everywhere=everywhere)
        if as_json:
            show_json({"accounts": found})
        elif found:
            _show(found, circle.currency())
        else:
            out.print(say("You have no account at {bank} yet: ciranda open", bank=chosen.name))

    asyncio.run(run())


def open_account(
    kind: Annotated[
        Kind | None,
        typer.Argument(help="Default: individual for a person, business for a company.", show_default=False),
    ] = None,
    holder: Annotated[
        list[str] | None,
        typer.Option(
            "--holder", help="A holder's CPF or CNPJ, for a joint account; once for each, you among them."
        ),
    ] = None,
    signatures: Annotated[
        Signatures | None, typer.Option(help="Joint: who must agree to a payment.", show_default="any")
    ] = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Open an account at a bank where you are logged in.

    Example: ciranda open joint --holder 111.444.777-35 --holder 529.982.247-25 --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        person = kind_of(circle.logged_in(chosen).document) == "person"
        wanted = kind or (Kind.INDIVIDUAL if person else Kind.BUSINESS)
        async with circle.client(chosen) as client:
            account = await client.open_account(wanted, holders=holder, signatures=signatures)
        if as_json:
            show_json(account)
        else:
            out.print(say("Your account at {bank}: {address}", bank=chosen.name, address=account.address))

    asyncio.run(run())


def statement(
    account: Annotated[str, typer.Argument(help="The account's address.", metavar="ACCOUNT")],
    limit: Annotated[int, typer.Option(help="How many entries to show.", min=1, max=100)] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Where the last page ended (its next_cursor, in JSON).")
    ] = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show an account's entries, newest first.

    Example: ciranda statement 10000001.0001.1234563 --limit 50
    """

    async def run() -> None:
        circle = Circle(consortium)
        address = typed_address(account)
        chosen = await circle.where(bank, address)
        async with circle.client(chosen) as client:
            page = await client.entries(address, limit=limit, cursor=cursor)
        if as_json:
            show_json({"entries": page.items, "next_cursor": page.next_cursor})
            return
        if not page.items:
            out.print(say("No entries yet."))
            return
        currency = circle.currency()
        amount, balance = say("amount"), say("balance")
        shown = table(say("when"), amount, balance, say("with"), say("description"), right=(amount, balance))
        for entry in page.items:
            shown.add_row(
                local_time(entry.booked_at),
                money(entry.amount, currency, signed=True),
                money(entry.balance, currency),
                entry.counterpart or say("cash"),
                entry.description or "",
            )
        out.print(shown)
        if page.next_cursor:
            out.print(say("There is more: --cursor {cursor}", cursor=page.next_cursor), style="dim")

    asyncio.run(run())


def local_time(text: str) -> str:
    """A bank's time, which is UTC, as the clock on the wall shows it."""
    return f"{datetime.fromisoformat(text).astimezone():%d/%m/%Y %H:%M:%S}"


def _show(accounts: list[ListedAccount], currency: str) -> None:
    balance, held, available = say("balance"), say("held"), say("available")
    several = any(account.bank for account in accounts)
    some_held = any(account.held for account in accounts)
    columns = [say("account"), say("kind"), balance, available, say("status")]
    if some_held:
        columns.insert(3, held)
    if several:
        columns.insert(0, say("bank"))
    shown = table(*columns, right=(balance, held, available))
    for account in accounts:
        row: list[Text | str] = [
            account.address,
            say(account.kind),
            _figure(account.balance, currency),
            _figure(account.available, currency),
            say(account.status) if account.reachable else say("its bank cannot be reached now"),
        ]
        if some_held:
            row.insert(3, _figure(account.held, currency))
        if several:
            row.insert(0, account.bank or "")
        shown.add_row(*row)
    out.print(shown)


def _figure(amount: int | None, currency: str) -> Text:
    return Text() if amount is None else money(amount, currency)
