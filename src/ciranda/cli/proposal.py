"""Proposals: what one operator wants done, and a second one approves or rejects."""

import asyncio
from typing import Annotated

import typer

from ciranda.cli.account import local_time
from ciranda.cli.bank import BankOption, ConsortiumOption
from ciranda.cli.operator import ask_as_operator
from ciranda.cli.screen import JsonOption, out, show_json, table
from ciranda.cli.teller import TokenFileOption
from ciranda.client import Proposal

commands = typer.Typer(no_args_is_help=True, help="What waits for a second operator: list, approve, reject.")

IdArgument = Annotated[str, typer.Argument(help="The proposal's id.", metavar="ID")]


@commands.command("list")
def list_proposals(
    limit: Annotated[int, typer.Option(help="How many to show.", min=1, max=1000)] = 50,
    cursor: Annotated[
        str | None, typer.Option(help="Where the last page ended (its next_cursor, in JSON).")
    ] = None,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for a second operator, and what became of the rest, the latest first.

    Example: ciranda proposal list --bank ipe --operator-token-file ./otto.token
    """
    page = asyncio.run(
        ask_as_operator(
            lambda client: client.proposals(limit=limit, cursor=cursor), operator_token_file, bank, consortium
        )
    )
    if as_json:
        show_json({"proposals": page.items, "next_cursor": page.next_cursor})
        return
    shown = table("id", "status", "what", "on what", "how", "by", "until")
    for one in page.items:
        how = ", ".join(f"{name} {value}" for name, value in one.terms.items() if value is not None)
        shown.add_row(one.id, one.status, one.action, one.subject, how, one.by, local_time(one.expires_at))
    out.print(shown)
    if page.next_cursor:
        out.print(f"There is more: --cursor {page.next_cursor}", style="dim")


@commands.command("approve")
def approve(
    id: IdArgument,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve what another operator proposed: it is done now. Read it first, and a token's hash over the telephone.

    Example: ciranda proposal approve 019aae3f72c05b0f6c2b1d9e4a71 --bank ipe --operator-token-file ./otto.token
    """
    decided = ask_as_operator(lambda client: client.approve(id), operator_token_file, bank, consortium)
    _show(asyncio.run(decided), as_json)


@commands.command("reject")
def reject(
    id: IdArgument,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject what another operator proposed, or take back what you proposed yourself.

    Example: ciranda proposal reject 019aae3f72c05b0f6c2b1d9e4a71 --bank ipe --operator-token-file ./otto.token
    """
    decided = ask_as_operator(lambda client: client.reject(id), operator_token_file, bank, consortium)
    _show(asyncio.run(decided), as_json)


def _show(proposal: Proposal, as_json: bool) -> None:
    if as_json:
        show_json(proposal)
    else:
        outcome = f" ({proposal.outcome})" if proposal.status == "failed" else ""
        out.print(f"{proposal.action} {proposal.subject}: {proposal.status}{outcome}.")
    if proposal.status == "failed":
        raise typer.Exit(1)
