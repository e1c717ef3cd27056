"""The code of a second factor: given as an option, or asked for when the bank wants one."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from ciranda.cli.speech import say
from ciranda.client import ProblemError

T = TypeVar("T")

CodeOption = Annotated[
    str | None,
    typer.Option(
        "--code",
        help="A code of your second factor. Asked for on a terminal, if the bank wants one.",
        show_default=False,
    ),
]


async def with_code(ask: Callable[[str | None], Awaitable[T]], code: str | None, bank: str) -> T:
    """What the bank answers; if it wants a code and none was given, the person is asked, and it once more."""
    try:
        return await ask(code)
    except ProblemError as problem:
        if problem.code != "second_factor_required" or code is not None or not sys.stdin.isatty():
            raise
    typed: str = typer.prompt(say("Code of your second factor at {bank}", bank=bank), err=True)
    return await ask(typed.strip())
