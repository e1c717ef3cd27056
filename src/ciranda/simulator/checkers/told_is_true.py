"""I5: what a client was told settled is committed, there and everywhere in the end; what it was told refused, nowhere."""

from typing import TYPE_CHECKING

from ciranda.agreement.participant import State
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Outcome, Told

_STATES = {Outcome.SETTLED: State.COMMITTED, Outcome.REFUSED: State.ABORTED}

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class ToldIsTrue(Checker):
    name = "told is true"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._told: list[Told] = []

    def on_told(self, told: Told) -> None:
        if told.outcome in _STATES:
            self._told.append(told)
            self._check_durable(told)

    def _check_durable(self, told: Told) -> None:
        assert told.payment is not None, "only a payment settles or is refused"
        record = self.world.record(told.order.bank, told.payment)
        if record is None or record.state is not _STATES[told.outcome]:
            state = "unknown" if record is None else record.state.value
            self.broken(f"{told.order.key} was told {told.outcome.value}; on its bank's disk it is {state}")

    def at_end(self) -> None:
        for told in self._told:
            self._check_durable(told)
            assert told.payment is not None, "only a payment settles or is refused"
            for bank in self.world.living():
                record = self.world.record(bank.ispb, told.payment)
                if record is None or record.state in (State.UNKNOWN, _STATES[told.outcome]):
                    continue
                if record.header is not None and set(record.header.witnesses) <= self.world.gone:
                    # Only a bank that is gone for ever knows.
                    continue
                self.broken(
                    f"{told.order.key} was told {told.outcome.value}; in {bank.name} it is {record.state.value}"
                )
