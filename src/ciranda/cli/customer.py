"""A customer at one bank: signing up, logging in, logging out."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ciranda.cli import sessions
from ciranda.cli.bank import Bank, BankOption, Circle, ConsortiumOption
from ciranda.cli.screen import CommandError, JsonOption, out, show_json
from ciranda.cli.sessions import KeptSession
from ciranda.cli.speech import LangOption, say
from ciranda.client import BankClient
from ciranda.identity import Document, parse_document

PASSWORD = "CIRANDA_PASSWORD"  # noqa: S105

DocumentOption = Annotated[
    str | None, typer.Option("--document", "-d", help="Your CPF or CNPJ; asked for if not given.")
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help=f"Read the password from this file, or from standard input: -. Or set {PASSWORD}. Asked for if not given.",
    ),
]


def signup(
    bank: BankOption = None,
    document: DocumentOption = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Your name; asked for if not given.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="An address for messages.")] = None,
    phone: Annotated[str | None, typer.Option(help="A telephone number.")] = None,
    password_file: PasswordFileOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Become a customer of a bank, and log in there.

    Example: ciranda signup --bank ipe --document 111.444.777-35 --name "Maria Silva"
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.to_enter(bank)
        who = _document(document)
        called = name or _asked(say("Name"))
        password = _password(password_file, new=True)
        async with circle.stranger(chosen.url) as client:
            customer = await client.sign_up(who, called, password, email=email, phone=phone)
            await _log_in(client, chosen, who, password)
        if as_json:
            show_json(customer)
        else:
            out.print(
                say("Welcome to {bank}, {name}. You are logged in.", bank=chosen.name, name=customer.name)
            )

    asyncio.run(run())


def login(
    bank: BankOption = None,
    document: DocumentOption = None,
    password_file: PasswordFileOption = None,
    consortium: ConsortiumOption = None,
    as_json: JsonOption = False,
    _lang: LangOption = None,
) -> None:
    """Log in at a bank. The session is kept for the commands that follow, one for each bank.

    Example: ciranda login --bank ipe --document 111.444.777-35
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.to_enter(bank)
        who = _document(document)
        password = _password(password_file, new=False)
        async with circle.stranger(chosen.url) as client:
            session = await _log_in(client, chosen, who, password)
        if as_json:
            show_json({"bank": session.ispb, "document": who, "expires_at": session.expires_at})
        else:
            out.print(say("You are logged in at {bank}.", bank=chosen.name))

    asyncio.run(run())


def logout(bank: BankOption = None, consortium: ConsortiumOption = None, _lang: LangOption = None) -> None:
    """End the session at a bank.

    Example: ciranda logout --bank ipe
    """

    async def run() -> None:
        circle = Circle(consortium)
        chosen = await circle.choose(bank)
        async with circle.client(chosen) as client:
            await client.log_out()
        sessions.forget(chosen.ispb)
        out.print(say("You are logged out of {bank}.", bank=chosen.name))

    asyncio.run(run())


async def _log_in(client: BankClient, bank: Bank, document: Document, password: str) -> KeptSession:
    session = await client.log_in(document, password)
    kept = KeptSession(
        ispb=bank.ispb,
        bank=bank.name,
        url=bank.url,
        document=document,
        token=session.token,
        expires_at=session.expires_at,
    )
    sessions.keep(kept)
    return kept


def _document(given: str | None) -> Document:
    text = given or _asked(say("CPF or CNPJ"))
    try:
        return parse_document(text)
    except ValueError as error:
        raise CommandError(f"{text}: {say(str(error))}.") from error


def _password(file: Path | None, *, new: bool) -> str:
    """The password, never from the command line itself, where every user of the machine could read it."""
    if file is None:
        return os.environ.get(PASSWORD) or _asked(
            say("Password"), hidden=True, once_more=say("Password, once more") if new else None
        )
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(say("The password file {file} cannot be read.", file=file)) from error
    return text.removesuffix("\n")


def _asked(what: str, *, hidden: bool = False, once_more: str | None = None) -> str:
    """Asks the person; a script, who cannot answer, is told what it left out."""
    if not sys.stdin.isatty():
        raise CommandError(say("Not given, and nobody to ask: {what}.", what=what))
    answer: str = typer.prompt(what, hide_input=hidden, confirmation_prompt=once_more or False, err=True)
    return answer
