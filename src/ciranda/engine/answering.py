"""The answers to the other banks' questions (PROTOCOL sections 2 to 5).

Whoever asks was recognised by its signature. What it asks is believed only so far as PROTOCOL 2.5 and 3.7 say; all
else is a violation, which changes nothing.
"""

from typing import assert_never

from msgspec.structs import replace

from ciranda.agreement.ballot import Ballot, is_within_reach
from ciranda.agreement.header import Header, concerns, digest, leaf, witness_count
from ciranda.agreement.message import (
    Answer,
    Ask,
    Busy,
    Decided,
    Decision,
    Done,
    Prepare,
    Propose,
    Tell,
    Vote,
)
from ciranda.agreement.participant import Event, Say, State, follow
from ciranda.agreement.witness import Register, asked, proposed
from ciranda.engine.concluding import register_of, with_register
from ciranda.engine.counting import count
from ciranda.engine.input import GRACE_MS, Heard
from ciranda.engine.mandate import id_of
from ciranda.engine.placing import booked, place
from ciranda.engine.record import Clause, Record
from ciranda.engine.reply import Answered
from ciranda.engine.settling import settle
from ciranda.engine.view import Step, View, Writes
from ciranda.identity import Address, EndToEndId, Ispb, bank_of, coordinator_of
from ciranda.instant import Instant, later
from ciranda.ledger.booking import Book
from ciranda.payment import Kind
from ciranda.refusal import PRECEDENCE, Code, Refusal, Violation


def answer(view: View, heard: Heard, now: Instant) -> Step:
    """Raises Violation."""
    if _ahead(view, heard.question.header):
        return _say(Busy())
    match heard.question:
        case Prepare() as prepare:
            return _prepare(view, heard.sender, prepare, now)
        case Propose() as propose:
            return _propose(view, heard.sender, propose, now)
        case Ask() as ask:
            return _ask(view, heard.sender, ask, now)
        case Tell() as tell:
            return _tell(view, heard.sender, tell, now)
        case _:
            assert_never(heard.question)


def _prepare(view: View, sender: Ispb, prepare: Prepare, now: Instant) -> Step:
    header = prepare.header
    if sender != coordinator_of(header.id):
        raise Violation("only the coordinator prepares")
    record = _known(view, header.id, digest(header))
    _check_header(view, header, record)
    if view.bank.ispb not in header.participants:
        raise Violation("we are no participant of this payment")
    if record is not None and record.state is not State.UNKNOWN:
        # What was answered stands; whether we would be able today is not even looked at (PROTOCOL 3.2).
        _, _, say = follow(record.state, Event.PREPARE_ABLE)
        return _say(Vote(id=header.id, refusal=None if say is Say.YES else record.refusal))

    _check_parts(view, prepare)
    enough = _enough_witnesses(view, prepare)
    if not enough and header.roster_version > view.bank.roster.version:
        return _say(Busy())
    clauses, codes = _permissions(view, prepare, now)
    if not enough:
        codes.append(Code.ABORTED)
    codes += _strangers(view, prepare)
    book = Book(view.accounts.get)
    if not codes:
        codes = place(view, book, clauses, now)
    if prepare.time_left_ms <= 0:
        codes.append(Code.DEADLINE_PASSED)
    state, _, say = follow(State.UNKNOWN, Event.PREPARE_UNABLE if codes else Event.PREPARE_ABLE)
    refusal = None
    if codes:
        refusal = Refusal(code=min(codes, key=PRECEDENCE.__getitem__), bank=view.bank.ispb)
    fresh = record or _fresh(header.id, digest(header), now)
    record = replace(
        fresh,
        state=state,
        clauses=clauses,
        payer=prepare.payer,
        description=prepare.description,
        reference=prepare.reference,
        header=header,
        refusal=refusal,
        decided_at=now if refusal else None,
        due=None if refusal else later(now, prepare.time_left_ms + GRACE_MS),
    )
    if refusal:
        return _say(Vote(id=header.id, refusal=refusal), Writes(records={record.id: record}))
    writes = booked(book)
    writes.records = {record.id: count(view, record, writes, now)}
    return _say(Vote(id=header.id, refusal=None), writes)


def _permissions(view: View, prepare: Prepare, now: Instant) -> tuple[tuple[Clause, ...], list[Code]]:
    """Our debits need a mandate that we issued for this coordinator and this customer (PROTOCOL 3.4)."""
    initiator = coordinator_of(prepare.header.id)
    tokens = {permission.index: permission.mandate for permission in prepare.permissions}
    clauses, codes = [], []
    for part in prepare.parts:
        source, used = part.transfer.source, None
        if bank_of(source) == view.bank.ispb:
            id = id_of(tokens.get(part.index, ""), view.bank.mandate_secret)
            mandate = None if id is None else view.mandates.get(id)
            payer = prepare.payer
            if (
                mandate is not None
                and payer is not None
                and mandate.serves("pay", Address(source), initiator, payer, now)
            ):
                used = mandate.id
            else:
                codes.append(Code.NOT_PERMITTED)
        clauses.append(Clause(transfer=part.transfer, mandate=used))
    return tuple(clauses), codes


def _strangers(view: View, prepare: Prepare) -> list[Code]:
    """A bank that has left the consortium, or is only joining it, is nobody that we owe or lend to (PROTOCOL 8.1)."""
    banks = {
        bank_of(account) for part in prepare.parts for account in (part.transfer.source, part.transfer.target)
    }
    return [] if all(map(view.bank.deals_with, banks)) else [Code.UNKNOWN_BANK]


def _propose(view: View, sender: Ispb, propose: Propose, now: Instant) -> Step:
    header = propose.header
    record = _witnessed(view, sender, header, now)
    if propose.ballot.bank != sender or (propose.ballot.round == 0 and sender != coordinator_of(header.id)):
        raise Violation("the ballot is not the sender's")
    _check_round(propose.ballot, header, now)
    register, said = proposed(register_of(record), header.id, propose.ballot, propose.decision)
    return _registered(record, register, said)


def _ask(view: View, sender: Ispb, ask: Ask, now: Instant) -> Step:
    header = ask.header
    if header.witnesses == (view.bank.ispb,):
        return _ask_sole_witness(view, sender, header, now)
    if view.bank.ispb not in header.witnesses:
        return _ask_participant(view, sender, header)
    record = _witnessed(view, sender, header, now)
    if ask.ballot is None or ask.ballot.bank != sender or ask.ballot.round == 0:
        raise Violation("the ballot is not the sender's")
    _check_round(ask.ballot, header, now)
    register, said = asked(register_of(record), header.id, ask.ballot)
    return _registered(record, register, said)


def _ask_sole_witness(view: View, sender: Ispb, header: Header, now: Instant) -> Step:
    """With one witness there are no ballots: what is not decided yet is aborted, here and now (PROTOCOL 5.5)."""
    record = _known(view, header.id, digest(header))
    _check_header(view, header, record)
    if sender not in header.participants:
        raise Violation("only a bank of the payment asks for its decision")
    if record is None or record.state in (State.UNKNOWN, State.AWAITING_APPROVAL):
        # Never answered with abort: perhaps we were put back to an earlier moment (PROTOCOL 2.6).
        raise Violation("we do not know this payment, and its id says that it is ours")
    writes = Writes()
    if not record.state.decided:
        writes, record = settle(view, record, Decision.ABORT, None, now)
    return _say(_decided(record), writes)


def _ask_participant(view: View, sender: Ispb, header: Header) -> Step:
    """Not a witness, but perhaps told already; anything but a decision counts for nothing (PROTOCOL 6.6)."""
    record = _known(view, header.id, digest(header))
    _check_header(view, header, record)
    if sender not in header.banks:
        raise Violation("only a bank of the payment asks for its decision")
    known = record is not None and record.state.decided
    return _say(_decided(record) if record is not None and known else Busy())


def _tell(view: View, sender: Ispb, tell: Tell, now: Instant) -> Step:
    header, own = tell.header, view.bank.ispb
    if header.id != tell.id or digest(header) != tell.digest:
        raise Violation("the header is not the payment's")
    record = _known(view, tell.id, tell.digest)
    _check_header(view, header, record)
    if not {sender, own} <= header.banks:
        raise Violation("only a bank of the payment tells its decision, and only to another")
    decided = record is not None and record.state.decided
    if not decided and len(header.witnesses) == 1 and not {sender, own} & set(header.witnesses):
        # The only witness can be asked itself, and nobody else's word is as good (PROTOCOL 5.5).
        return _say(Busy())
    if record is None or record.state is State.UNKNOWN:
        if coordinator_of(tell.id) == own:
            raise Violation("we do not know this payment, and its id says that it is ours")
        return _told_first(record or _fresh(tell.id, tell.digest, now), own, tell, now)
    if not decided and header.witnesses == (own,):
        raise Violation("the decision is ours alone, and is not made")
    writes, _ = settle(view, record, tell.decision, tell.refusal, now)
    return _say(Done(id=tell.id), writes)


def _told_first(record: Record, own: Ispb, tell: Tell, now: Instant) -> Step:
    """The decision came before anything else did: there are no bookings to post or to release."""
    if own in tell.header.participants:
        state, _, _ = follow(State.UNKNOWN, Event.COMMIT if tell.decision is Decision.COMMIT else Event.ABORT)
    else:
        # A witness that is no participant keeps id, digest and decision for ever (PROTOCOL 4.6).
        state = State.COMMITTED if tell.decision is Decision.COMMIT else State.ABORTED
    refusal = tell.refusal or Refusal(code=Code.ABORTED, bank=coordinator_of(tell.id))
    told = replace(
        record,
        state=state,
        header=tell.header,
        decided_at=now,
        refusal=refusal if state is State.ABORTED else None,
    )
    return _say(Done(id=tell.id), Writes(records={told.id: told}))


def _witnessed(view: View, sender: Ispb, header: Header, now: Instant) -> Record:
    record = _known(view, header.id, digest(header))
    _check_header(view, header, record)
    if view.bank.ispb not in header.witnesses:
        raise Violation("we are no witness of this payment")
    if sender not in header.banks:
        raise Violation("only a bank of the payment asks its witnesses")
    if record is None:
        if coordinator_of(header.id) == view.bank.ispb:
            raise Violation("we do not know this payment, and its id says that it is ours")
        record = _fresh(header.id, digest(header), now)
    return replace(record, header=header)


def _registered(record: Record, register: Register, said: Answer) -> Step:
    changed = with_register(record, register)
    return _say(said, Writes(records={record.id: changed} if changed != record else {}))


def _decided(record: Record) -> Decided:
    assert record.decision is not None, "only what is decided is answered so"
    return Decided(id=record.id, decision=record.decision, refusal=record.refusal)


def _known(view: View, id: EndToEndId, asked_digest: str) -> Record | None:
    record = view.records.get(id)
    if record is not None and record.digest != asked_digest:
        raise Violation("the payment is known here with another digest")
    return record


def _fresh(id: EndToEndId, its_digest: str, now: Instant) -> Record:
    return Record(
        id=id,
        kind=Kind.PAYMENT,
        state=State.UNKNOWN,
        clauses=(),
        payer=None,
        description=None,
        reference=None,
        created_at=now,
        digest=its_digest,
    )


def _ahead(view: View, header: Header) -> bool:
    """Whether it names a bank that only a newer roster than ours knows: nothing can be said until we have that too."""
    roster = view.bank.roster
    return header.roster_version > roster.version and not header.banks <= roster.members.keys()


def _check_round(ballot: Ballot, header: Header, now: Instant) -> None:
    """PROTOCOL 4.1."""
    if not is_within_reach(ballot, header.deadline, now):
        raise Violation("a ballot that nobody has come to in this time")


def _check_header(view: View, header: Header, record: Record | None) -> None:
    """PROTOCOL 3.7."""
    if list(header.participants) != sorted(set(header.participants)) or not header.participants:
        raise Violation("the participants are not a sorted set")
    if len(set(header.witnesses)) != len(header.witnesses) or len(header.witnesses) % 2 == 0:
        raise Violation("the witnesses are not an odd set")
    if header.witnesses[0] != coordinator_of(header.id):
        raise Violation("the coordinator is not the first witness")
    # What is known here was checked when it came; a bank of it may have been struck out since.
    known = record is not None and record.header is not None
    if not known and not header.banks <= view.bank.roster.members.keys():
        raise Violation("a bank of the payment is no member of the consortium")


def _check_parts(view: View, prepare: Prepare) -> None:
    """Each transfer that is shown to us is one of the header's, and is our business (PROTOCOL 3.7)."""
    header, own = prepare.header, view.bank.ispb
    if not prepare.parts or len({part.index for part in prepare.parts}) != len(prepare.parts):
        raise Violation("no transfers, or one of them twice")
    for part in prepare.parts:
        banks = {bank_of(part.transfer.source), bank_of(part.transfer.target)}
        if not 0 <= part.index < len(header.leaves) or leaf(part) != header.leaves[part.index]:
            raise Violation("a transfer does not fit its leaf")
        if not concerns(part, own) or not banks <= set(header.participants):
            raise Violation("a transfer is between banks that it may not be between")
        if part.transfer.amount <= 0 or part.transfer.source == part.transfer.target:
            raise Violation("a transfer that the coordinator should have refused")


def _enough_witnesses(view: View, prepare: Prepare) -> bool:
    """Our customers' money is not to wait for one bank alone (PROTOCOL 3.7).

    False: there are too few, but a coordinator with another version of the roster may be honest all the same.
    """
    header, roster = prepare.header, view.bank.roster
    if all(bank_of(part.transfer.source) != view.bank.ispb for part in prepare.parts):
        return True
    if len(header.witnesses) >= witness_count(roster.witnesses, len(roster.present)):
        return True
    if header.roster_version == roster.version:
        raise Violation("fewer witnesses than a debit demands")
    return False


def _say(said: Answer, writes: Writes | None = None) -> Step:
    return Step(writes=writes or Writes(), reply=Answered(answer=said))
