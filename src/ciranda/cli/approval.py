"""What needs the signatures of all holders of an account: what awaits one's own, and one's word on it."""

import asyncio
import re
from typing import Annotated

import typer

from ciranda.cli.account import local_time
from ciranda.cli.bank import BankOption, Circle, ConsortiumOption
from ciranda.cli.code import CodeOption, with_code
from ciranda.cli.pay import follow
from ciranda.cli.screen import CommandError, JsonOption, money, out, show_json, table
from ciranda.cli.speech import LangOption, say
from ciranda.client import Approvals, Awaiting, Mandate, Payment
from ciranda.identity import parse_end_to_end_id

_MANDATE_ID = re.compile(r"[0-9a-f]{32}")


def approvals(
    limit: Annotated[int, typer.Option(help="How many to show.", min=1, max=100)] = 20,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show what awaits your approval: payments and mandates that all holders of an account must sign.

    Example: ciranda approvals --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            page = await client.approvals(limit=limit)
        if as_json:
            show_json({"approvals": page.items, "next_cursor": page.next_cursor})
        elif page.items:
            _list(page.items, circle)
        else:
            out.print(say("Nothing awaits your approval."))

    asyncio.run(run())


def approve(
    id: Annotated[str, typer.Argument(help="The id of the payment or mandate.", metavar="ID")],
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Refuse it: then it will not happen, whoever approved it.")
    ] = False,
    code: CodeOption = None,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Approve a payment or mandate that awaits you; the last holder's approval begins it.

    Example: ciranda approve E10000001202611230514aBcDeFgHiJk --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            if refuse:
                refusing = client.approve_payment if _is_payment(id) else client.approve_mandate
                _tell(await refusing(id, "refuse"), as_json, refused=True)
            elif _is_payment(id):
                paying = with_code(lambda code: client.approve_payment(id, code=code), code, chosen.name)
                await follow(circle, client, paying, as_json)
            else:
                giving = with_code(lambda code: client.approve_mandate(id, code=code), code, chosen.name)
                _tell(await giving, as_json)

    asyncio.run(run())


def _tell(said: Payment | Mandate, as_json: bool, *, refused: bool = False) -> None:
    if as_json:
        show_json(said)
    elif refused:
        out.print(say("Refused. It will not happen."))
    elif said.status == "awaiting_approval":
        out.print(say("Approved by you; others must still approve."))
    else:
        out.print(say("Approved by all: the mandate is given."))


def _is_payment(id: str) -> bool:
    if _MANDATE_ID.fullmatch(id):
        return False
    try:
        parse_end_to_end_id(id)
    except ValueError as error:
        raise CommandError(say("{id} is neither a payment's id nor a mandate's.", id=id)) from error
    return True


def _list(awaiting: list[Awaiting], circle: Circle) -> None:
    amount = say("amount")
    columns = say("what"), amount, say("asked by"), say("missing"), say("until"), say("id")
    shown = table(*columns, right=(amount,))
    for one in awaiting:
        asked = one.payment or one.mandate
        if asked is None or asked.approvals is None:
            # A bank that is newer than this program shows something else.
            continue
        shown.add_row(
            say(one.kind),
            "" if one.payment is None else money(one.payment.amount, circle.currency()),
            asked.approvals.asked_by.name,
            _missing(asked.approvals),
            local_time(asked.approvals.expires_at),
            one.id,
        )
    out.print(shown)


def _missing(approvals: Approvals) -> str:
    return ", ".join(holder.name for holder in approvals.missing)
