"""An account's limits: how much may leave it in one transfer, in one day, in one night."""

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from ciranda.cli.account import local_time
from ciranda.cli.bank import BankOption, Circle, ConsortiumOption, typed_address
from ciranda.cli.code import CodeOption, with_code
from ciranda.cli.screen import CommandError, JsonOption, money, out, show_json, table
from ciranda.cli.speech import LangOption, say
from ciranda.cli.teller import AccountArgument, typed_amount
from ciranda.client import Limits
from ciranda.money import spell

commands = typer.Typer(no_args_is_help=True, help="How much may leave an account of yours: show, set.")

NOTHING = "0"


@commands.command("show")
def show_limits(
    account: AccountArgument,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show an account's limits, and what was spent against them.

    Example: ciranda limits show 10000001.0001.1234563
    """

    async def run() -> None:
        circle = Circle(consortium)
        address = typed_address(account)
        chosen = await circle.where(bank, address)
        async with circle.client(chosen) as client:
            _show(await client.limits(address), circle.currency(), as_json)

    asyncio.run(run())


@commands.command("set")
def set_limits(
    account: AccountArgument,
    per_transfer: Annotated[
        str | None, typer.Option(help="The most that one transfer may take.", show_default=False)
    ] = None,
    per_day: Annotated[
        str | None, typer.Option(help="The most that may leave it in a day.", show_default=False)
    ] = None,
    per_night: Annotated[
        str | None,
        typer.Option(help="The most that may leave it between 20:00 and 06:00.", show_default=False),
    ] = None,
    code: CodeOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Choose an account's limits: a lower one acts at once, a higher one after 24 hours. 0 lets nothing out.

    Example: ciranda limits set 10000001.0001.1234563 --per-day 2000,00 --per-night 500,00
    """

    async def run() -> None:
        given = {"per_transfer": per_transfer, "per_day": per_day, "per_night": per_night}
        figures = {name: _figure(text) for name, text in given.items() if text is not None}
        if not figures:
            raise CommandError(say("Say which limit: --per-transfer, --per-day or --per-night."))
        circle = Circle(consortium)
        address = typed_address(account)
        chosen = await circle.where(bank, address)
        async with circle.client(chosen) as client:
            limits = await with_code(
                lambda code: client.set_limits(address, **figures, code=code), code, chosen.name
            )
        _show(limits, circle.currency(), as_json)

    asyncio.run(run())


def _figure(text: str) -> int:
    return 0 if text == NOTHING else typed_amount(text)


def _show(limits: Limits, currency: str, as_json: bool) -> None:
    if as_json:
        show_json(limits)
        return
    if not limits.enforced:
        out.print(say("This bank keeps no limits."))
        return
    limit, spent = say("limit"), say("spent")
    shown = table("", limit, spent, say("raised to"), right=(limit, spent))
    raises = {one.limit: one for one in limits.raises}
    for name, amount, already in (
        ("per_transfer", limits.per_transfer, None),
        ("per_day", limits.per_day, limits.spent_today),
        ("per_night", limits.per_night, limits.spent_tonight),
    ):
        raised = raises.get(name)
        shown.add_row(
            say(name.replace("_", " ")),
            say("no limit") if amount is None else money(amount, currency),
            Text() if already is None else money(already, currency),
            "" if raised is None else f"{spell(raised.amount, currency)} · {local_time(raised.acts_at)}",
        )
    out.print(shown)
