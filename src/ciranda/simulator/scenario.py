"""A scenario: which consortium, which workloads, which faults; written in TOML.

    name = "slow and lossy"

    [consortium]
    banks = [3, 6]              # drawn from this range, by the seed
    witnesses = [1, 3]          # one of these
    deadline_ms = [1500, 5000]
    workers = [1, 2]            # processes on each bank's database

    [storm]
    seconds = [15, 25]          # of virtual time
    payments = 100

    [[workload]]
    kind = "between_two"
    share = 2                   # how much of the orders, against the others' shares

    [[fault]]
    kind = "loss"
    chance = 0.5                # that a seed has it at all
    rate = [0.01, 0.1]          # each fault has its own settings

Kinds and their settings are the files of `workloads/` and `faults/`.
"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults import AnyFault
from ciranda.simulator.workloads import AnyWorkload


class BadScenario(Exception):
    """The text says what is wrong, and where."""


class Consortium(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    banks: tuple[int, int] = (3, 6)
    witnesses: tuple[int, ...] = (3,)
    deadline_ms: tuple[int, int] = (1_500, 5_000)
    workers: tuple[int, int] = (1, 1)
    credit_limit: tuple[int, ...] = (10**9,)
    """What each bank lets each other owe it; one of these."""
    per_day: tuple[int, ...] = (0,)
    """What may leave each account in a day; one of these. 0: the banks keep no limits."""


class Storm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    seconds: Span = (15.0, 25.0)
    payments: int = 100


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    about: str = ""
    consortium: Consortium = Consortium()
    storm: Storm = Storm()
    workloads: tuple[AnyWorkload, ...] = msgspec.field(name="workload")
    faults: tuple[AnyFault, ...] = msgspec.field(name="fault", default=())

    def drawn_faults(self, seed: int) -> list[AnyFault]:
        """Those that this seed has. Each is drawn by itself: leaving one out changes nothing about the others."""
        return [fault for fault in self.faults if SeededDice(seed, f"draw {fault.name}").chance(fault.chance)]

    def without(self, faults: Sequence[str]) -> "Scenario":
        kept = tuple(fault for fault in self.faults if fault.name not in faults)
        return msgspec.structs.replace(self, faults=kept)

    def with_payments(self, count: int) -> "Scenario":
        return msgspec.structs.replace(self, storm=msgspec.structs.replace(self.storm, payments=count))


def read(text: str) -> Scenario:
    """Raises BadScenario."""
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadScenario(str(error)) from error
    low, high = scenario.consortium.banks
    if not 2 <= low <= high <= 7:
        raise BadScenario("a consortium has 2 to 7 banks")
    if not scenario.workloads:
        raise BadScenario("there is no workload")
    return scenario


def load(name: str) -> Scenario:
    """A scenario that comes with Ciranda, by its name, or one from a file. Raises BadScenario."""
    if name in shipped():
        return read(files("ciranda.simulator").joinpath("scenarios", f"{name}.toml").read_text())
    try:
        return read(Path(name).read_text())
    except OSError as error:
        known = ", ".join(shipped())
        raise BadScenario(f"no scenario {name!r}: neither a file nor one of {known}") from error


def shipped() -> list[str]:
    folder = files("ciranda.simulator").joinpath("scenarios")
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
