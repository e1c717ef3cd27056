"""One seed, run to its end or to its first failure; and the shortest way to see a failure again."""

from collections import Counter
from hashlib import sha256

import msgspec

from ciranda.simulator.scenario import Scenario
from ciranda.simulator.world import World

_FEWER = (5, 10, 20, 40, 80)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    checker: str | None
    """Which checker saw what must not be; None if none did."""
    what: str
    orders: int
    outcomes: dict[str, int]
    """What the clients were told in the end; `unknown`, where the bank that they asked is gone for ever."""
    faults: dict[str, int]
    virtual_s: float
    digest: str
    """The transcript's SHA-256: the same for the same seed."""
    transcript: str
    """Only of a failure, or where it was asked for."""


def simulate(scenario: Scenario, seed: int, *, keep_transcript: bool = False) -> Result:
    world = World(scenario, seed)
    world.run()
    failure, text = world.failure, world.transcript.text()
    outcomes = Counter(told.outcome.value for told in world.clients.final.values())
    unknown = len(world.clients.orders) - len(world.clients.final)
    if unknown:
        outcomes["unknown"] = unknown
    return Result(
        seed=seed,
        checker=None if failure is None else failure.checker,
        what="" if failure is None else failure.what,
        orders=len(world.clients.orders),
        outcomes=dict(outcomes),
        faults=dict(world.faults_seen),
        virtual_s=world.loop.time(),
        digest=sha256(text.encode()).hexdigest(),
        transcript=text if failure is not None or keep_transcript else "",
    )


def shorten(scenario: Scenario, failed: Result) -> tuple[Scenario, list[str], Result]:
    """The least that still fails in the same way: the scenario, the faults that it does without, and its result."""
    without: list[str] = []
    best = failed
    for name in sorted({fault.name for fault in scenario.faults}):
        if name not in failed.faults:
            # It never struck in this seed.
            without.append(name)
            continue
        result = simulate(scenario.without([*without, name]), failed.seed)
        if result.checker == failed.checker:
            without.append(name)
            best = result
    least = scenario.without(without)
    for count in _FEWER:
        if count < scenario.storm.payments:
            result = simulate(least.with_payments(count), failed.seed)
            if result.checker == failed.checker:
                return least.with_payments(count), without, result
    return least, without, best
