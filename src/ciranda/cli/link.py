"""Links: an account of yours at another bank, seen and used from this one.

The bank that holds the account must allow it: whoever is logged in there gives the mandate here, in passing.
"""

import asyncio
from typing import Annotated

import typer

from ciranda.cli.bank import Bank, BankOption, Circle, ConsortiumOption, typed_address
from ciranda.cli.code import CodeOption
from ciranda.cli.mandate import duration, give
from ciranda.cli.screen import CommandError, JsonOption, out, show_json, table
from ciranda.cli.speech import LangOption, say
from ciranda.cli.teller import AccountArgument
from ciranda.identity import Address, bank_of

commands = typer.Typer(
    no_args_is_help=True, help="Your accounts at other banks, seen and used from one: add, list, remove."
)


@commands.command("add")
def add_link(
    account: AccountArgument,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show it, but do not pay out of it.")
    ] = False,
    expires: Annotated[str, typer.Option("--expires", help="For how long: 12h, 90d.")] = "90d",
    mandate: Annotated[
        str | None,
        typer.Option(
            help="The token of a mandate. Default: one is given at the account's bank, where you are logged in.",
            show_default=False,
        ),
    ] = None,
    code: CodeOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """See and use an account of yours from another bank: --bank, or the only other one where you are logged in.

    Example: ciranda link add 10000001.0001.1234563 --bank jatoba
    """

    async def run() -> None:
        circle = Circle(consortium)
        address = typed_address(account)
        chosen = await circle.named(bank) if bank else _other(circle, address)
        token = mandate
        if token is None:
            token = await give(
                circle,
                circle.holding(address),
                address,
                chosen,
                circle.logged_in(chosen).document,
                lasts=duration(expires),
                scopes=["read"] if read_only else ["pay", "read"],
                code=code,
            )
        async with circle.client(chosen) as client:
            linked = await client.link(address, token)
        if as_json:
            show_json(linked)
        else:
            out.print(say("{account} is now linked at {bank}.", account=address, bank=chosen.name))

    asyncio.run(run())


@commands.command("list")
def list_links(
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show the accounts that you linked at a bank.

    Example: ciranda link list --bank jatoba
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            found = await client.links()
        if as_json:
            show_json({"links": found})
            return
        if not found:
            out.print(say("No links at {bank}.", bank=chosen.name))
            return
        shown = table(say("account"), say("bank"), say("scopes"))
        for link in found:
            shown.add_row(link.account, link.bank, ", ".join(say(scope) for scope in link.scopes))
        out.print(shown)

    asyncio.run(run())


@commands.command("remove")
def remove_link(
    account: AccountArgument,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    _lang: LangOption = None,
) -> None:
    """Forget a linked account; the account itself stays as it is.

    Example: ciranda link remove 10000001.0001.1234563 --bank jatoba
    """

    async def run() -> None:
        circle = Circle(consortium)
        address = typed_address(account)
        chosen = await circle.named(bank) if bank else _other(circle, address)
        async with circle.client(chosen) as client:
            await client.unlink(address)
        out.print(say("{account} is no longer linked at {bank}.", account=address, bank=chosen.name))

    asyncio.run(run())


def _other(circle: Circle, account: Address) -> Bank:
    """The only bank where one is logged in that does not hold this account."""
    others = [bank for bank in circle.logged_in_at() if bank.ispb != bank_of(account)]
    if len(others) != 1:
        raise CommandError(say("At which bank? Name it with --bank."))
    return others[0]
