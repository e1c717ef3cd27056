"""The tally: what customers asked for and were told while a nemesis struck, and what the books say afterwards."""

from collections import Counter
from collections.abc import Mapping

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from ciranda.cli.screen import money, table

RECOVERY_S = 30.0
"""Once faults stop, no payment that they met may be in doubt for longer."""


class Tally:
    """Counts while it happens."""

    def __init__(self) -> None:
        self.tried = 0
        """Payments, each under one key, however often it was asked for."""
        self.settled = 0
        self.refused: Counter[str] = Counter()
        """By code."""
        self.pending = 0
        """How often a customer was told that a payment is not decided yet."""
        self.faults: Counter[str] = Counter()
        """By kind."""

    def __str__(self) -> str:
        return f"{self.tried:,} tried · {self.settled:,} settled · {self.refused.total():,} refused"


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took after a round's last fault until nothing that it had met was in doubt."""

    seconds: float
    round: str


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What is there when all banks run again and customers have gone home."""

    in_doubt: int
    held: int
    before: int
    """What the customers of all banks had together before the first payment."""
    after: int
    longest: Recovery | None
    without_s: float | None = None
    """A bank stayed away in the middle of its packages: so long the others needed until no money waited for it."""
    findings: tuple[str, ...]
    """What is not as it was promised; each a sentence."""

    @property
    def holds(self) -> bool:
        return not self.findings and (self.in_doubt, self.held) == (0, 0) and self.before == self.after


def report(
    tally: Tally, ending: Ending, currency: str, means: Mapping[str, str] | None = None
) -> RenderableType:
    """`means`: of a kind of fault, by what it was brought about."""
    payments = table("payments", "", right=("",))
    payments.add_row("tried", f"{tally.tried:,}")
    payments.add_row("settled", f"{tally.settled:,}")
    payments.add_row("refused", f"{tally.refused.total():,}")
    for code, count in tally.refused.most_common():
        payments.add_row(Text(f"  {code}", style="dim"), Text(f"{count:,}", style="dim"))
    payments.add_row("answered “pending”", f"{tally.pending:,}")
    faults = table("faults", "how often", "by" if means else "", right=("how often",))
    means = means or {}
    for kind in sorted({*tally.faults, *means}):
        faults.add_row(kind, str(tally.faults[kind]), means.get(kind, ""))
    end = table("at the end", "", right=("",))
    end.add_row("payments in doubt", str(ending.in_doubt))
    end.add_row("held", money(ending.held, currency))
    end.add_row("customers' money before", money(ending.before, currency))
    end.add_row("customers' money after", money(ending.after, currency))
    if ending.longest is not None:
        end.add_row("longest recovery", f"{ending.longest.seconds:.1f} s")
    if ending.without_s is not None:
        end.add_row("rid of a coordinator that stays away", f"{ending.without_s:.1f} s")
    lines = [Text(f"✗ {finding}", style="red") for finding in ending.findings]
    if ending.longest is not None:
        lines.append(Text(f"The longest recovery was after {ending.longest.round}.", style="dim"))
    if ending.holds:
        lines.append(Text("All holds: no money was made or lost, whatever struck.", style="bold green"))
    elif not ending.findings:
        lines.append(Text("✗ The figures above are not those of banks at rest.", style="red"))
    return Group(payments, Text(), faults, Text(), end, Text(), *lines)
