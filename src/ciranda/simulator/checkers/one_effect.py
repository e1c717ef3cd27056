"""I6: one idempotency key has one effect and one answer, which moves only from pending to settled or refused."""

from typing import TYPE_CHECKING

from ciranda.identity import EndToEndId
from ciranda.simulator.checkers.checker import Checker
from ciranda.simulator.clients import Outcome, Told

if TYPE_CHECKING:
    from ciranda.simulator.world import World


class OneEffect(Checker):
    name = "one effect"

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._payment: dict[int, EndToEndId | None] = {}
        self._final: dict[int, tuple[Outcome, str]] = {}

    def on_told(self, told: Told) -> None:
        number = told.order.number
        first = self._payment.setdefault(number, told.payment)
        if first != told.payment:
            self.broken(f"{told.order.key} has made two payments, {first} and {told.payment}")
        final = self._final.get(number)
        if final is not None and final != (told.outcome, told.why):
            self.broken(f"{told.order.key} was told {' '.join(final)}, and then {told.outcome} {told.why}")
        if told.outcome is not Outcome.PENDING:
            self._final[number] = told.outcome, told.why
        if told.order.hopeless and told.outcome is Outcome.SETTLED:
            self.broken(
                f"{told.order.key} is settled, and nobody was allowed to pay it, or nothing was there"
            )

    def at_end(self) -> None:
        for bank in self.world.banks:
            made: dict[str, EndToEndId] = {}
            for record in self.world.records(bank):
                if record.reference is not None and record.coordinated_by(bank):
                    first = made.setdefault(record.reference, record.id)
                    if first != record.id:
                        self.broken(
                            f"order-{record.reference} has made two payments, {first} and {record.id}"
                        )
