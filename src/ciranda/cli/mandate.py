"""Mandates: a holder's permission that another bank may start debits on an account, or see its balance."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from ciranda.cli.account import local_time
from ciranda.cli.bank import Bank, BankOption, Circle, ConsortiumOption, typed_address
from ciranda.cli.screen import CommandError, JsonOption, out, show_json
from ciranda.cli.speech import LangOption, say
from ciranda.cli.teller import AccountArgument, typed_amount
from ciranda.client import Mandate
from ciranda.identity import Address, parse_document
from ciranda.instant import Instant, parse_rfc3339, rfc3339
from ciranda.money import spell

commands = typer.Typer(
    no_args_is_help=True, help="Permissions that you gave other banks on your accounts: give, list, end."
)

_DURATION = re.compile(r"([0-9]{1,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Scope(StrEnum):
    PAY = "pay"
    READ = "read"


ExpiresOption = Annotated[
    str, typer.Option("--expires", help="For how long: 30m, 12h, 90d; or until when: an RFC 3339 time.")
]


@commands.command("give")
def give_mandate(
    account: AccountArgument,
    initiator: Annotated[str, typer.Option("--to", help="The bank that may use it: its slug, ISPB or URL.")],
    per_payment: Annotated[
        str | None, typer.Option(help="The most that one payment may take.", show_default=False)
    ] = None,
    total: Annotated[
        str | None, typer.Option(help="The most that all payments together may take.", show_default=False)
    ] = None,
    expires: ExpiresOption = "30d",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it allows, once for each.", show_default="pay")
    ] = None,
    payer: Annotated[
        str | None,
        typer.Option(help="CPF or CNPJ of the one customer who may use it.", show_default="you"),
    ] = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Allow another bank to start debits on an account of yours.

    Example: ciranda mandate give 10000001.0001.1234563 --to jatoba --per-payment 100,00 --total 500,00 --expires 30d
    """

    async def run() -> None:
        circle = Circle(consortium)
        address = typed_address(account)
        holding = await circle.where(bank, address)
        to = await circle.named(initiator)
        who = _typed_document(payer) if payer else circle.logged_in(holding).document
        async with circle.client(holding) as client:
            mandate = await client.give_mandate(
                address,
                to.ispb,
                _expiry(expires),
                per_payment=None if per_payment is None else typed_amount(per_payment),
                total=None if total is None else typed_amount(total),
                scopes=[*scope] if scope else None,
                payer=who,
            )
        if as_json:
            show_json(mandate)
        elif mandate.status == "awaiting_approval":
            out.print(say("All other holders of the account must approve: {id}", id=mandate.id))
            out.print(
                say(
                    "Once they have, {bank} may use {account}, with this token:",
                    bank=to.name,
                    account=address,
                )
            )
            out.print(mandate.token, soft_wrap=True)
        else:
            out.print(say("{bank} may now use {account}, with this token:", bank=to.name, account=address))
            out.print(mandate.token, soft_wrap=True)

    asyncio.run(run())


@commands.command("list")
def list_mandates(
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show the mandates that you gave at a bank, with what each has used.

    Example: ciranda mandate list --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            found = await client.mandates()
        if as_json:
            show_json({"mandates": found})
        elif found:
            _show(found, circle)
        else:
            out.print(say("No mandates at {bank}.", bank=chosen.name))

    asyncio.run(run())


@commands.command("end")
def end_mandate(
    id: Annotated[str, typer.Argument(help="The mandate's id.", metavar="ID")],
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    _lang: LangOption = None,
) -> None:
    """End a mandate: from now on it allows nothing.

    Example: ciranda mandate end 0a1b2c3d --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            await client.end_mandate(id)
        out.print(say("The mandate has ended."))

    asyncio.run(run())


async def give(
    circle: Circle,
    bank: Bank,
    account: Address,
    initiator: Bank,
    payer: str,
    *,
    lasts: timedelta,
    at_most: int | None = None,
    scopes: list[str] | None = None,
) -> str:
    """Gives a mandate as whoever is logged in at `bank`, which holds the account; its token. Where all holders must
    sign, one cannot be given in passing."""
    async with circle.client(bank) as client:
        mandate = await client.give_mandate(
            account,
            initiator.ispb,
            _time_in(lasts),
            per_payment=at_most,
            total=at_most,
            scopes=scopes,
            payer=payer,
        )
        if mandate.status == "awaiting_approval":
            await client.end_mandate(mandate.id)
            hint = "All holders of {account} must sign: ciranda mandate give, then ciranda approve."
            raise CommandError(say(hint, account=account))
    assert mandate.token is not None, "a mandate's giver is told its token"
    return mandate.token


def duration(text: str) -> timedelta:
    """`30m`, `12h` or `90d`."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise CommandError(say("{text} is not a time, such as 30m, 12h or 90d.", text=text))
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _expiry(text: str) -> str:
    if _DURATION.fullmatch(text):
        return _time_in(duration(text))
    try:
        return rfc3339(parse_rfc3339(text))
    except ValueError as error:
        raise CommandError(say("{text} is not a time, such as 30m, 12h or 90d.", text=text)) from error


def _time_in(duration: timedelta) -> str:
    return rfc3339(Instant(int((datetime.now(UTC) + duration).timestamp() * 1000)))


def _typed_document(text: str) -> str:
    try:
        return parse_document(text)
    except ValueError as error:
        raise CommandError(f"{text}: {say(str(error))}.") from error


def _show(mandates: list[Mandate], circle: Circle) -> None:
    """Two lines for each: it has more to say than fits on one."""
    currency = circle.currency()
    for mandate in mandates:
        limits = [
            f"{say(name)} {spell(amount, currency)}"
            for name, amount in (
                ("per payment", mandate.per_payment),
                ("total", mandate.total),
                ("used", mandate.used),
            )
            if amount is not None
        ]
        scopes = ", ".join(say(scope) for scope in mandate.scopes)
        until = (
            f"{say('until')} {local_time(mandate.expires_at)}"
            if mandate.status == "given"
            else say(mandate.status)
        )
        out.print(Text(mandate.id, style="bold"), until)
        out.print(
            f"  {mandate.account} → {circle.name_of(mandate.initiator)} ({scopes}) · {' · '.join(limits)}",
            soft_wrap=True,
        )
