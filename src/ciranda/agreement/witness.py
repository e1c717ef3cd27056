"""The witness's rules: the register in which a payment's decision is written (PROTOCOL section 4).

A decision accepted under one ballot by a majority of the witnesses is the decision, for ever. That holds because a
witness never accepts under a ballot lower than one that it promised, and promises what it accepts.
"""

import msgspec

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.message import Accepted, Decided, Decision, Outbid, Promised
from ciranda.identity import EndToEndId
from ciranda.refusal import Refusal, Violation


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """One witness's row for one payment. An absent row is the same as this one, empty."""

    promised: Ballot | None = None
    accepted: tuple[Ballot, Decision] | None = None
    decision: Decision | None = None
    refusal: Refusal | None = None


def asked(register: Register, id: EndToEndId, ballot: Ballot) -> tuple[Register, Promised | Outbid | Decided]:
    """PROTOCOL 4.2 and 4.5."""
    if register.decision is not None:
        return register, Decided(id=id, decision=register.decision, refusal=register.refusal)
    if register.promised is not None and ballot < register.promised:
        return register, Outbid(id=id, ballot=register.promised)
    promised = msgspec.structs.replace(register, promised=ballot)
    return promised, Promised(id=id, ballot=ballot, accepted=register.accepted)


def proposed(
    register: Register, id: EndToEndId, ballot: Ballot, decision: Decision
) -> tuple[Register, Accepted | Outbid | Decided]:
    """PROTOCOL 4.3 and 4.5. The promise rises with the acceptance, in one write."""
    if register.decision is not None:
        return register, Decided(id=id, decision=register.decision, refusal=register.refusal)
    if register.promised is not None and ballot < register.promised:
        return register, Outbid(id=id, ballot=register.promised)
    if register.accepted is not None and register.accepted == (ballot, _other(decision)):
        raise Violation("two decisions proposed under one ballot")
    accepted = msgspec.structs.replace(register, promised=ballot, accepted=(ballot, decision))
    return accepted, Accepted(id=id, ballot=ballot)


def _other(decision: Decision) -> Decision:
    return Decision.ABORT if decision is Decision.COMMIT else Decision.COMMIT


def majority(witnesses: int) -> int:
    return witnesses // 2 + 1
