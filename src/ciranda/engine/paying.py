"""A client's order: what this bank can say about it alone, and the beginning of what it cannot (PROTOCOL 5.1).

A payment out of an account that needs all its holders' signatures waits, with nothing held, and is begun by the same
code when the last of them has signed. One inside the bank is booked here, at once (PROTOCOL 1.5). One that concerns other
banks is *prepared*: its own bookings are placed, and its header, which never changes, is made. A refusal is recorded
under its key like a success.
"""

from collections.abc import Sequence

from ciranda.agreement.header import Header, Part, choose_witnesses, digest, leaf
from ciranda.agreement.participant import State
from ciranda.engine.approval import WAIT_MS, Party, Subject
from ciranda.engine.counting import count
from ciranda.engine.input import GRACE_MS, Begin
from ciranda.engine.key import used
from ciranda.engine.mandate import id_of
from ciranda.engine.placing import booked, place
from ciranda.engine.record import Clause, Record, bookings_of
from ciranda.engine.reply import Paid
from ciranda.engine.view import Step, View, Writes
from ciranda.engine.waiting import is_full, parties, wait
from ciranda.identity import VAULT, Address, EndToEndId, Ispb, bank_of
from ciranda.instant import Instant, later
from ciranda.ledger.booking import Book
from ciranda.payment import Kind, Transfer, banks_of
from ciranda.refusal import PRECEDENCE, Code, Refusal


def begin(view: View, order: Begin, now: Instant) -> Step:
    assert order.claim is not None, "what a client orders has a key"
    key = view.keys.get((order.claim.scope, order.claim.key))
    if key is not None:
        # Used before, with the same body: the same payment.
        assert key.made is not None, "an order's key always leads to a payment"
        return Step(writes=Writes(), reply=Paid(record=view.records[EndToEndId(key.made)]))
    return start(view, order, now, signed=False)


def start(view: View, order: Begin, now: Instant, *, signed: bool) -> Step:
    """Every check, and then the beginning. `signed`: all holders of all sources have approved it."""
    permitted, codes = _permissions(view, order, now)
    codes += _impossibilities(view, order)
    if codes:
        return _refused(view, order, permitted, codes, now)

    book = Book(view.accounts.get)
    banks = banks_of(order.transfers, view.bank.ispb)
    codes = place(view, book, permitted, now)
    if banks & order.unreachable:
        codes.append(Code.BANK_UNREACHABLE)
    signers = () if signed else _signers(view, permitted, order)
    if signers:
        # Nothing is held meanwhile, so that the money must be there only when the last holder has signed.
        codes = [code for code in codes if PRECEDENCE[code] < PRECEDENCE[Code.INSUFFICIENT_FUNDS]]
        if is_full(view, signers):
            codes.append(Code.LIMIT_EXCEEDED)
        if not codes:
            return _awaiting(view, order, permitted, signers, now)
    if codes:
        return _refused(view, order, permitted, codes, now, away=sorted(banks & order.unreachable))

    if banks == {view.bank.ispb}:
        record = _record(order, permitted, State.COMMITTED, now, decided_at=now)
        for booking in bookings_of(permitted, view.bank.ispb):
            book.post(booking, order.id, now)
    else:
        record = _prepared(view, order, permitted, banks, now)
    writes = booked(book)
    return _step(order, count(view, record, writes, now), writes, now)


def _permissions(view: View, order: Begin, now: Instant) -> tuple[tuple[Clause, ...], list[Code]]:
    """The transfers, each with the mandate of ours that allows it, and a code for each that nothing allows.

    A source in another bank needs a mandate too, which that bank will check.
    """
    clauses, codes = [], []
    for transfer, token in zip(order.transfers, order.tokens, strict=True):
        mandate, permitted = None, True
        if order.kind is Kind.PAYMENT:
            assert order.caller is not None, "an operator does not pay"
            if bank_of(transfer.source) != view.bank.ispb:
                permitted = token is not None
            elif not _holds(view, order, transfer):
                mandate = _mandate_for(view, order, transfer, token, now)
                permitted = mandate is not None
        if not permitted:
            codes.append(Code.NOT_PERMITTED)
        clauses.append(Clause(transfer=transfer, mandate=mandate))
    return tuple(clauses), codes


def _holds(view: View, order: Begin, transfer: Transfer) -> bool:
    account = view.accounts.get(transfer.source)
    return account is not None and order.caller in account.holders


def _mandate_for(view: View, order: Begin, transfer: Transfer, token: str | None, now: Instant) -> str | None:
    id = None if token is None else id_of(token, view.bank.mandate_secret)
    mandate = None if id is None else view.mandates.get(id)
    if mandate is None or order.caller is None:
        return None
    serves = mandate.serves("pay", Address(transfer.source), view.bank.ispb, order.caller, now)
    return mandate.id if serves else None


def _impossibilities(view: View, order: Begin) -> list[Code]:
    """What no bank could ever do."""
    codes = []
    for transfer in order.transfers:
        if transfer.amount == 0:
            codes.append(Code.ZERO_AMOUNT)
        if transfer.source == transfer.target:
            codes.append(Code.SAME_ACCOUNT)
        if any(
            account != VAULT and not view.bank.deals_with(bank_of(account))
            for account in (transfer.source, transfer.target)
        ):
            codes.append(Code.UNKNOWN_BANK)
        elif order.kind is not Kind.PAYMENT and banks_of((transfer,), view.bank.ispb) != {view.bank.ispb}:
            # Cash is brought to, and fetched from, the bank that keeps the account.
            codes.append(Code.UNKNOWN_ACCOUNT)
    return codes


def _signers(view: View, clauses: tuple[Clause, ...], order: Begin) -> tuple[Party, ...]:
    """The sources that need all their holders' signatures. For what a mandate allows they have given them."""
    if order.kind is not Kind.PAYMENT:
        return ()
    return parties(view, (clause.transfer.source for clause in clauses if clause.mandate is None))


def _awaiting(
    view: View, order: Begin, clauses: tuple[Clause, ...], signers: tuple[Party, ...], now: Instant
) -> Step:
    assert order.caller is not None, "an operator does not pay"
    record = _record(order, clauses, State.AWAITING_APPROVAL, now)
    expires_at = later(now, WAIT_MS)
    writes = wait(view, order.id, Subject.PAYMENT, order.caller, signers, expires_at, now, order.sealed)
    return _step(order, record, writes, now)


def _prepared(
    view: View, order: Begin, clauses: tuple[Clause, ...], banks: set[Ispb], now: Instant
) -> Record:
    own_bank = view.bank.ispb
    header = Header(
        id=order.id,
        deadline=order.deadline,
        participants=tuple(sorted(banks)),
        witnesses=choose_witnesses(
            order.id,
            own_bank,
            {bank_of(transfer.source) for transfer in order.transfers},
            banks,
            view.bank.roster.present,
            order.unreachable,
            view.bank.roster.witnesses,
        ),
        roster_version=view.bank.roster.version,
        leaves=tuple(leaf(part) for part in parts_of(order)),
    )
    return Record(
        id=order.id,
        kind=order.kind,
        state=State.PREPARED,
        clauses=clauses,
        payer=order.caller,
        description=order.description,
        reference=order.reference,
        created_at=now,
        digest=digest(header),
        header=header,
        due=later(order.deadline, GRACE_MS),
    )


def parts_of(order: Begin) -> list[Part]:
    """The transfers with their salts: what the other banks need to see that the header means these."""
    return [
        Part(index=index, transfer=transfer, salt=salt)
        for index, (transfer, salt) in enumerate(zip(order.transfers, order.salts, strict=True))
    ]


def _refused(
    view: View,
    order: Begin,
    clauses: tuple[Clause, ...],
    codes: list[Code],
    now: Instant,
    away: Sequence[Ispb] = (),
) -> Step:
    code = min(codes, key=PRECEDENCE.__getitem__)
    bank = away[0] if code is Code.BANK_UNREACHABLE else view.bank.ispb
    refusal = Refusal(code=code, bank=bank)
    unpermitted = tuple(Clause(transfer=clause.transfer) for clause in clauses)
    return _step(
        order, _record(order, unpermitted, State.ABORTED, now, decided_at=now, refusal=refusal), Writes(), now
    )


def _record(
    order: Begin,
    clauses: tuple[Clause, ...],
    state: State,
    now: Instant,
    decided_at: Instant | None = None,
    refusal: Refusal | None = None,
) -> Record:
    return Record(
        id=order.id,
        kind=order.kind,
        state=state,
        clauses=clauses,
        payer=order.caller,
        description=order.description,
        reference=order.reference,
        created_at=now,
        decided_at=decided_at,
        refusal=refusal,
    )


def _step(order: Begin, record: Record, writes: Writes, now: Instant) -> Step:
    writes.records = {record.id: record}
    if order.claim is not None:
        writes.keys = {(order.claim.scope, order.claim.key): used(order.claim, record.id, None, now)}
    return Step(writes=writes, reply=Paid(record=record, begun=True))
