"""A second factor: codes from one's own device, without which a stolen session or password is of little use."""

import asyncio
from typing import Annotated

import typer

from ciranda.cli.bank import Bank, BankOption, Circle, ConsortiumOption
from ciranda.cli.code import CodeOption, with_code
from ciranda.cli.customer import PasswordFileOption, read_password
from ciranda.cli.screen import JsonOption, out, show_json
from ciranda.cli.speech import LangOption, say
from ciranda.cli.teller import typed_amount
from ciranda.client import SecondFactor
from ciranda.money import spell

commands = typer.Typer(
    no_args_is_help=True, help="Codes from your own device: add, confirm, show, set, recovery, remove."
)


@commands.command("add")
def add(
    password_file: PasswordFileOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Get a secret for the app on your device that makes codes. It guards nothing until you confirm it.

    Example: ciranda second-factor add --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        circle.logged_in(chosen)
        password = read_password(password_file, new=False)
        async with circle.client(chosen) as client:
            made = await client.enrol_second_factor(password)
        if as_json:
            show_json(made)
            return
        out.print(say("Add this to the app on your device that makes codes:"))
        out.print(made.uri, soft_wrap=True)
        out.print(made.secret)
        out.print(say("Then confirm it: ciranda second-factor confirm CODE"))

    asyncio.run(run())


@commands.command("confirm")
def confirm(
    code: Annotated[str, typer.Argument(help="The code that your device shows.", metavar="CODE")],
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Switch the second factor on, with a first code; shows the recovery codes, this once.

    Example: ciranda second-factor confirm 123456 --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            codes = await client.confirm_second_factor(code)
        if as_json:
            show_json({"recovery_codes": codes})
            return
        out.print(say("Your second factor at {bank} is on.", bank=chosen.name))
        _show_codes(codes)

    asyncio.run(run())


@commands.command("show")
def show(
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show whether you have a second factor at a bank, and what it guards.

    Example: ciranda second-factor show --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            found = await client.second_factor()
        if as_json:
            show_json(found)
        else:
            _show(found, chosen, circle)

    asyncio.run(run())


@commands.command("set")
def set_guard(
    payments_from: Annotated[
        str | None,
        typer.Option(
            help="From which sum in a day on payments need a code. Default: the bank's figure.",
            show_default=False,
        ),
    ] = None,
    at_login: Annotated[
        bool, typer.Option("--at-login/--not-at-login", help="Whether logging in needs a code.")
    ] = False,
    code: CodeOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Set what your second factor guards, besides mandates: it needs a code itself.

    Example: ciranda second-factor set --payments-from 100,00 --at-login --code 123456 --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        amount = None if payments_from is None else typed_amount(payments_from)
        async with circle.client(chosen) as client:
            found = await with_code(
                lambda code: client.guard_with_second_factor(code, payments_from=amount, at_login=at_login),
                code,
                chosen.name,
            )
        if as_json:
            show_json(found)
        else:
            _show(found, chosen, circle)

    asyncio.run(run())


@commands.command("recovery")
def recovery(
    code: CodeOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Get fresh recovery codes. Those of before are worth nothing any more.

    Example: ciranda second-factor recovery --code 123456 --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            codes = await with_code(client.renew_recovery_codes, code, chosen.name)
        if as_json:
            show_json({"recovery_codes": codes})
        else:
            _show_codes(codes)

    asyncio.run(run())


@commands.command("remove")
def remove(
    password_file: PasswordFileOption = None,
    code: CodeOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    _lang: LangOption = None,
) -> None:
    """Switch the second factor off: it needs your password, and a code or a recovery code.

    Example: ciranda second-factor remove --code 123456 --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        circle.logged_in(chosen)
        password = read_password(password_file, new=False)
        async with circle.client(chosen) as client:
            await with_code(lambda code: client.remove_second_factor(password, code), code, chosen.name)
        out.print(say("Your second factor at {bank} is off.", bank=chosen.name))

    asyncio.run(run())


def _show(found: SecondFactor, bank: Bank, circle: Circle) -> None:
    if found.status == "off":
        out.print(say("Your second factor at {bank} is off.", bank=bank.name))
        return
    if found.status == "unconfirmed":
        out.print(
            say(
                "Your second factor at {bank} waits for its first code: ciranda second-factor confirm CODE",
                bank=bank.name,
            )
        )
        return
    out.print(say("Your second factor at {bank} is on.", bank=bank.name))
    amount = spell(found.payments_from, circle.currency())
    out.print(say("Payments need a code from {amount} in a day on.", amount=amount))
    out.print(say("Logging in needs a code." if found.at_login else "Logging in needs no code."))
    out.print(say("Recovery codes left: {count}.", count=found.recovery_codes_left))


def _show_codes(codes: list[str]) -> None:
    out.print(say("Keep these recovery codes on paper. Each is good once, in place of a code:"))
    for code in codes:
        out.print(f"  {code}")
