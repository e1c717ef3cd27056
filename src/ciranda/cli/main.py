"""`ciranda`: the app with all of its commands, and the one place where failures become sentences and exit codes.

0: done. 1: refused, or a check that failed. 2: the command or the settings are wrong, or a bank could not be asked.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ciranda import __version__
from ciranda.cli import (
    account,
    approval,
    audit,
    bench,
    customer,
    demo,
    doctor,
    init,
    keys,
    limits,
    link,
    mandate,
    member,
    operator,
    pay,
    peer,
    proposal,
    second_factor,
    serve,
    signed_in,
    simulate,
    teller,
    up,
)
from ciranda.cli.authority import VARIABLE
from ciranda.cli.screen import CommandError, choose_json, err, show_json, wants_json
from ciranda.cli.speech import choose, reason, say
from ciranda.client import BankAway, ProblemError
from ciranda.settings import SettingsError

REFUSED = 1
NOT_ASKED = 2


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        # Until the command's own options say otherwise.
        choose_json(False)
        choose(None)
        try:
            return super().invoke(ctx)
        except ProblemError as problem:
            _complain(reason(problem.code, problem.detail), _faults(problem), problem.payload)
            raise typer.Exit(REFUSED) from problem
        except BankAway as away:
            _complain(
                f"{away.url}: {say(away.reason)}.",
                [],
                {"code": "bank_away", "detail": away.reason, "url": away.url, "key": away.key},
            )
            raise typer.Exit(NOT_ASKED) from away
        except (SettingsError, CommandError) as error:
            _complain(str(error), [], {"code": "usage", "detail": str(error)})
            raise typer.Exit(NOT_ASKED) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Instant payments between banks, with no bank in the middle. Begin with: ciranda demo",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ciranda {__version__}")
        raise typer.Exit


@app.callback()
def ciranda(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    authority: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            envvar=VARIABLE,
            help="Who vouches for banks at https URLs, a PEM file. Default: the consortium's own authority, or whom "
            "this machine trusts.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """What all commands share."""
    del version  # Its callback has answered.
    if authority is not None:
        # Also for the banks that `ciranda up` starts.
        os.environ[VARIABLE] = str(authority)


TRY_IT = "Try it"
RUN = "Run banks"
STAFF = "Work in a bank"
USE = "Use a bank"

app.command("demo", rich_help_panel=TRY_IT)(demo.demo)
app.command("bench", rich_help_panel=TRY_IT)(bench.bench)
app.command("simulate", rich_help_panel=TRY_IT)(simulate.simulate)
app.command("init", rich_help_panel=RUN)(init.init)
app.command("serve", rich_help_panel=RUN)(serve.serve)
app.command("up", rich_help_panel=RUN)(up.up)
app.command("audit", rich_help_panel=RUN)(audit.audit)
app.command("doctor", rich_help_panel=RUN)(doctor.doctor)
app.command("migrate", rich_help_panel=RUN)(init.migrate)
app.add_typer(member.commands, name="bank", rich_help_panel=RUN)
app.add_typer(keys.commands, name="keys", rich_help_panel=RUN)
app.command("deposit", rich_help_panel=STAFF)(teller.deposit)
app.command("withdraw", rich_help_panel=STAFF)(teller.withdraw)
app.add_typer(operator.commands, name="operator", rich_help_panel=STAFF)
app.add_typer(proposal.commands, name="proposal", rich_help_panel=STAFF)
app.add_typer(peer.commands, name="peer", rich_help_panel=STAFF)
app.command("signup", rich_help_panel=USE)(customer.signup)
app.command("login", rich_help_panel=USE)(customer.login)
app.command("logout", rich_help_panel=USE)(customer.logout)
app.command("password", rich_help_panel=USE)(customer.password)
app.add_typer(signed_in.commands, name="sessions", rich_help_panel=USE)
app.add_typer(second_factor.commands, name="second-factor", rich_help_panel=USE)
app.command("open", rich_help_panel=USE)(account.open_account)
app.command("accounts", rich_help_panel=USE)(account.accounts)
app.command("statement", rich_help_panel=USE)(account.statement)
app.command("payee", rich_help_panel=USE)(pay.payee)
app.command("pay", rich_help_panel=USE)(pay.pay)
app.command("payments", rich_help_panel=USE)(pay.payments)
app.command("approvals", rich_help_panel=USE)(approval.approvals)
app.command("approve", rich_help_panel=USE)(approval.approve)
app.add_typer(limits.commands, name="limits", rich_help_panel=USE)
app.add_typer(mandate.commands, name="mandate", rich_help_panel=USE)
app.add_typer(link.commands, name="link", rich_help_panel=USE)


def main() -> None:
    """The console script."""
    app()


def _faults(problem: ProblemError) -> Sequence[str]:
    """What is wrong with which field, where a bank says so."""
    errors = problem.payload.get("errors")
    if not isinstance(errors, list):
        return []
    return [f"{error.get('field')}: {error.get('message')}" for error in errors if isinstance(error, dict)]


def _complain(sentence: str, details: Sequence[str], payload: dict[str, Any]) -> None:
    if wants_json():
        show_json(payload)
        return
    err.print(sentence, style="red")
    for detail in details:
        err.print(f"  {detail}")


if __name__ == "__main__":
    main()
