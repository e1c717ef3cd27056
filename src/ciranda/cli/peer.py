"""Peers, as this bank's operators deal with them."""

import asyncio
from typing import Annotated

import typer

from ciranda.cli.account import local_time
from ciranda.cli.bank import BankOption, ConsortiumOption
from ciranda.cli.operator import ask_as_operator, show_proposed
from ciranda.cli.screen import JsonOption, money, out, show_json, table
from ciranda.cli.teller import AmountArgument, TokenFileOption, typed_amount
from ciranda.client import BankClient, Head, Proposal

_AT_ONCE = 1_000

commands = typer.Typer(
    no_args_is_help=True, help="Other banks, as this one deals with them: limit, heads, disputes."
)


@commands.command("limit")
def limit(
    peer: Annotated[str, typer.Argument(help="The peer's ISPB.", metavar="ISPB")],
    amount: AmountArgument,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set what a peer may owe the bank at most: at once, and over what the settings say.

    Example: ciranda peer limit 10000002 500000,00 --bank ipe
    """
    changed = asyncio.run(
        ask_as_operator(
            lambda client: client.set_limit(peer, typed_amount(amount)), operator_token_file, bank, consortium
        )
    )
    if as_json:
        show_json(changed)
    elif isinstance(changed, Proposal):
        show_proposed(changed)
    else:
        out.print(f"{changed.name} may owe at most ", money(changed.limit), ".", sep="")


@commands.command("heads")
def heads(
    peer: Annotated[str, typer.Argument(help="The peer's ISPB.", metavar="ISPB")],
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the bank's copies of a peer's chain heads, as the peer signed them, the newest first.

    With --json this is what the peer's auditor gives to ciranda audit --chain --heads.

    Example: ciranda peer heads 10000002 --bank ipe --json
    """

    async def ask(client: BankClient) -> list[Head]:
        page = await client.heads(peer, limit=_AT_ONCE)
        found = page.items
        while page.next_cursor is not None:
            page = await client.heads(peer, limit=_AT_ONCE, cursor=page.next_cursor)
            found += page.items
        return found

    found = asyncio.run(ask_as_operator(ask, operator_token_file, bank, consortium))
    if as_json:
        show_json({"heads": found})
        return
    shown = table("signed at", "folio", "hash", right=("folio",))
    for head in found:
        shown.add_row(local_time(head.at), str(head.number), head.hash)
    out.print(shown if found else f"There is no copy of a head of {peer} yet.")


@commands.command("disputes")
def disputes(
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which bank's chain is not what it signed, by whose copy.

    Example: ciranda peer disputes --bank ipe
    """
    found = asyncio.run(
        ask_as_operator(lambda client: client.disputes(), operator_token_file, bank, consortium)
    )
    if as_json:
        show_json({"disputes": found})
        return
    shown = table("seen at", "whose chain", "folio", "whose copy", "signed at", right=("folio",))
    for one in found:
        head = one.head
        shown.add_row(local_time(one.seen_at), head.bank, str(head.number), head.holder, local_time(head.at))
    out.print(shown if found else "No chain is in dispute.")
