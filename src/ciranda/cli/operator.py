"""Operators: the bank's own people, and what they do besides cash."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ciranda.cli.account import local_time
from ciranda.cli.bank import BankOption, Circle, ConsortiumOption, typed_address
from ciranda.cli.mandate import duration
from ciranda.cli.screen import CommandError, JsonOption, money, out, show_json, table
from ciranda.cli.teller import AccountArgument, TokenFileOption, as_operator, typed_amount
from ciranda.client import Account, BankClient, Operator, Proposal
from ciranda.identity import Address
from ciranda.instant import Instant, rfc3339
from ciranda.settings import write_guarded

commands = typer.Typer(
    no_args_is_help=True,
    help="The bank's own people and what they do: add, list, end, token, draw, actions, block, unblock, close, "
    "reset-second-factor.",
)

T = TypeVar("T")


class Role(StrEnum):
    TELLER = "teller"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


NameArgument = Annotated[
    str, typer.Argument(help="The operator's name: small letters, digits and -.", metavar="NAME")
]
HashOption = Annotated[
    str | None,
    typer.Option(
        "--token-hash",
        help="What ciranda operator draw said. Default: the bank draws the token.",
        show_default=False,
    ),
]
ExpiresOption = Annotated[
    str | None, typer.Option("--expires", help="For how long: 12h, 90d.", show_default="90d")
]


@commands.command("add")
def add(
    name: NameArgument,
    role: Annotated[Role, typer.Option(help="What they may do.")],
    limit: Annotated[
        str | None,
        typer.Option(help="A teller's: the most that one deposit or withdrawal may be.", show_default=False),
    ] = None,
    token_hash: HashOption = None,
    expires: ExpiresOption = None,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name an operator. The token is shown once, here, unless its holder has drawn it.

    Example: ciranda operator add tina --role teller --limit 5000,00 --bank ipe

    Example: ciranda operator add ada --role admin --token-hash 2c26b46b68ffc68f... --bank ipe
    """

    async def ask(client: BankClient) -> Operator | Proposal:
        return await client.add_operator(
            name,
            role.value,
            cash_limit=None if limit is None else typed_amount(limit),
            token_hash=token_hash,
            expires_at=_until(expires),
        )

    _show_made(asyncio.run(ask_as_operator(ask, operator_token_file, bank, consortium)), as_json)


@commands.command("token")
def token(
    name: NameArgument,
    token_hash: HashOption = None,
    expires: ExpiresOption = None,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an operator a new token: yourself, or as an admin another one. The old one ends at once.

    Example: ciranda operator token tina --operator-token-file ./tina.token --bank ipe
    """

    async def ask(client: BankClient) -> Operator | Proposal:
        return await client.renew_token(name, token_hash=token_hash, expires_at=_until(expires))

    _show_made(asyncio.run(ask_as_operator(ask, operator_token_file, bank, consortium)), as_json)


@commands.command("draw")
def draw(
    name: NameArgument,
    file: Annotated[Path, typer.Option("--file", help="Where to keep the token: a new file, mode 0600.")],
) -> None:
    """Draw a token for yourself, that nobody else ever sees; its hash is what an admin is told. It asks no bank.

    Example: ciranda operator draw tina --file ./tina.token
    """
    drawn = f"op_{name}_{secrets.token_urlsafe(32)}"
    try:
        write_guarded(file, drawn.encode() + b"\n")
    except OSError as error:
        raise CommandError(f"{file}: it cannot be made: {error.strerror}.") from error
    typer.echo(sha256(drawn.encode()).hexdigest())


@commands.command("list")
def list_operators(
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the bank's operators, also those who were ended.

    Example: ciranda operator list --bank ipe
    """
    found = asyncio.run(ask_as_operator(BankClient.operators, operator_token_file, bank, consortium))
    if as_json:
        show_json({"operators": found})
        return
    shown = table("name", "role", "limit", "token until", "added by", "ended")
    for one in found:
        limit = "" if one.cash_limit is None else money(one.cash_limit)
        ended = "" if one.ended_at is None else local_time(one.ended_at)
        shown.add_row(one.name, one.role, limit, local_time(one.expires_at), one.added_by, ended)
    out.print(shown)


@commands.command("end")
def end(
    name: NameArgument,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
) -> None:
    """End an operator and their token, at once and for ever.

    Example: ciranda operator end tina --bank ipe
    """
    asyncio.run(
        ask_as_operator(lambda client: client.end_operator(name), operator_token_file, bank, consortium)
    )
    out.print(f"{name} is no operator any more.")


@commands.command("actions")
def actions(
    limit: Annotated[int, typer.Option(help="How many to show.", min=1, max=1000)] = 50,
    cursor: Annotated[
        str | None, typer.Option(help="Where the last page ended (its next_cursor, in JSON).")
    ] = None,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what operators did and tried, the latest first.

    Example: ciranda operator actions --limit 100 --bank ipe
    """
    page = asyncio.run(
        ask_as_operator(
            lambda client: client.actions(limit=limit, cursor=cursor), operator_token_file, bank, consortium
        )
    )
    if as_json:
        show_json({"actions": page.items, "next_cursor": page.next_cursor})
        return
    shown = table("when", "who", "what", "on what", "how", "outcome")
    for one in page.items:
        how = ", ".join(f"{name} {value}" for name, value in one.terms.items() if value is not None)
        shown.add_row(local_time(one.at), one.operator, one.action, one.subject, how, one.outcome)
    out.print(shown)
    if page.next_cursor:
        out.print(f"There is more: --cursor {page.next_cursor}", style="dim")


@commands.command("block")
def block(
    account: AccountArgument,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Block an account: it pays nothing and receives nothing.

    Example: ciranda operator block 10000001.0001.1234563 --consortium ./consortium
    """
    _change(BankClient.block, account, operator_token_file, bank, consortium, as_json)


@commands.command("unblock")
def unblock(
    account: AccountArgument,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an account's block.

    Example: ciranda operator unblock 10000001.0001.1234563 --consortium ./consortium
    """
    _change(BankClient.unblock, account, operator_token_file, bank, consortium, as_json)


@commands.command("close")
def close(
    account: AccountArgument,
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close an account for ever; it must be empty.

    Example: ciranda operator close 10000001.0001.1234563 --consortium ./consortium
    """
    _change(BankClient.close_account, account, operator_token_file, bank, consortium, as_json)


@commands.command("reset-second-factor")
def reset_second_factor(
    document: Annotated[str, typer.Argument(help="The customer's CPF or CNPJ.")],
    operator_token_file: TokenFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take away the second factor of a customer who has lost it, and end all their sessions.

    Example: ciranda operator reset-second-factor 529.982.247-25 --bank ipe
    """
    reset = asyncio.run(
        ask_as_operator(
            lambda client: client.reset_second_factor(document), operator_token_file, bank, consortium
        )
    )
    if as_json:
        show_json(reset)
    elif isinstance(reset, Proposal):
        show_proposed(reset)
    else:
        out.print("The customer has no second factor any more, and must log in again.")


def _change(
    change: Callable[[BankClient, Address], Awaitable[Account | Proposal]],
    account: str,
    token_file: Path | None,
    bank: str | None,
    consortium: Path | None,
    as_json: bool,
) -> None:
    async def run() -> Account | Proposal:
        circle, address = Circle(consortium), typed_address(account)
        chosen = await circle.where(bank, address)
        async with as_operator(circle, chosen, token_file) as client:
            return await change(client, address)

    changed = asyncio.run(run())
    if as_json:
        show_json(changed)
    elif isinstance(changed, Proposal):
        show_proposed(changed)
    else:
        out.print(f"{changed.address} is {changed.status}.")


async def ask_as_operator(
    ask: Callable[[BankClient], Awaitable[T]],
    token_file: Path | None,
    bank: str | None,
    consortium: Path | None,
) -> T:
    circle = Circle(consortium)
    chosen = await circle.to_enter(bank)
    async with as_operator(circle, chosen, token_file) as client:
        return await ask(client)


def show_proposed(proposal: Proposal) -> None:
    out.print(f"A second operator must approve it: {proposal.id}")


def _show_made(made: Operator | Proposal, as_json: bool) -> None:
    if as_json:
        show_json(made)
    elif isinstance(made, Proposal):
        show_proposed(made)
    else:
        out.print(f"{made.name} is {made.role} until {local_time(made.expires_at)}.")
        if made.token is not None:
            out.print("The token, which is shown this once and kept nowhere:")
            out.print(made.token)


def _until(lasts: str | None) -> str | None:
    if lasts is None:
        return None
    return rfc3339(Instant(int((datetime.now(UTC) + duration(lasts)).timestamp() * 1000)))
