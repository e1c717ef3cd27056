"""The nemesis: what strikes a consortium, when, whom and for how long.

Its law: **all of it is drawn from the seed, before anything has happened.** The same seed strikes in the same way, how
fast or slow the machine may be. It strikes in rounds: some strikes, which may overlap, and then a calm in which the
banks have to recover.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Literal, NamedTuple

Aim = Literal["some", "pair", "side", "ground"]
"""Whom a fault strikes: some banks or all; one bank on its way to another; a side, cut off from the rest; no bank, but
the ground that banks stand on, which is not struck together with a bank."""


class Kind(NamedTuple):
    """A kind of fault."""

    name: str
    aim: Aim
    long_s: float
    """It lasts for moments, or about so long."""
    shares: bool = False
    """It may strike a bank that another fault has struck already."""


class Strike(NamedTuple):
    kind: str
    victims: tuple[str, ...]
    after_s: float
    """From the round's beginning."""
    lasts_s: float

    def __str__(self) -> str:
        return f"{self.kind} {' '.join(self.victims)}".strip()


class Round(NamedTuple):
    number: int
    strikes: tuple[Strike, ...]


def rounds(seed: int, kinds: Sequence[Kind], banks: Sequence[str]) -> Iterator[Round]:
    """For ever: one to three strikes in each round. Every kind strikes before any strikes a second time."""
    dice = random.Random(seed)
    # In whatever order they are listed.
    kinds = sorted(kinds, key=lambda kind: kind.name)
    bag: list[Kind] = []
    for number in count(1):
        bag = bag or dice.sample(kinds, len(kinds))
        strikes = _strikes(dice, bag[: dice.choice((1, 1, 2, 3))], banks)
        struck = {strike.kind for strike in strikes}
        bag = [kind for kind in bag if kind.name not in struck]
        yield Round(number, strikes)


def until_each_has_struck(planned: Iterator[Round], kinds: Sequence[Kind]) -> Iterator[Round]:
    """The first of these rounds, as few as it takes."""
    waiting = {kind.name for kind in kinds}
    while waiting:
        round = next(planned)
        waiting -= {strike.kind for strike in round.strikes}
        yield round


def _strikes(dice: random.Random, kinds: Sequence[Kind], banks: Sequence[str]) -> tuple[Strike, ...]:
    """At least the first of these kinds, and those of the others that find somebody left to strike."""
    strikes: list[Strike] = []
    left = list(banks)
    for kind in kinds:
        victims: Sequence[str]
        match kind.aim:
            case "ground":
                if len(left) < len(banks):
                    continue
                victims = left = []
            case "pair":
                victims = dice.sample(banks, 2)
            case "side":
                victims = dice.sample(banks, dice.randint(1, len(banks) - 1))
            case "some":
                of = banks if kind.shares else left
                if not of:
                    continue
                victims = dice.sample(of, min(len(of), dice.choice((1, 1, 1, 2, len(banks)))))
                if not kind.shares:
                    left = [bank for bank in left if bank not in victims]
        lasts_s = dice.choice((dice.uniform(0.1, 1.0), dice.uniform(0.8, 1.2) * kind.long_s))
        after_s = dice.uniform(0.0, 2.0) if strikes else dice.uniform(0.5, 1.5)
        strikes.append(Strike(kind.name, tuple(sorted(victims)), round(after_s, 2), round(lasts_s, 2)))
    return tuple(strikes)
