"""What a command shows: text for a person on a terminal, JSON for a script, and complaints on stderr.

Names and descriptions come from strangers: nothing that a bank says is ever read as markup.
"""

import sys
from contextvars import ContextVar
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ciranda.money import spell

_PIPED_WIDTH = 120
"""A pipe has no width. Tables get this one; sentences are left in one piece there, for whoever searches them."""


class CommandError(Exception):
    """The command does not say enough, or asks for what cannot be: one sentence, and exit code 2."""


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    piped = not stream.isatty()
    width = _PIPED_WIDTH if piped else None
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width, soft_wrap=piped)


out = _console(stderr=False)
err = _console(stderr=True)

_as_json: ContextVar[bool] = ContextVar("as_json", default=False)


def choose_json(as_json: bool) -> bool:
    _as_json.set(as_json)
    return as_json


JsonOption = Annotated[
    bool, typer.Option("--json", help="Answer in JSON, for a script.", callback=choose_json, is_eager=True)
]


def wants_json() -> bool:
    """Whether this command was asked for JSON; what goes wrong is then told in JSON too."""
    return _as_json.get()


def show_json(value: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns named in `right` are for figures."""
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        if column in right:
            made.add_column(column, justify="right", no_wrap=True)
        else:
            # An address or an id may go on in the next line; a part of it would be none.
            made.add_column(column, overflow="fold")
    return made


def money(amount: int, currency: str = "BRL", *, signed: bool = False) -> Text:
    """An amount; a signed one, a statement's, says by its sign and colour which way the money went."""
    text = spell(amount, currency)
    if signed and amount > 0:
        text = f"+{text}"
    return Text(text, style=("green" if amount > 0 else "red") if signed else "")
