"""Waiting for signatures: how something comes to wait, and how it leaves, whichever way it ends.

The law: of one account no more waits than `WAITING_MAX`, and what has left never comes back.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ciranda.engine.approval import WAITING_MAX, Approval, Party, Queue, Signed, Subject
from ciranda.engine.reply import DenialCode, Denied
from ciranda.engine.view import View, Writes
from ciranda.identity import AccountId, Document
from ciranda.instant import Instant


def parties(view: View, accounts: Iterable[AccountId]) -> tuple[Party, ...]:
    """Those of the accounts that need all their holders' signatures: one of them alone never decides."""
    found = (view.accounts.get(id) for id in dict.fromkeys(accounts))
    return tuple(
        Party(account=account.id, holders=account.holders)
        for account in found
        if account is not None and account.signatures == "all"
    )


def is_full(view: View, parties: tuple[Party, ...]) -> bool:
    return any(_queue(view, party.account).waiting >= WAITING_MAX for party in parties)


def wait(
    view: View,
    id: str,
    subject: Subject,
    asker: Document,
    parties: tuple[Party, ...],
    expires_at: Instant,
    now: Instant,
    sealed: bytes | None = None,
) -> Writes:
    approval = Approval(
        id=id,
        subject=subject,
        asker=asker,
        parties=parties,
        approved=(Signed(holder=asker, at=now),),
        refused_by=None,
        sealed=sealed,
        asked_at=now,
        expires_at=expires_at,
        ended_at=None,
    )
    return Writes(approvals={id: approval}, queues=_queues(view, parties, +1))


def leave(view: View, approval: Approval, refused_by: Document | None, now: Instant) -> Writes:
    """All have signed, or one refused, or nobody did anything in time."""
    assert approval.ended_at is None, "it ends once"
    over = replace(approval, refused_by=refused_by, sealed=None, ended_at=now)
    return Writes(approvals={over.id: over}, queues=_queues(view, approval.parties, -1))


def never_given(approval: Approval) -> Denied:
    """Why there is no such mandate: a holder did not want it, or not all signed in time."""
    refused = approval.refused_by is not None
    return Denied(code=DenialCode.NOT_PERMITTED if refused else DenialCode.DEADLINE_PASSED)


def _queues(view: View, parties: tuple[Party, ...], change: int) -> dict[AccountId, Queue]:
    queues = {}
    for party in parties:
        queue = _queue(view, party.account)
        queues[queue.account] = replace(queue, waiting=queue.waiting + change)
        assert queue.waiting + change >= 0, f"less than nothing waits for {queue.account}"
    return queues


def _queue(view: View, account: AccountId) -> Queue:
    return view.queues.get(account) or Queue(account=account, waiting=0)
