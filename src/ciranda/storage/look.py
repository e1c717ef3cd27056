"""Looking: the questions that are asked of a bank's database without changing it, in SQLAlchemy Core for both."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, Connection, Select, Table, and_, func, not_, or_, select, tuple_

from ciranda.agreement.height import Height
from ciranda.agreement.participant import State
from ciranda.chain import SignedHead
from ciranda.engine.action import Action
from ciranda.engine.approval import Approval
from ciranda.engine.customer import Customer
from ciranda.engine.key import Claim
from ciranda.engine.limits import Limits
from ciranda.engine.link import Link
from ciranda.engine.mandate import Mandate
from ciranda.engine.operator import Operator
from ciranda.engine.proposal import Proposal
from ciranda.engine.record import Record
from ciranda.engine.second_factor import SecondFactor
from ciranda.identity import AccountId, Address, Document, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.ledger.account import Account, AccountKind
from ciranda.ledger.trial_balance import TrialBalance
from ciranda.period import Period
from ciranda.ports import Credentials, Dispute, PaymentCounts, Session, StatementLine, UseLine, ViolationRow
from ciranda.storage import schema
from ciranda.storage.rows import (
    ACCOUNTS,
    ACTIONS,
    APPROVALS,
    CUSTOMERS,
    DISPUTES,
    ENTRIES,
    HEADS,
    LIMITS,
    LINKS,
    MANDATES,
    OPERATORS,
    PROPOSALS,
    RECORDS,
    SECOND_FACTORS,
    USES,
)

_OWN_KINDS = (AccountKind.VAULT.value, AccountKind.CLEARING.value)
ASKED_AT_ONCE = 1_000
"""So many ids in one statement."""

_IN_DOUBT = (State.PREPARED.value,)
KEYS_AT_ONCE = 500


def _all(connection: Connection, query: Select[Any]) -> list[Any]:
    return [tuple(row) for row in connection.execute(query)]


def height(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        return int(connection.execute(select(schema.bank.c.height)).scalar_one())
    query = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM height"
    return int(connection.exec_driver_sql(query).scalar_one())


def customers(connection: Connection, documents: Sequence[Document]) -> dict[Document, Customer]:
    query = select(schema.customers).where(schema.customers.c.document.in_(documents))
    return {customer.document: customer for customer in map(CUSTOMERS.from_row, _all(connection, query))}


def credentials(connection: Connection, document: Document) -> Credentials:
    customer = customers(connection, [document]).get(document)
    query = select(schema.secrets.c.password_hash).where(schema.secrets.c.document == document)
    password_hash = connection.execute(query).scalar()
    return Credentials(
        customer=customer, password_hash=password_hash, second_factor=second_factor(connection, document)
    )


_SESSION = (
    select(
        schema.sessions.c.token_hash,
        schema.sessions.c.id,
        schema.sessions.c.created_at,
        schema.sessions.c.used_at,
        schema.sessions.c.expires_at,
        schema.sessions.c.address,
        schema.sessions.c.agent,
        schema.second_factors.c.confirmed_at,
        *schema.customers.columns,
    )
    .join(schema.customers, schema.customers.c.document == schema.sessions.c.document)
    .outerjoin(schema.second_factors, schema.second_factors.c.document == schema.sessions.c.document)
)


def _session(row: Sequence[Any]) -> Session:
    return Session(
        id=row[1],
        customer=CUSTOMERS.from_row(row[8:]),
        created_at=Instant(row[2]),
        used_at=Instant(row[3]),
        expires_at=Instant(row[4]),
        address=row[5],
        agent=row[6],
        guarded=row[7] is not None,
    )


def sessions(connection: Connection, token_hashes: Sequence[bytes]) -> dict[bytes, Session]:
    query = _SESSION.where(schema.sessions.c.token_hash.in_(token_hashes))
    return {bytes(row[0]): _session(row) for row in _all(connection, query)}


def sessions_of(connection: Connection, document: Document) -> list[tuple[bytes, Session]]:
    query = _SESSION.where(schema.sessions.c.document == document).order_by(
        schema.sessions.c.used_at.desc(), schema.sessions.c.id
    )
    return [(bytes(row[0]), _session(row)) for row in _all(connection, query)]


def old_sessions(connection: Connection, now: Instant, limit: int) -> list[bytes]:
    query = select(schema.sessions.c.token_hash).where(schema.sessions.c.expires_at <= now).limit(limit)
    return [bytes(row[0]) for row in _all(connection, query)]


def old_attempts(connection: Connection, now: Instant, limit: int) -> list[str]:
    tallies = schema.attempts.c
    old = and_(tallies.forgotten_at < now, tallies.blocked_until < now)
    return [row[0] for row in _all(connection, select(tallies.whose).where(old).limit(limit))]


def blocked_until(connection: Connection, whose: str) -> Instant:
    query = select(schema.attempts.c.blocked_until).where(schema.attempts.c.whose == whose)
    return Instant(connection.execute(query).scalar() or 0)


def second_factor(connection: Connection, document: Document) -> SecondFactor | None:
    factors = schema.second_factors
    rows = _all(connection, select(factors).where(factors.c.document == document))
    return SECOND_FACTORS.from_row(rows[0]) if rows else None


def used_keys(connection: Connection, claims: Sequence[Claim]) -> set[Claim]:
    keys = schema.keys.c
    found = set()
    for scope in {claim.scope for claim in claims}:
        asked = [claim.key for claim in claims if claim.scope == scope]
        for start in range(0, len(asked), KEYS_AT_ONCE):
            query = select(keys.scope, keys.key, keys.body).where(
                keys.scope == scope, keys.key.in_(asked[start : start + KEYS_AT_ONCE])
            )
            found |= {Claim(scope=row[0], key=row[1], body=row[2]) for row in _all(connection, query)}
    return found & set(claims)


def account(connection: Connection, id: AccountId) -> Account | None:
    rows = _all(connection, select(schema.accounts).where(schema.accounts.c.id == id))
    return ACCOUNTS.from_row(rows[0]) if rows else None


def accounts_of(connection: Connection, document: Document) -> list[Account]:
    query = (
        select(schema.accounts)
        .join(schema.holdings, schema.holdings.c.account == schema.accounts.c.id)
        .where(schema.holdings.c.document == document)
        .order_by(schema.accounts.c.opened_at, schema.accounts.c.id)
    )
    return [ACCOUNTS.from_row(row) for row in _all(connection, query)]


def own_accounts(connection: Connection) -> list[Account]:
    query = (
        select(schema.accounts).where(schema.accounts.c.kind.in_(_OWN_KINDS)).order_by(schema.accounts.c.id)
    )
    return [ACCOUNTS.from_row(row) for row in _all(connection, query)]


def entries(
    connection: Connection, of: AccountId, limit: int, before: int | None, after: int | None
) -> list[StatementLine]:
    """Entries stand in the order of payments: back from the account's newest, or from the next mark, one leads to the
    one before.
    """
    accounts = schema.accounts
    newest = _number_and_payment(
        connection, select(accounts.c.entries, accounts.c.latest).where(accounts.c.id == of)
    )
    if newest is None:
        return []
    if after is not None:
        low, high = after + 1, min(newest[0], after + limit)
    else:
        high = newest[0] if before is None else min(newest[0], before - 1)
        low = max(1, high - limit + 1)
    if high < low:
        return []
    line = _line(connection, of, high, low, newest)
    payments = schema.payments
    query = (
        select(line, payments.c.description, payments.c.reference)
        .join(payments, payments.c.id == line.c.payment)
        .where(line.c.number <= high)
        .order_by(line.c.number if after is not None else line.c.number.desc())
    )
    return [
        StatementLine(entry=ENTRIES.from_row(row[:-2]), description=row[-2], reference=row[-1])
        for row in _all(connection, query)
    ]


def _line(connection: Connection, of: AccountId, high: int, low: int, newest: tuple[int, str]) -> CTE:
    """The account's entries from a little over `high` down to `low`."""
    entries, marks = schema.entries, schema.marks
    mark = _number_and_payment(
        connection,
        select(marks.c.number, marks.c.payment)
        .where(marks.c.account == of, marks.c.number >= high)
        .order_by(marks.c.number)
        .limit(1),
    )
    number, payment = mark or newest
    line = (
        select(entries)
        .where(entries.c.payment == payment, entries.c.account == of, entries.c.number == number)
        .cte("line", recursive=True)
    )
    earlier = entries.alias("earlier")
    return line.union_all(
        select(earlier).where(
            earlier.c.payment == line.c.previous,
            earlier.c.account == of,
            earlier.c.number == line.c.number - 1,
            line.c.number > low,
        )
    )


def _number_and_payment(connection: Connection, query: Select[Any]) -> tuple[int, str] | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def _records(connection: Connection, query: Select[Any]) -> list[Record]:
    return [RECORDS.from_row(row) for row in _all(connection, query)]


def payment(connection: Connection, id: EndToEndId) -> Record | None:
    found = _records(connection, select(schema.payments).where(schema.payments.c.id == id))
    return found[0] if found else None


def payments(connection: Connection, ids: Sequence[EndToEndId]) -> list[Record]:
    return _records(connection, select(schema.payments).where(schema.payments.c.id.in_(ids)))


def payments_of(
    connection: Connection, bank: Ispb, payer: Document, limit: int, before: EndToEndId | None
) -> list[Record]:
    # The ids that this bank coordinates begin with E and its ISPB, and sort by time.
    first = f"E{bank}"
    id = schema.payments.c.id
    query = (
        select(schema.payments)
        .where(schema.payments.c.payer == payer, id >= first, id < (before or first + "~"))
        .order_by(id.desc())
        .limit(limit)
    )
    return _records(connection, query)


def all_payments(connection: Connection, limit: int, after: EndToEndId | None) -> list[Record]:
    id = schema.payments.c.id
    query = select(schema.payments).where(id > (after or "")).order_by(id).limit(limit)
    return _records(connection, query)


def in_doubt(connection: Connection, limit: int) -> list[Record]:
    query = select(schema.payments).where(_is_in_doubt()).order_by(schema.payments.c.due).limit(limit)
    return _records(connection, query)


def count_in_doubt(connection: Connection) -> int:
    query = select(func.count()).select_from(schema.payments).where(_is_in_doubt())
    return int(connection.execute(query).scalar_one())


def _is_in_doubt() -> Any:
    # An undecided payment always has a time at which recovery looks at it: the index of those is short.
    return and_(schema.payments.c.due.is_not(None), schema.payments.c.state.in_(_IN_DOUBT))


def unfinished(connection: Connection, limit: int, after: EndToEndId | None) -> list[Record]:
    id = schema.payments.c.id
    query = (
        select(schema.payments)
        .where(schema.payments.c.due.is_not(None), id > (after or ""))
        .order_by(id)
        .limit(limit)
    )
    return _records(connection, query)


def due(connection: Connection, now: Instant, horizon: Instant, limit: int) -> list[Record]:
    # Nothing is ever set as far ahead as the horizon: what is, was set before the clock was put back.
    at = schema.payments.c.due
    query = (
        select(schema.payments).where(at.is_not(None), or_(at <= now, at > horizon)).order_by(at).limit(limit)
    )
    return _records(connection, query)


def mandates_of(connection: Connection, giver: Document) -> list[Mandate]:
    query = (
        select(schema.mandates)
        .where(or_(schema.mandates.c.giver == giver, schema.mandates.c.account.in_(_signed_by(giver))))
        .order_by(schema.mandates.c.created_at, schema.mandates.c.id)
    )
    return [MANDATES.from_row(row) for row in _all(connection, query)]


def _signed_by(holder: Document) -> Any:
    """The accounts for which the holder signs together with all others."""
    return (
        select(schema.accounts.c.id)
        .join(schema.holdings, schema.holdings.c.account == schema.accounts.c.id)
        .where(schema.holdings.c.document == holder, schema.accounts.c.signatures == "all")
    )


def mandate(connection: Connection, id: str) -> Mandate | None:
    rows = _all(connection, select(schema.mandates).where(schema.mandates.c.id == id))
    return MANDATES.from_row(rows[0]) if rows else None


def uses(
    connection: Connection, mandate: str, limit: int, before: tuple[Instant, EndToEndId] | None
) -> list[UseLine]:
    use, payments = schema.uses, schema.payments
    query = (
        select(use, payments)
        .join(payments, payments.c.id == use.c.payment)
        .where(use.c.mandate == mandate)
        .order_by(use.c.used_at.desc(), use.c.payment.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(use.c.used_at, use.c.payment) < before)
    width = len(use.columns)
    return [
        UseLine(use=USES.from_row(row[:width]), record=RECORDS.from_row(row[width:]))
        for row in _all(connection, query)
    ]


def used_since(connection: Connection, mandates: Sequence[str], since: Instant) -> dict[str, int]:
    use, payments = schema.uses, schema.payments
    found: dict[str, int] = {}
    for first in range(0, len(mandates), ASKED_AT_ONCE):
        query = (
            select(use.c.mandate, func.sum(use.c.amount))
            .join(payments, payments.c.id == use.c.payment)
            .where(use.c.mandate.in_(mandates[first : first + ASKED_AT_ONCE]), use.c.used_at >= since)
            .where(payments.c.state != State.ABORTED.value)
            .group_by(use.c.mandate)
        )
        found |= {row[0]: int(row[1]) for row in _all(connection, query)}
    return found


def limits(connection: Connection, account: Address) -> Limits:
    rows = _all(connection, select(schema.limits).where(schema.limits.c.account == account))
    return LIMITS.from_row(rows[0]) if rows else Limits(account=account)


def spent(connection: Connection, account: Address, periods: Sequence[Period]) -> dict[Period, int]:
    counted = schema.spent.c
    query = select(counted.period, counted.amount).where(
        counted.taken_from == account, counted.period.in_(periods)
    )
    return dict.fromkeys(periods, 0) | {Period(row[0]): int(row[1]) for row in _all(connection, query)}


def mandates(connection: Connection, ids: Sequence[str]) -> list[Mandate]:
    query = select(schema.mandates).where(schema.mandates.c.id.in_(ids))
    return [MANDATES.from_row(row) for row in _all(connection, query)]


def approvals(connection: Connection, ids: Sequence[str]) -> dict[str, Approval]:
    query = select(schema.approvals).where(schema.approvals.c.id.in_(ids))
    return {row[0]: APPROVALS.from_row(row) for row in _all(connection, query)}


def awaiting(
    connection: Connection, document: Document, limit: int, before: tuple[Instant, str] | None
) -> list[Approval]:
    at, id = schema.approvals.c.asked_at, schema.approvals.c.id
    query = (
        select(schema.approvals)
        .join(schema.awaited, schema.awaited.c.approval == id)
        .where(schema.awaited.c.document == document)
        .order_by(at.desc(), id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(or_(at < before[0], and_(at == before[0], id < before[1])))
    return [APPROVALS.from_row(row) for row in _all(connection, query)]


def expired(connection: Connection, now: Instant, limit: int) -> list[Approval]:
    at = schema.approvals.c.expires_at
    open = schema.approvals.c.ended_at.is_(None)
    query = select(schema.approvals).where(open, at <= now).order_by(at).limit(limit)
    return [APPROVALS.from_row(row) for row in _all(connection, query)]


def links_of(connection: Connection, owner: Document) -> list[Link]:
    query = select(schema.links).where(schema.links.c.owner == owner).order_by(schema.links.c.account)
    return [LINKS.from_row(row) for row in _all(connection, query)]


def trial_balance(connection: Connection) -> tuple[TrialBalance, PaymentCounts]:
    """Computed from every account, by the database, in one snapshot."""
    kind, balance, held = schema.accounts.c.kind, schema.accounts.c.balance, schema.accounts.c.held
    customers_sum, held_sum, count = connection.execute(
        select(func.coalesce(func.sum(balance), 0), func.coalesce(func.sum(held), 0), func.count()).where(
            not_(kind.in_(_OWN_KINDS))
        )
    ).one()
    own = {account.id: account for account in own_accounts(connection)}
    balances = TrialBalance(
        customers=int(customers_sum),
        vault=sum(account.balance for account in own.values() if account.kind is AccountKind.VAULT),
        clearing={
            Ispb(id.removeprefix("clearing.")): account.balance
            for id, account in own.items()
            if account.kind is AccountKind.CLEARING
        },
        held=int(held_sum),
        accounts=int(count),
    )
    by_state = {
        str(row[0]): int(row[1])
        for row in connection.execute(
            select(schema.payments.c.state, func.count()).group_by(schema.payments.c.state)
        )
    }
    counts = PaymentCounts(
        settled=by_state.get(State.COMMITTED.value, 0),
        refused=by_state.get(State.ABORTED.value, 0),
        in_doubt=by_state.get(State.PREPARED.value, 0),
    )
    return balances, counts


def chain(connection: Connection, number: int | None) -> tuple[int, bytes, bytes | None]:
    folios = schema.folios.c
    query = select(folios.number, folios.hash).order_by(folios.number.desc()).limit(1)
    last, hash = connection.execute(query).one()
    there = connection.execute(select(folios.hash).where(folios.number == number)).scalar()
    return last, hash, there


def kept_heads(connection: Connection, bank: Ispb, limit: int, before: int | None) -> list[SignedHead]:
    heads = schema.heads.c
    query = select(schema.heads).where(heads.ispb == bank).order_by(heads.number.desc()).limit(limit)
    if before is not None:
        query = query.where(heads.number < before)
    return list(map(HEADS.from_row, _all(connection, query)))


def old_heads(
    connection: Connection, bank: Ispb, before: Instant, thinned: tuple[Instant, Instant]
) -> list[tuple[Ispb, int]]:
    """The keys of those kept before a time; and, of an hour that lies between two times, of all but the last."""
    heads, other = schema.heads.c, schema.heads.alias("other").c
    begins, ends = thinned
    later = select(other.number).where(
        other.ispb == bank, other.number > heads.number, other.kept_at >= begins, other.kept_at < ends
    )
    thin = and_(heads.kept_at >= begins, heads.kept_at < ends, later.exists())
    query = select(heads.ispb, heads.number).where(heads.ispb == bank, or_(heads.kept_at < before, thin))
    return _all(connection, query)


def disputes(connection: Connection, limit: int) -> list[Dispute]:
    query = select(schema.disputes).order_by(schema.disputes.c.seen_at.desc()).limit(limit)
    return list(map(DISPUTES.from_row, _all(connection, query)))


def violations(connection: Connection, limit: int) -> list[ViolationRow]:
    seen = schema.violations.c
    query = select(seen.at, seen.peer, seen.payment, seen.reason).order_by(seen.id.desc()).limit(limit)
    return [
        ViolationRow(at=Instant(row[0]), peer=Ispb(row[1]), payment=EndToEndId(row[2]), reason=row[3])
        for row in _all(connection, query)
    ]


def operator(connection: Connection, name: str) -> Operator | None:
    rows = _all(connection, select(schema.operators).where(schema.operators.c.name == name))
    return OPERATORS.from_row(rows[0]) if rows else None


def operators(connection: Connection) -> list[Operator]:
    rows = _all(connection, select(schema.operators).order_by(schema.operators.c.name))
    return [OPERATORS.from_row(row) for row in rows]


def proposal(connection: Connection, id: str) -> Proposal | None:
    rows = _all(connection, select(schema.proposals).where(schema.proposals.c.id == id))
    return PROPOSALS.from_row(rows[0]) if rows else None


def proposals(connection: Connection, limit: int, before: str | None) -> list[Proposal]:
    return [PROPOSALS.from_row(row) for row in _latest(connection, schema.proposals, limit, before)]


def actions(connection: Connection, limit: int, before: str | None) -> list[Action]:
    return [ACTIONS.from_row(row) for row in _latest(connection, schema.actions, limit, before)]


def _latest(connection: Connection, table: Table, limit: int, before: str | None) -> list[Any]:
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    return _all(connection, query if before is None else query.where(table.c.id < before))


def heights(connection: Connection) -> dict[Ispb, Height]:
    return {Ispb(row[0]): Height(int(row[1]), row[2]) for row in _all(connection, select(schema.heights))}


def old_keys(connection: Connection, used_before: Instant, limit: int) -> list[tuple[str, str]]:
    query = (
        select(schema.keys.c.scope, schema.keys.c.key).where(schema.keys.c.used_at < used_before).limit(limit)
    )
    return [(row[0], row[1]) for row in _all(connection, query)]
