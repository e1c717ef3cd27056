"""Paying: out of one account or out of several, in several banks, all or none; and looking at what was paid.

The bank that coordinates needs a mandate for each account at another bank. Whoever is logged in there gives it here, in
passing: for this bank, for this amount, for ten minutes.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from ciranda.cli.account import local_time
from ciranda.cli.bank import Bank, BankOption, Circle, ConsortiumOption, typed_address
from ciranda.cli.code import with_code
from ciranda.cli.mandate import give
from ciranda.cli.screen import CommandError, JsonOption, err, money, out, show_json, table
from ciranda.cli.speech import YES, LangOption, reason, say
from ciranda.cli.teller import DescriptionOption, KeyOption, typed_amount
from ciranda.client import BankClient, Order, Payment, ProblemError, new_key
from ciranda.identity import Address, Ispb, bank_of, parse_end_to_end_id
from ciranda.money import spell
from ciranda.payment import Status

_MANDATE_LASTS = timedelta(minutes=10)
_PATIENCE_S = 60.0
"""How long a pending payment is asked after. It is decided well before, unless banks are down."""


def pay(
    source: Annotated[
        str | None, typer.Argument(help="The account that pays.", metavar="SOURCE", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Argument(help="The account that is paid.", metavar="TARGET", show_default=False)
    ] = None,
    amount: Annotated[
        str | None, typer.Argument(help="Such as 10 or 10,50.", metavar="AMOUNT", show_default=False)
    ] = None,
    from_: Annotated[
        list[str] | None,
        typer.Option("--from", help="ACCOUNT=AMOUNT, once for each account that pays.", show_default=False),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The account that is paid.", show_default=False)
    ] = None,
    description: DescriptionOption = None,
    reference: Annotated[
        str | None, typer.Option(help="Your own reference, letters and digits.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is right.")] = False,
    key: KeyOption = None,
    code: Annotated[
        list[str] | None,
        typer.Option(
            "--code",
            metavar="[BANK=]CODE",
            help="A code of your second factor: at the bank that coordinates, or at BANK, whose account pays too.",
            show_default=False,
        ),
    ] = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Pay, out of one account or of several at once, at any banks: all or none.

    The bank that coordinates is --bank, or else the first source's bank where you are logged in.

    Example: ciranda pay 10000001.0001.1234563 10000004.0001.7654327 25,90

    Example: ciranda pay --from 10000001.0001.1234563=10,00 --from 10000002.0001.1234571=20,00
    --to 10000004.0001.7654327 --bank jatoba
    """
    parts, paid = _parts(source, target, amount, from_ or [], to)
    asyncio.run(
        _pay(Circle(consortium), bank, parts, paid, description, reference, yes, key, code or [], as_json)
    )


def payee(
    account: Annotated[str, typer.Argument(help="The account's address.", metavar="ACCOUNT")],
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show whose an account is, its name masked: what one checks before paying.

    Example: ciranda payee 10000004.0001.7654327
    """

    async def run() -> None:
        circle = Circle(consortium)
        address = typed_address(account)
        chosen = await circle.choose(bank) if bank else circle.near([address])
        async with circle.client(chosen) as client:
            found = await client.payee(address)
        if as_json:
            show_json(found)
        else:
            out.print(f"{found.name} · {say(found.kind)} · {found.bank} · {found.address}")

    asyncio.run(run())


def payments(
    id: Annotated[
        str | None,
        typer.Argument(
            help="A payment's id; without it, the latest are listed.", metavar="ID", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many payments to show.", min=1, max=100)] = 20,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show the payments that you asked a bank for, or one of them.

    Example: ciranda payments --bank jatoba
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        if id is not None:
            try:
                parse_end_to_end_id(id)
            except ValueError as error:
                raise CommandError(f"{id}: {say(str(error))}.") from error
        async with circle.client(chosen) as client:
            if id is None:
                page = await client.payments(limit=limit)
                found = page.items
            else:
                found = [await client.payment(id)]
        if as_json:
            show_json(found[0] if id else {"payments": found, "next_cursor": page.next_cursor})
        elif found:
            _list(found, circle)
        else:
            out.print(say("No payments yet."))

    asyncio.run(run())


Part = tuple[Address, int]
"""A source and what it pays, in centavos."""


def _parts(
    source: str | None, target: str | None, amount: str | None, from_: list[str], to: str | None
) -> tuple[list[Part], Address]:
    """What was typed in one of the two ways: SOURCE TARGET AMOUNT, or --from … --to."""
    simple = (source, target, amount)
    if from_ and to and simple == (None, None, None):
        return [_part(text) for text in from_], typed_address(to)
    if source and target and amount and not from_ and to is None:
        return [(typed_address(source), typed_amount(amount))], typed_address(target)
    raise CommandError(
        say("Say SOURCE TARGET AMOUNT, or --from ACCOUNT=AMOUNT (once or more) and --to ACCOUNT.")
    )


def _part(text: str) -> Part:
    account, equals, amount = text.partition("=")
    if not equals:
        raise CommandError(say("{text}: write it as ACCOUNT=AMOUNT.", text=text))
    return typed_address(account), typed_amount(amount)


async def _pay(
    circle: Circle,
    bank: str | None,
    parts: list[Part],
    target: Address,
    description: str | None,
    reference: str | None,
    yes: bool,
    key: str | None,
    codes: list[str],
    as_json: bool,
) -> None:
    coordinator = await circle.named(bank) if bank else circle.near([account for account, _ in parts])
    code_at = await _codes(circle, coordinator, codes)
    async with circle.client(coordinator) as client:
        await _confirm(circle, client, coordinator, parts, target, yes)
        tokens = await _mandates(circle, client, coordinator, parts, key, code_at)
        orders = [
            Order(source=account, target=target, amount=amount, mandate=tokens.get(account))
            for account, amount in parts
        ]
        once = key or new_key()
        paying = with_code(
            lambda code: client.pay(
                orders, description=description, reference=reference, key=once, code=code
            ),
            code_at.get(coordinator.ispb),
            coordinator.name,
        )
        await follow(circle, client, paying, as_json)


async def follow(circle: Circle, client: BankClient, paying: Awaitable[Payment], as_json: bool) -> None:
    """Waits for what comes of a payment, and tells it; the exit code is 1 if it is refused, 2 if not decided yet."""
    try:
        paid = await paying
    except ProblemError as problem:
        if "payment" not in problem.payload or as_json:
            raise
        _tell_refusal(circle, str(problem.payload.get("bank")), problem.code, problem.detail)
        raise typer.Exit(1) from problem
    paid = await _decided(client, paid)
    if as_json:
        show_json(paid)
    else:
        _tell(circle, paid)
    if paid.status is Status.REFUSED:
        raise typer.Exit(1)
    if paid.status is Status.PENDING:
        raise typer.Exit(2)


async def _confirm(
    circle: Circle, client: BankClient, coordinator: Bank, parts: list[Part], target: Address, yes: bool
) -> None:
    """On a terminal: shows who is paid what, from where, and asks whether that is right."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    found = await client.payee(target)
    currency = circle.currency()
    err.print(Text(spell(sum(amount for _, amount in parts), currency), style="bold"), say("to"), end=" ")
    err.print(Text(found.name, style="bold"), f"({found.bank}, {found.address})")
    for account, amount in parts:
        err.print(
            f"  {spell(amount, currency):>16}  {say('from')} {account} ({circle.name_of(bank_of(account))})"
        )
    err.print(say("Paid through {bank}.", bank=coordinator.name), style="dim")
    answer: str = typer.prompt(say("Pay? [y/N]"), default="n", show_default=False, err=True)
    if answer.strip().lower() not in YES:
        raise typer.Exit(1)


async def _codes(circle: Circle, coordinator: Bank, codes: list[str]) -> dict[Ispb, str]:
    """The codes of one's second factors, by bank."""
    code_at = {}
    for text in codes:
        bank, named, code = text.rpartition("=")
        code_at[(await circle.named(bank)).ispb if named else coordinator.ispb] = code
    return code_at


async def _mandates(
    circle: Circle,
    client: BankClient,
    coordinator: Bank,
    parts: list[Part],
    key: str | None,
    code_at: dict[Ispb, str],
) -> dict[Address, str]:
    """A mandate's token for each source that is neither at the coordinator nor linked there."""
    needed: Counter[Address] = Counter()
    for account, amount in parts:
        if bank_of(account) != coordinator.ispb:
            needed[account] += amount
    if not needed:
        return {}
    linked = {link.account for link in await client.links() if "pay" in link.scopes}
    missing = [account for account in needed if account not in linked]
    if missing and key is not None:
        # A fresh mandate makes the request another one, which its key would then refuse.
        raise CommandError(say("With --key, accounts at other banks must be linked first: ciranda link add."))
    payer = circle.logged_in(coordinator).document
    # All sessions first: whoever is not logged in at the last bank has given no mandate at the first.
    givers = [(account, circle.holding(account)) for account in missing]
    for _, bank in givers:
        circle.logged_in(bank)
    return {
        account: await give(
            circle,
            bank,
            account,
            coordinator,
            payer,
            lasts=_MANDATE_LASTS,
            at_most=needed[account],
            code=code_at.get(bank.ispb),
        )
        for account, bank in givers
    }


async def _decided(client: BankClient, paid: Payment) -> Payment:
    """The payment once it is decided; as it is, if that takes too long or another holder must approve first."""
    patience_ends = time.monotonic() + _PATIENCE_S
    wait_s = 0.1
    while paid.status is Status.PENDING and time.monotonic() < patience_ends:
        await asyncio.sleep(random.uniform(0.5, 1.0) * wait_s)
        wait_s = min(wait_s * 2, 2.0)
        paid = await client.payment(paid.id)
    return paid


def _tell(circle: Circle, paid: Payment) -> None:
    if paid.status is Status.SETTLED:
        out.print(
            Text("✓", style="green"), say("Paid: {amount}.", amount=spell(paid.amount, circle.currency()))
        )
        out.print(paid.id, style="dim")
    elif paid.status is Status.AWAITING_APPROVAL:
        out.print(say("All other holders of the account must approve: {id}", id=paid.id))
    elif paid.refusal is not None:
        _tell_refusal(circle, paid.refusal.bank, paid.refusal.code, paid.refusal.detail)
    else:
        err.print(say("Not decided yet. It will be: ciranda payments {id}", id=paid.id))


def _tell_refusal(circle: Circle, bank: str, code: str, detail: str) -> None:
    sentence = say("Refused by {bank}: {reason}", bank=circle.name_of(bank), reason=reason(code, detail))
    err.print(Text("✗", style="red"), sentence)


def _list(payments: list[Payment], circle: Circle) -> None:
    amount = say("amount")
    shown = table(say("when"), say("id"), amount, say("status"), right=(amount,))
    for payment in payments:
        shown.add_row(
            local_time(payment.created_at),
            payment.id,
            money(payment.amount, circle.currency()),
            say(payment.status) + (f": {reason(payment.refusal.code, '')}" if payment.refusal else ""),
        )
    out.print(shown)
