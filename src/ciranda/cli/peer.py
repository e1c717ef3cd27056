"""Peers, as this bank's operators deal with them."""

import asyncio
from typing import Annotated

import typer

from ciranda.cli.bank import BankOption, ConsortiumOption
from ciranda.cli.operator import ask_as_operator, show_proposed
from ciranda.cli.screen import JsonOption, money, out, show_json
from ciranda.cli.teller import AmountArgument, TokenFileOption, typed_amount
from ciranda.client import Proposal

commands = typer.Typer(no_args_is_help=True, help="What other banks may owe this one: limit.")


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
