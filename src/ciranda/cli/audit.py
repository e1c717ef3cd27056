"""`ciranda audit`: proof that no money was made or lost, over all banks of a consortium."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ciranda.cli.authority import trusted
from ciranda.cli.books import Book, Contradiction, Decisions, Looks, Pair, Verdict
from ciranda.cli.screen import CommandError, JsonOption, money, out, show_json, table
from ciranda.client import BankAway, BankClient, ProblemError
from ciranda.identity import Ispb
from ciranda.money import spell
from ciranda.roster import Member, Roster
from ciranda.settings import CONSORTIUM, OPERATOR_TOKEN, SettingsError, load_consortium, read_operator_token

LOOKS = 40
"""How often what looks wrong is looked at again, in all about half a minute: longer than payments stay in doubt."""
_WAIT_S = 0.1
_WAIT_MAX_S = 1.0
_TIMEOUT_S = 10.0

Answer = TypeVar("Answer")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    books: list[Book]
    away: dict[str, str]
    """The banks that could not be asked, and why."""
    unbalanced: list[str]
    """Banks whose balances do not sum to zero (I1)."""
    contradictions: list[Contradiction]
    """Payments settled in one bank and refused in another, or with two digests (I2)."""
    pairs: list[Pair]
    """Positions, each of which must mirror the other (I4)."""
    payments: int
    """How many payments the banks know, all together."""

    @property
    def code(self) -> int:
        """0: all holds. 1: something does not. 2: it could not be told, for a bank was away or payments did not rest."""
        verdicts = {pair.verdict for pair in self.pairs}
        if self.unbalanced or self.contradictions or Verdict.BROKEN in verdicts:
            return 1
        return 2 if self.away or Verdict.MOVING in verdicts else 0


def audit(
    dir: Annotated[
        Path, typer.Argument(help="The consortium's folder; with --chain also one bank's.", metavar="DIR")
    ],
    chain: Annotated[
        bool, typer.Option("--chain", help="Read the databases, and prove that no row was altered.")
    ] = False,
    heads: Annotated[
        list[Path] | None,
        typer.Option(
            help="With --chain: a bank's copies of its peers' heads, from ciranda peer heads --json. May be given again.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every bank for its books and check them against each other.

    I1: the balances of each bank sum to zero. I2: no payment is settled in one bank and refused in another.
    I4: what two banks say that they owe each other sums to zero.

    With --chain nobody is asked: the databases are read, and every row is compared with what the bank's chain says of
    it. The first that was altered, removed or inserted is named. The chains' heads are compared with the copies that
    the banks hold of each other's.

    Exit code 0 if all holds, 1 if something does not, 2 if a bank could not be asked, its database not be
    read, or a copy not be proved to be the bank's own.

    Example: ciranda audit ./consortium --json

    Example: ciranda audit ./consortium/ipe --chain --heads jatoba.json
    """
    if chain:
        raise typer.Exit(_prove(dir, heads or [], as_json))
    if heads:
        raise CommandError("--heads goes with --chain.")
    roster = load_consortium(dir / CONSORTIUM)
    report = asyncio.run(examine(dir, roster))
    if as_json:
        show_json(
            {
                "holds": report.code == 0,
                "checks": {
                    "I1": not report.unbalanced,
                    "I2": not report.contradictions,
                    "I4": all(pair.verdict is Verdict.HOLDS for pair in report.pairs),
                },
                **msgspec.to_builtins(report),
            }
        )
    else:
        out.print(told(report, roster))
    raise typer.Exit(report.code)


def _prove(place: Path, heads: list[Path], as_json: bool) -> int:
    """The exit code. Raises SettingsError, CommandError."""
    # The databases are heavy to import, and other commands do without them.
    from ciranda.cli import chains

    found, roster = chains.examine(place, heads)
    if as_json:
        show_json({"holds": found.code == 0, **msgspec.to_builtins(found)})
    else:
        out.print(chains.told(found, roster))
    return found.code


async def examine(dir: Path, roster: Roster) -> Report:
    """Asks all banks, and again while something looks wrong, a bounded number of times."""
    away: dict[str, str] = {}
    looks, decisions = Looks(), Decisions()
    async with AsyncExitStack() as stack:
        banks = {}
        for member in roster.members.values():
            try:
                token = read_operator_token(dir / member.slug / OPERATOR_TOKEN)
            except SettingsError as error:
                away[member.ispb] = str(error)
            else:
                client = BankClient(member.public_url, token, timeout_s=_TIMEOUT_S, authority=trusted(dir))
                banks[member] = await stack.enter_async_context(client)
        looks.see(await _of_all(banks, _read, away))
        for attempt in range(LOOKS):
            # With a bank away the answer is no longer "all holds": no use in waiting for the last payment in doubt.
            if looks.clear or (away and attempt > 1):
                break
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(_WAIT_S * 2**attempt, _WAIT_MAX_S))
            looks.see(await _of_all(banks, _read, away))

        async def hear(member: Member, bank: BankClient) -> None:
            async for payment in bank.known_payments():
                decisions.hear(member.ispb, payment)

        await _of_all(banks, hear, away)
    return Report(
        books=looks.books,
        away=away,
        unbalanced=looks.unbalanced,
        contradictions=decisions.contradictions,
        pairs=looks.pairs,
        payments=decisions.payments,
    )


async def _read(member: Member, bank: BankClient) -> Book:
    return Book(
        ispb=member.ispb, name=member.name, audit=await bank.audit(), positions=await bank.positions()
    )


async def _of_all(
    banks: dict[Member, BankClient],
    ask: Callable[[Member, BankClient], Awaitable[Answer]],
    away: dict[str, str],
) -> list[Answer]:
    """Asks all banks at once; those that will not say are away from here on."""

    async def one(member: Member, bank: BankClient) -> list[Answer]:
        try:
            return [await ask(member, bank)]
        except (BankAway, ProblemError) as error:
            away[member.ispb] = str(error)
            return []

    asked = [(member, bank) for member, bank in banks.items() if member.ispb not in away]
    answers = await asyncio.gather(*(one(member, bank) for member, bank in asked))
    return [answer for some in answers for answer in some]


def told(report: Report, roster: Roster) -> RenderableType:
    """The report, for a person."""
    tables = (_books(report, roster), _payments(report, roster), _positions(report, roster))
    spaced = [part for shown in tables for part in (shown, Text())] if report.books else []
    return Group(*spaced, *_verdicts(report, roster))


def _books(report: Report, roster: Roster) -> Table:
    figures = ("customers", "vault", "peers", "sum")
    shown = table("bank", *figures, right=figures)
    for book in report.books:
        balances = book.audit.balances
        columns = (balances.customers, balances.vault, sum(balances.clearing.values()), balances.sum)
        shown.add_row(book.name, *(money(figure, roster.currency) for figure in columns))
    return shown


def _payments(report: Report, roster: Roster) -> Table:
    figures = ("accounts", "held", "settled", "refused", "in doubt")
    shown = table("bank", *figures, right=figures)
    for book in report.books:
        counts = book.audit.payments
        shown.add_row(
            book.name,
            str(book.audit.accounts),
            money(book.audit.held, roster.currency),
            *(str(count) for count in (counts.settled, counts.refused, counts.in_doubt)),
        )
    return shown


def _positions(report: Report, roster: Roster) -> RenderableType:
    """Who owes whom: every pair that owes something, or does not agree."""
    shown = table("who owes", "whom", "how much", "says the other", right=("how much", "says the other"))
    for pair in report.pairs:
        if pair.verdict is Verdict.HOLDS and pair.one_says == 0:
            continue
        # A positive balance of a clearing account is what the bank itself owes.
        first_owes = pair.one_says > 0
        debtor, creditor = (pair.one, pair.other) if first_owes else (pair.other, pair.one)
        shown.add_row(
            roster.members[Ispb(debtor)].name,
            roster.members[Ispb(creditor)].name,
            money(abs(pair.one_says), roster.currency),
            money(-pair.other_says if first_owes else pair.other_says, roster.currency),
        )
    return shown if shown.row_count else Text("No bank owes another anything.")


def _verdicts(report: Report, roster: Roster) -> list[Text]:
    def name(ispb: str) -> str:
        return roster.members[Ispb(ispb)].name

    broken = [pair for pair in report.pairs if pair.verdict is Verdict.BROKEN]
    moving = [pair for pair in report.pairs if pair.verdict is Verdict.MOVING]
    away = [_finding(f"{name(ispb)} could not be asked: {why}") for ispb, why in report.away.items()]
    if not report.books:
        return away
    if away:
        away.append(_finding("What follows is said of the others only."))
    lines = [
        *away,
        _verdict(not report.unbalanced, "I1", "the balances of each bank sum to zero"),
        *(_finding(f"{name(ispb)}: they do not") for ispb in report.unbalanced),
        _verdict(
            not report.contradictions,
            "I2",
            f"none of {report.payments} payments is settled in one bank and refused in another",
        ),
        *(
            _finding(f"{found.payment}: {name(found.one)} and {name(found.other)} say {found.what}")
            for found in report.contradictions
        ),
        _verdict(not broken and not moving, "I4", "what two banks owe each other, both say alike"),
        *(_finding(f"{name(pair.one)} and {name(pair.other)} do not") for pair in broken),
        *(
            _finding(f"{name(pair.one)} and {name(pair.other)}: payments are under way; ask again later")
            for pair in moving
        ),
    ]
    if report.code == 0:
        lines.append(
            Text(f"All holds: no money was made or lost.{_in_cash(report, roster)}", style="bold green")
        )
    return lines


def _in_cash(report: Report, roster: Roster) -> str:
    """What the customers of all banks have is what lies in the vaults: said only of banks at rest, where it shows."""
    customers = sum(book.audit.balances.customers for book in report.books)
    vaults = sum(book.audit.balances.vault for book in report.books)
    if customers + vaults != 0:
        return ""
    return f" Customers have {spell(customers, roster.currency)}: what the vaults took in."


def _verdict(holds: bool, check: str, sentence: str) -> Text:
    return Text.assemble(("✓ ", "green") if holds else ("✗ ", "red"), (check, "bold"), f"  {sentence}")


def _finding(sentence: str) -> Text:
    return Text(f"     {sentence}", style="red")
