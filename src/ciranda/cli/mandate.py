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
from ciranda.cli.code import CodeOption, with_code
from ciranda.cli.screen import CommandError, JsonOption, money, out, show_json, table
from ciranda.cli.speech import LangOption, say
from ciranda.cli.teller import AccountArgument, typed_amount
from ciranda.client import Mandate
from ciranda.identity import Address, parse_document
from ciranda.instant import Instant, parse_rfc3339, rfc3339
from ciranda.money import spell

commands = typer.Typer(
    no_args_is_help=True,
    help="Permissions that you gave other banks on your accounts: give, list, watch, pause, end.",
)

_DURATION = re.compile(r"([0-9]{1,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Scope(StrEnum):
    PAY = "pay"
    READ = "read"


IdArgument = Annotated[str, typer.Argument(help="The mandate's id.", metavar="ID")]
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
    per_day: Annotated[
        str | None, typer.Option(help="The most that all payments of a day may take.", show_default=False)
    ] = None,
    total: Annotated[
        str | None, typer.Option(help="The most that all payments together may take.", show_default=False)
    ] = None,
    starts: Annotated[
        str | None,
        typer.Option("--from", help="From when on: an RFC 3339 time.", show_default="now"),
    ] = None,
    expires: ExpiresOption = "30d",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it allows, once for each.", show_default="pay")
    ] = None,
    payer: Annotated[
        str | None,
        typer.Option(help="CPF or CNPJ of the one customer who may use it.", show_default="you"),
    ] = None,
    code: CodeOption = None,
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
        until = _expiry(expires)
        async with circle.client(holding) as client:
            mandate = await with_code(
                lambda code: client.give_mandate(
                    address,
                    to.ispb,
                    until,
                    per_payment=None if per_payment is None else typed_amount(per_payment),
                    per_day=None if per_day is None else typed_amount(per_day),
                    total=None if total is None else typed_amount(total),
                    starts_at=None if starts is None else _typed_time(starts),
                    scopes=[*scope] if scope else None,
                    payer=who,
                    code=code,
                ),
                code,
                holding.name,
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


@commands.command("uses")
def list_uses(
    id: IdArgument,
    limit: Annotated[int, typer.Option(help="How many uses to show.", min=1, max=100)] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Where the last page ended (its next_cursor, in JSON).")
    ] = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show every payment that used a mandate, newest first.

    Example: ciranda mandate uses 0a1b2c3d --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            page = await client.mandate_uses(id, limit=limit, cursor=cursor)
        if as_json:
            show_json({"uses": page.items, "next_cursor": page.next_cursor})
            return
        if not page.items:
            out.print(say("It was never used."))
            return
        amount = say("amount")
        shown = table(say("when"), say("payment"), amount, say("status"), say("description"), right=(amount,))
        for use in page.items:
            shown.add_row(
                local_time(use.used_at),
                use.payment,
                money(use.amount, circle.currency()),
                say(use.status),
                use.description or "",
            )
        out.print(shown)
        if page.next_cursor:
            out.print(say("There is more: --cursor {cursor}", cursor=page.next_cursor), style="dim")

    asyncio.run(run())


@commands.command("pause")
def pause_mandate(
    id: IdArgument,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Pause a mandate: until you resume it, it allows nothing.

    Example: ciranda mandate pause 0a1b2c3d --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            paused = await client.pause_mandate(id)
        if as_json:
            show_json(paused)
        else:
            out.print(say("The mandate is paused."))

    asyncio.run(run())


@commands.command("resume")
def resume_mandate(
    id: IdArgument,
    code: CodeOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """End a mandate's pause.

    Example: ciranda mandate resume 0a1b2c3d --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            resumed = await with_code(lambda code: client.resume_mandate(id, code=code), code, chosen.name)
        if as_json:
            show_json(resumed)
        else:
            out.print(say("The mandate works again."))

    asyncio.run(run())


@commands.command("end")
def end_mandate(
    id: IdArgument,
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
    code: str | None = None,
) -> str:
    """Gives a mandate as whoever is logged in at `bank`, which holds the account; its token. Where all holders must
    sign, one cannot be given in passing."""
    until = _time_in(lasts)
    async with circle.client(bank) as client:
        mandate = await with_code(
            lambda code: client.give_mandate(
                account,
                initiator.ispb,
                until,
                per_payment=at_most,
                total=at_most,
                scopes=scopes,
                payer=payer,
                code=code,
            ),
            code,
            bank.name,
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
    return _time_in(duration(text)) if _DURATION.fullmatch(text) else _typed_time(text)


def _typed_time(text: str) -> str:
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
                ("per day", mandate.per_day),
                ("total", mandate.total),
                ("used", mandate.used),
                ("today", mandate.used_today),
            )
            if amount is not None
        ]
        scopes = ", ".join(say(scope) for scope in mandate.scopes)
        out.print(Text(mandate.id, style="bold"), _lasts(mandate))
        out.print(
            f"  {mandate.account} → {circle.name_of(mandate.initiator)} ({scopes}) · {' · '.join(limits)}",
            soft_wrap=True,
        )


def _lasts(mandate: Mandate) -> str:
    if mandate.status != "given":
        return say(mandate.status)
    words = [say("paused")] if mandate.paused_at else []
    if mandate.starts_at:
        words.append(f"{say('from')} {local_time(mandate.starts_at)}")
    return " ".join([*words, say("until"), local_time(mandate.expires_at)])
