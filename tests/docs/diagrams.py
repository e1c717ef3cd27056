"""The diagrams of PROTOCOL.md, drawn from the code: what a page shows is what the banks do.

The participant's is its table, arrow by arrow. The witness's rules are functions, so they are tried out: from an empty
register, with every question that a handful of ballots allows, until nothing new is found.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from msgspec.structs import replace

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import Decision
from ciranda.agreement.participant import TABLE, State
from ciranda.agreement.witness import Register, asked, proposed
from ciranda.identity import Ispb, make_end_to_end_id
from ciranda.instant import Instant
from ciranda.refusal import Violation


class Arrow(NamedTuple):
    origin: str
    target: str
    event: str
    answer: str
    """With what else is done."""


def participant() -> str:
    return _drawn(
        State.UNKNOWN.value,
        [
            Arrow(state, after, event, say if effect == "none" else f"{effect}, {say}")
            for (state, event), (after, effect, say) in TABLE.items()
        ],
    )


def witness() -> str:
    return _drawn(_name(Register()), dict.fromkeys(_witness_arrows()))


_ID = make_end_to_end_id(Ispb("10000001"), Instant(0), "0" * 11)
_BALLOTS = [Ballot(round, Ispb("10000001"), 0) for round in range(3)]


def _witness_arrows() -> Iterator[Arrow]:
    known, ahead = {Register()}, [Register()]
    while ahead:
        register = ahead.pop(0)
        for event, after, answer in _answers(register):
            yield Arrow(_name(register), _name(after), event, answer)
            if after not in known:
                known.add(after)
                ahead.append(after)


def _answers(register: Register) -> Iterator[tuple[str, Register, str]]:
    """What happens to it, what it is then, and what it answers. Violations change nothing, and are not drawn."""
    for ballot in _BALLOTS:
        after, said = asked(register, _ID, ballot)
        yield f"Ask{_compared(register, ballot)}", after, type(said).__name__
    for ballot, decision in product(_BALLOTS, Decision):
        try:
            after, accepted = proposed(register, _ID, ballot, decision)
        except Violation:
            continue
        yield f"Propose{_compared(register, ballot)}", after, type(accepted).__name__
    if register.decision is None:
        for decision in Decision:
            yield "the decision is known", replace(register, decision=decision), ""


def _compared(register: Register, ballot: Ballot) -> str:
    if register.decision is not None or register.promised is None:
        return ""
    return ", a lower ballot" if ballot < register.promised else ", a ballot not lower"


def _name(register: Register) -> str:
    if register.decision is not None:
        return "decided"
    if register.accepted is not None:
        return "accepted"
    return "empty" if register.promised is None else "promised"


def _drawn(begin: str, arrows: Iterable[Arrow]) -> str:
    """Mermaid. Arrows that differ only in the event are drawn as one."""
    events: dict[tuple[str, str, str], list[str]] = {}
    for arrow in arrows:
        events.setdefault((arrow.origin, arrow.target, arrow.answer), []).append(arrow.event)
    lines = ["stateDiagram-v2", f"    [*] --> {begin}"]
    for (origin, target, answer), names in events.items():
        label = "<br/>or ".join(names) + (f"<br/>→ {answer}" if answer else "")
        lines.append(f"    {origin} --> {target}: {label}")
    return "\n".join(lines) + "\n"
