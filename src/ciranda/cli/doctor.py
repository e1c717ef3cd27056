"""`ciranda doctor`: what is still off before a bank may serve anybody but its makers."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ciranda import settings
from ciranda.cli.screen import JsonOption, out, show_json
from ciranda.settings import SettingsError


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    check: str
    off: str | None
    """What is off; None: it is as it should be."""
    why: str
    how: str


def doctor(
    bank_toml: Annotated[Path, typer.Argument(help="The bank's settings.", metavar="BANK_TOML")],
    as_json: JsonOption = False,
) -> None:
    """Go through the production checklist, and say what is still off, why it matters, and how to switch it on.

    Example: ciranda doctor ./consortium/ipe/bank.toml
    """
    findings = examine(bank_toml)
    off = [finding for finding in findings if finding.off is not None]
    if as_json:
        show_json({"findings": findings, "off": len(off)})
    else:
        for finding in findings:
            _show(finding)
        out.print(f"\n{len(off)} of {len(findings)} are off." if off else "\nNothing is off.")
    if off:
        raise typer.Exit(1)


SETTINGS = "settings"


def examine(bank_toml: Path) -> list[Finding]:
    """What each check finds, in the order of the checklist. Where the settings cannot be read, that is all there is."""
    # The databases are heavy to import, and other commands do without them.
    from ciranda.cli import checkup

    settled = Finding(check=SETTINGS, off=None, why="the bank does not start", how="see docs/OPERATING.md")
    try:
        bank = checkup.Bank(settings=settings.load(bank_toml), written=tomllib.loads(bank_toml.read_text()))
    except SettingsError as error:
        return [msgspec.structs.replace(settled, off=str(error))]
    return [
        settled,
        *(
            Finding(check=check.name, off=off, why=check.why, how=check.how)
            for check, off in checkup.examine(bank)
        ),
    ]


def _show(finding: Finding) -> None:
    if finding.off is None:
        out.print(f"ok   {finding.check}", style="green")
        return
    out.print(f"OFF  {finding.check}: {finding.off}", style="red")
    out.print(f"     why: {finding.why}")
    out.print(f"     how: {finding.how}")
