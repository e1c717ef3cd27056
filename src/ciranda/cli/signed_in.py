"""Where one is logged in: one's sessions at a bank, from whatever device, and their end."""

import asyncio
from typing import Annotated

import typer

from ciranda.cli.account import local_time
from ciranda.cli.bank import BankOption, Circle, ConsortiumOption
from ciranda.cli.screen import CommandError, JsonOption, out, show_json, table
from ciranda.cli.speech import LangOption, say
from ciranda.client import ListedSession

commands = typer.Typer(no_args_is_help=True, help="Where you are logged in at a bank: list, end.")


@commands.command("list")
def list_sessions(
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Show your sessions at a bank, from all your devices.

    Example: ciranda sessions list --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            found = await client.sessions()
        if as_json:
            show_json({"sessions": found})
        else:
            _show(found)

    asyncio.run(run())


@commands.command("end")
def end_session(
    id: Annotated[
        str | None, typer.Argument(help="The session's id.", metavar="ID", show_default=False)
    ] = None,
    others: Annotated[bool, typer.Option("--others", help="All but the one that you use now.")] = False,
    bank: BankOption = None,
    consortium: ConsortiumOption = None,
    _lang: LangOption = None,
) -> None:
    """End a session of yours at a bank; or, with --others, all but this one.

    Example: ciranda sessions end --others --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        if (id is None) is not others:
            raise CommandError(say("Say which session: its ID, or --others."))
        async with circle.client(chosen) as client:
            if id is None:
                await client.end_other_sessions()
                out.print(say("All your other sessions at {bank} have ended.", bank=chosen.name))
            else:
                await client.end_session(id)
                out.print(say("The session has ended."))

    asyncio.run(run())


def _show(sessions: list[ListedSession]) -> None:
    shown = table(say("id"), say("last used"), say("until"), say("from"), say("with"))
    for session in sessions:
        shown.add_row(
            session.id,
            say("this one") if session.current else local_time(session.used_at),
            local_time(session.expires_at),
            session.address or "",
            session.agent or "",
        )
    out.print(shown)
