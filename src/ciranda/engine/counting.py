"""Counting what payments take: under each mandate, and out of each account in one day and one night.

The bank that holds the account counts, by its own clock, whoever asked for the payment. It counts when the payment is
placed, under the same locks as the money, and gives back what is not paid in the end.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ciranda.engine.limits import Span, leaving
from ciranda.engine.mandate import Mandate, Use
from ciranda.engine.record import Clause, Record, mandates_used
from ciranda.engine.spent import Spent, SpentKey
from ciranda.engine.view import View, Writes
from ciranda.identity import AccountId
from ciranda.instant import Instant
from ciranda.period import day_of, night_of, periods_of
from ciranda.refusal import Code


def exceeded(view: View, clauses: tuple[Clause, ...], now: Instant) -> list[Code]:
    """What speaks against the amounts: the mandates, and the limits that the accounts' holders chose."""
    codes = []
    for id, amount in mandates_used(clauses).items():
        mandate = view.mandates[id]
        today = 0 if mandate.per_day is None else view.spent[id, day_of(now)].amount
        if not mandate.allows(amount, today):
            codes.append(Code.MANDATE_EXCEEDED)
    for account, amounts in _limited(view, clauses).items():
        if _over_limits(view, account, amounts, now):
            codes.append(Code.LIMIT_EXCEEDED)
    return codes


def count(view: View, record: Record, writes: Writes, now: Instant) -> Record:
    """Puts what the payment takes into `writes`; the record that remembers it."""
    used, limited = mandates_used(record.clauses), _limited(view, record.clauses)
    if not used and not limited:
        return record
    writes.mandates = _mandates(view, used, +1)
    writes.uses = [
        Use(mandate=id, used_at=now, payment=record.id, amount=amount) for id, amount in used.items()
    ]
    counted = [
        Spent(taken_from=id, period=day_of(now), amount=amount)
        for id, amount in used.items()
        if view.mandates[id].per_day is not None
    ]
    counted += [
        Spent(taken_from=account, period=period, amount=sum(amounts))
        for account, amounts in limited.items()
        for period in periods_of(now)
    ]
    if not counted:
        return record
    writes.spent = _spent(view, counted, +1)
    return replace(record, counted=tuple(counted))


def give_back(view: View, record: Record, writes: Writes) -> None:
    """The payment is undone. That it used a mandate stays written, beside what became of it."""
    writes.mandates = _mandates(view, mandates_used(record.clauses), -1)
    writes.spent = _spent(view, record.counted, -1)


def _limited(view: View, clauses: tuple[Clause, ...]) -> dict[AccountId, list[int]]:
    """What leaves each of our customers' accounts, transfer by transfer; nothing if this bank keeps no limits."""
    if view.bank.limits is None:
        return {}
    debits = leaving([clause.transfer for clause in clauses], view.bank.ispb)
    return {account: amounts for account, amounts in debits.items() if account in view.accounts}


def _over_limits(view: View, account: AccountId, amounts: list[int], now: Instant) -> bool:
    assert view.bank.limits is not None, "this bank keeps limits"
    defaults = view.bank.limits.for_kind(view.accounts[account].kind)
    chosen = view.chosen[account]
    for span in Span:
        most = chosen.of(span).at(now, defaults.of(span))
        if most is not None and _total(view, account, amounts, span, now) > most:
            return True
    return False


def _total(view: View, account: AccountId, amounts: list[int], span: Span, now: Instant) -> int:
    """What the limit for `span` is held against: this payment, and what was spent before in the same day or night."""
    match span:
        case Span.TRANSFER:
            return max(amounts)
        case Span.DAY:
            return view.spent[account, day_of(now)].amount + sum(amounts)
        case Span.NIGHT:
            night = night_of(now)
            return 0 if night is None else view.spent[account, night].amount + sum(amounts)


def _mandates(view: View, used: dict[str, int], sign: int) -> dict[str, Mandate]:
    counted = {}
    for id, amount in used.items():
        mandate = view.mandates[id]
        counted[id] = replace(mandate, used=mandate.used + sign * amount)
        assert counted[id].used >= 0, f"more is given back to mandate {id} than it has used"
    return counted


def _spent(view: View, counted: Sequence[Spent], sign: int) -> dict[SpentKey, Spent]:
    changed = {}
    for one in counted:
        spent = view.spent[one.key]
        changed[one.key] = replace(spent, amount=spent.amount + sign * one.amount)
        assert changed[one.key].amount >= 0, (
            f"more is given back to {one.taken_from} than was spent in {one.period}"
        )
    return changed
