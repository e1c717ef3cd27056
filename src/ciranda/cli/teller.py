"""The teller: cash in, cash out, with an operator's token."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from ciranda.cli.amount import parse_amount
from ciranda.cli.bank import Bank, BankOption, Circle, ConsortiumOption, typed_address
from ciranda.cli.screen import CommandError, JsonOption, out, show_json
from ciranda.cli.speech import LangOption, say
from ciranda.client import BankClient, Proposal
from ciranda.money import spell
from ciranda.settings import OPERATOR_TOKEN, read_operator_token

AccountArgument = Annotated[str, typer.Argument(help="The account's address.", metavar="ACCOUNT")]
AmountArgument = Annotated[str, typer.Argument(help="Such as 10, 10,50 or 1.234,56.", metavar="AMOUNT")]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--operator-token-file",
        envvar="CIRANDA_OPERATOR_TOKEN_FILE",
        help="Your token. Default: the bank's operator.token in the consortium's folder.",
        show_default=False,
    ),
]
DescriptionOption = Annotated[
    str | None, typer.Option("--description", help="What the statement shows.", show_default=False)
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="An idempotency key: the same command with the same key has one effect.",
        show_default=False,
    ),
]


def deposit(
    account: AccountArgument,
    amount: AmountArgument,
    description: DescriptionOption = None,
    operator_token_file: TokenFileOption = None,
    key: KeyOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Put cash into an account, as one of the bank's operators.

    Example: ciranda deposit 10000001.0001.1234563 250,00 --consortium ./consortium
    """

    asyncio.run(
        _at_the_teller(
            "deposit", account, amount, description, operator_token_file, key, bank, consortium, as_json
        )
    )


def withdraw(
    account: AccountArgument,
    amount: AmountArgument,
    description: DescriptionOption = None,
    operator_token_file: TokenFileOption = None,
    key: KeyOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Pay cash out of an account, as one of the bank's operators.

    Example: ciranda withdraw 10000001.0001.1234563 50,00 --consortium ./consortium
    """

    asyncio.run(
        _at_the_teller(
            "withdraw", account, amount, description, operator_token_file, key, bank, consortium, as_json
        )
    )


def typed_amount(text: str) -> int:
    """An amount in centavos, as a person typed it."""
    try:
        return parse_amount(text)
    except ValueError as error:
        raise CommandError(f"{error}.") from error


async def _at_the_teller(
    what: Literal["deposit", "withdraw"],
    account: str,
    amount: str,
    description: str | None,
    token_file: Path | None,
    key: str | None,
    bank: str | None,
    consortium: Path | None,
    as_json: bool,
) -> None:
    circle = Circle(consortium)
    address, centavos = typed_address(account), typed_amount(amount)
    chosen = await circle.where(bank, address)
    async with as_operator(circle, chosen, token_file) as client:
        done = client.deposit if what == "deposit" else client.withdraw
        paid = await done(address, centavos, description=description, key=key)
    if as_json:
        show_json(paid)
    elif isinstance(paid, Proposal):
        out.print(say("A second operator must approve it: {id}", id=paid.id))
    else:
        sum = spell(paid.amount, circle.currency())
        out.print(
            say("Deposited: {amount}.", amount=sum)
            if what == "deposit"
            else say("Paid out: {amount}.", amount=sum)
        )


def as_operator(circle: Circle, bank: Bank, token_file: Path | None) -> BankClient:
    """Speaks to the bank with the token in `token_file`, or else as root."""
    return circle.stranger(bank.url, read_operator_token(token_file or _token_file(circle, bank)))


def _token_file(circle: Circle, bank: Bank) -> Path:
    folder = circle.operator_folder(bank)
    if folder is None:
        raise CommandError(
            say(
                "This is the operator's: give --operator-token-file, or --consortium with the bank's folder in it."
            )
        )
    return folder / OPERATOR_TOKEN
