"""What a batch of inputs needs to read before it can be decided on.

The order of the functions is the one global order in which rows are locked: proposals, operators, keys, customers,
payments, mandates, accounts, links, limits, what was spent, approvals, queues; each kind by id. Later ones look at what the
earlier ones found. From the keys on they are given the inputs with the deeds that operators' acts carry (`with_deeds`).
"""

from collections.abc import Iterable, Sequence

from ciranda.agreement.message import Prepare, payment_of
from ciranda.engine.approval import Subject
from ciranda.engine.input import (
    Accept,
    Act,
    AddOperator,
    Approve,
    Begin,
    ChangeAccount,
    Decide,
    Decline,
    Deed,
    EndOperator,
    Expire,
    GiveMandate,
    Heard,
    Input,
    Learn,
    MakeLink,
    OpenAccount,
    PauseMandate,
    Postpone,
    Reject,
    RemoveLink,
    RenewToken,
    ResetSecondFactor,
    RevokeMandate,
    SetCreditLimit,
    SetLimits,
    Sign,
    TakeBallot,
    Told,
)
from ciranda.engine.key import Claim, Key, used
from ciranda.engine.limits import leaving
from ciranda.engine.mandate import id_of
from ciranda.engine.operating import deed_of
from ciranda.engine.proposal import Proposal
from ciranda.engine.record import Record, booking_of, bookings_of, mandates_used
from ciranda.engine.spent import SpentKey
from ciranda.engine.view import View
from ciranda.identity import AccountId, Address, Document, EndToEndId, bank_of, clearing
from ciranda.instant import Instant
from ciranda.payment import Transfer
from ciranda.period import day_of, periods_of

Work = Input | Deed


def proposals(inputs: Sequence[Input]) -> set[str]:
    """The proposals that are decided on."""
    return {
        input.deed.proposal
        for input in inputs
        if isinstance(input, Act) and isinstance(input.deed, Approve | Reject)
    }


def operators(inputs: Sequence[Input], found: dict[str, Proposal]) -> set[str]:
    """Those who act, those whom it is about, and those whose proposals are decided on."""
    names: set[str] = set()
    for input in inputs:
        if isinstance(input, Act):
            names.add(input.by)
            names.update(_about(input.deed))
    for proposal in found.values():
        names.add(proposal.by)
        names.update(_about(proposal.deed))
    return names


def _about(deed: object) -> set[str]:
    return {deed.name} if isinstance(deed, AddOperator | RenewToken | EndOperator) else set()


def with_deeds(inputs: Sequence[Input], found: dict[str, Proposal]) -> list[Work]:
    """The inputs, and the deeds that operators want done in them: also those that an approval would set going."""
    whole: list[Work] = []
    for input in inputs:
        whole.append(input)
        if not isinstance(input, Act):
            continue
        match input.deed:
            case Approve(proposal=id):
                if id in found:
                    whole.append(deed_of(found[id]))
            case Begin() | ChangeAccount() | SetCreditLimit() | ResetSecondFactor():
                whole.append(input.deed)
            case _:
                pass
    return whole


def claim_of(input: Work) -> Claim | None:
    match input:
        case Begin() | OpenAccount() | GiveMandate() | MakeLink():
            return input.claim
        case Act(deed=Begin(claim=claim)):
            return claim
        case _:
            return None


def claims(inputs: Sequence[Work], now: Instant) -> dict[tuple[str, str], Key]:
    """The keys that the inputs bring, as they will be used up if all goes well: they are put down first of all."""
    found: dict[tuple[str, str], Key] = {}
    for input in inputs:
        claim = claim_of(input)
        if claim is not None:
            found.setdefault((claim.scope, claim.key), used(claim, _to_make(input), None, now))
    return found


def _to_make(input: Work) -> str | None:
    match input:
        case Begin(id=id) | Act(deed=Begin(id=id)):
            return id
        case OpenAccount(address=address):
            return address
        case GiveMandate(mandate=mandate):
            return mandate.id
        case MakeLink(link=link):
            return link.account
        case _:
            return None


def customers(inputs: Sequence[Work]) -> set[Document]:
    return {
        document
        for input in inputs
        if isinstance(input, OpenAccount)
        for document in (input.caller, *input.holders)
    } | {input.document for input in inputs if isinstance(input, ResetSecondFactor)}


def questions(inputs: Sequence[Work]) -> set[EndToEndId]:
    """The payments that other banks ask about, perhaps for the first time."""
    return {payment_of(input.question) for input in inputs if isinstance(input, Heard)}


def records(inputs: Sequence[Work], view: View) -> set[EndToEndId]:
    """The payments of our own that go on, or were begun before under a key that is used again."""
    ids: set[EndToEndId] = set()
    for input in inputs:
        match input:
            case Decide() | TakeBallot() | Accept() | Learn() | Told() | Postpone():
                ids.add(input.id)
            case Begin():
                made = _made(input.claim, view)
                if made is not None:
                    ids.add(EndToEndId(made))
            case Sign(subject=Subject.PAYMENT) | Decline(subject=Subject.PAYMENT):
                ids.add(EndToEndId(input.id))
            case Expire(subject=Subject.PAYMENT):
                ids.add(EndToEndId(input.id))
            case _:
                pass
    return ids


def mandates(inputs: Sequence[Work], view: View) -> set[str]:
    ids: set[str | None] = set()
    secret = view.bank.mandate_secret
    for input in inputs:
        match input:
            case Begin(tokens=tokens) | Sign(begin=Begin(tokens=tokens)):
                ids.update(id_of(token, secret) for token in tokens if token is not None)
            case Heard(question=Prepare(permissions=permissions)):
                ids.update(id_of(permission.mandate, secret) for permission in permissions)
            case GiveMandate(claim=claim):
                ids.add(_made(claim, view))
            case RevokeMandate() | PauseMandate() | Sign() | Decline() | Expire():
                if _is_about_mandate(input):
                    ids.add(input.id)
            case _:
                pass
    for record in _stored(view):
        ids.update(mandates_used(record.clauses))
    return {id for id in ids if id is not None}


def accounts(inputs: Sequence[Work], view: View) -> set[AccountId]:
    ids: set[AccountId] = set()
    for input in inputs:
        match input:
            case Begin():
                _add_accounts(ids, input.transfers, view)
            case Heard(question=Prepare(parts=parts)):
                _add_accounts(ids, (part.transfer for part in parts), view)
            case OpenAccount(claim=claim, caller=caller):
                made = _made(claim, view)
                if made is not None:
                    ids.add(AccountId(made))
                customer = view.customers.get(caller)
                if customer is not None and customer.individual is not None:
                    ids.add(customer.individual)
            case ChangeAccount(account=account) | SetLimits(account=account):
                ids.add(account)
            case SetCreditLimit(peer=peer):
                ids.add(clearing(peer))
            case GiveMandate(mandate=mandate):
                ids.add(mandate.account)
            case RevokeMandate() | Sign() | Decline() | Expire():
                if _is_about_mandate(input) and input.id in view.mandates:
                    ids.add(view.mandates[input.id].account)
            case _:
                pass
    for record in _stored(view):
        for booking in bookings_of(record.clauses, view.bank.ispb):
            ids.update((booking.debit, booking.credit))
    return ids


def links(inputs: Sequence[Work]) -> set[tuple[Document, Address]]:
    return {
        (input.link.owner, input.link.account)
        if isinstance(input, MakeLink)
        else (input.owner, input.account)
        for input in inputs
        if isinstance(input, MakeLink | RemoveLink)
    }


def limits(inputs: Sequence[Work], view: View) -> set[AccountId]:
    """The accounts that money may leave, and those whose limits are set. They are locked: so are their limits."""
    if view.bank.limits is None:
        return set()
    ids: set[AccountId] = set()
    for input in inputs:
        match input:
            case Begin(transfers=transfers) | Sign(begin=Begin(transfers=transfers)):
                ids.update(leaving(transfers, view.bank.ispb))
            case Heard(question=Prepare(parts=parts)):
                ids.update(leaving([part.transfer for part in parts], view.bank.ispb))
            case SetLimits(account=account):
                ids.add(account)
            case _:
                pass
    return ids & view.accounts.keys()


def spent(view: View, now: Instant) -> set[SpentKey]:
    """What is counted now, and what an abort would give back. Accounts and mandates are locked: so is this."""
    keys = {one.key for record in _stored(view) for one in record.counted}
    today = day_of(now)
    keys.update((mandate.id, today) for mandate in view.mandates.values() if mandate.per_day is not None)
    keys.update((account, period) for account in view.chosen for period in periods_of(now))
    return keys


def approvals(inputs: Sequence[Work], view: View) -> set[str]:
    """What is signed, refused or ended, or was asked for before under a key that is used again."""
    ids: set[str | None] = set()
    for input in inputs:
        match input:
            case Sign() | Decline() | Expire() | RevokeMandate() | PauseMandate():
                ids.add(input.id)
            case GiveMandate(claim=claim):
                ids.add(_made(claim, view))
            case _:
                pass
    return {id for id in ids if id is not None}


def queues(view: View) -> set[AccountId]:
    return {account.id for account in view.accounts.values() if account.signatures == "all"}


def _is_about_mandate(input: RevokeMandate | PauseMandate | Sign | Decline | Expire) -> bool:
    return isinstance(input, RevokeMandate | PauseMandate) or input.subject is Subject.MANDATE


def _made(claim: Claim | None, view: View) -> str | None:
    if claim is None:
        return None
    key = view.keys.get((claim.scope, claim.key))
    return None if key is None else key.made


def _stored(view: View) -> Iterable[Record]:
    """The undecided payments: only these can still move money."""
    return (record for record in view.records.values() if not record.state.decided)


def _add_accounts(ids: set[AccountId], transfers: Iterable[Transfer], view: View) -> None:
    for transfer in transfers:
        booking = booking_of(transfer, view.bank.ispb)
        if booking is not None and _known_banks(transfer, view):
            ids.update((booking.debit, booking.credit))


def _known_banks(transfer: Transfer, view: View) -> bool:
    members = view.bank.roster.members
    return all(
        "." not in account or bank_of(account) in members for account in (transfer.source, transfer.target)
    )
