"""Banks with different versions of the roster: nothing is promised that the other could not keep, and nobody is blamed."""

from msgspec.structs import replace

from ciranda.agreement.message import Busy, Decision, Done, Violated, Vote
from ciranda.agreement.participant import State
from ciranda.engine.mandate import Mandate
from ciranda.engine.record import Record
from ciranda.identity import EndToEndId, Ispb
from ciranda.instant import later
from ciranda.ledger.account import clearing_account
from ciranda.payment import Transfer
from ciranda.refusal import Code
from ciranda.roster import Standing
from tests.engine.circle import NOW, PEOPLE, A, B, C, Circle

ANA, BIA = PEOPLE["ana"], PEOPLE["bia"]


def three(witnesses: int = 3) -> Circle:
    circle = Circle([A, B, C], witnesses=witnesses)
    for bank in circle.banks:
        circle[bank].open(circle.address("ana", bank), (ANA,))
        circle.deposit(circle.address("ana", bank), 1_000)
    return circle


def stands(circle: Circle, bank: Ispb, standing: Standing, by: Ispb) -> None:
    """`by` takes the next version of the roster, in which the bank stands so."""
    book = circle[by].view.bank
    member = replace(book.roster.members[bank], standing=standing)
    book.roster = replace(
        book.roster, version=book.roster.version + 1, members=book.roster.members | {bank: member}
    )


def strike_out(circle: Circle, bank: Ispb, by: Ispb) -> None:
    book = circle[by].view.bank
    members = {ispb: member for ispb, member in book.roster.members.items() if ispb != bank}
    book.roster = replace(book.roster, version=book.roster.version + 1, members=members)


def pay(circle: Circle, at: Ispb, source: Ispb, target: Ispb) -> Record:
    token = None
    if source != at:
        mandate = Mandate(
            id="0" * 31 + source[-1],
            account=circle.address("ana", source),
            giver=ANA,
            initiator=at,
            payer=ANA,
            scopes=("pay",),
            per_payment=None,
            total=None,
            used=0,
            created_at=NOW,
            expires_at=later(NOW, 10**6),
            revoked_at=None,
            approved_at=NOW,
        )
        token = circle.give(mandate)
    transfer = Transfer(source=circle.address("ana", source), target=circle.address("ana", target), amount=10)
    return circle.begin(at, ANA, [transfer], [token])


def code(record: Record) -> Code:
    assert record.refusal is not None
    return record.refusal.code


def test_nothing_new_is_begun_with_a_bank_that_left_or_is_only_joining() -> None:
    for standing in ("left", "joining"):
        circle = three()
        stands(circle, C, standing, by=A)
        assert code(pay(circle, A, A, C)) is Code.UNKNOWN_BANK
        assert code(pay(circle, A, C, A)) is Code.UNKNOWN_BANK
        assert pay(circle, A, A, B).state is State.PREPARED


def test_a_bank_that_left_pays_within_itself_and_to_nobody_else() -> None:
    circle = three()
    circle[C].open(circle.address("bia", C), (BIA,))
    stands(circle, C, "left", by=C)
    assert code(pay(circle, C, C, A)) is Code.UNKNOWN_BANK
    inside = Transfer(source=circle.address("ana", C), target=circle.address("bia", C), amount=10)
    assert circle.begin(C, ANA, [inside]).state is State.COMMITTED


def test_a_bank_that_left_is_no_witness_of_what_is_begun_later() -> None:
    circle = three()
    stands(circle, C, "left", by=A)
    header = pay(circle, A, B, A).header
    assert header is not None
    assert header.witnesses == (A,)


def test_a_peer_that_has_not_heard_yet_that_a_bank_left_gets_a_plain_no() -> None:
    circle = three()
    id = pay(circle, A, A, B).id
    stands(circle, A, "left", by=B)
    vote = circle[B].ask(A, circle.prepare(id, B))
    assert isinstance(vote, Vote)
    assert vote.refusal is not None
    assert vote.refusal.code is Code.UNKNOWN_BANK
    assert circle[B].violations == []


def test_a_yes_that_was_given_before_a_bank_left_is_kept_and_told() -> None:
    circle = three()
    id = pay(circle, A, A, B).id
    prepare = circle.prepare(id, B)
    assert circle[B].ask(A, prepare) == Vote(id=id, refusal=None)
    stands(circle, A, "left", by=B)
    assert circle[B].ask(A, prepare) == Vote(id=id, refusal=None)
    assert circle[B].ask(A, circle.tell(id, Decision.COMMIT)) == Done(id=id)
    assert circle[B].view.records[id].state is State.COMMITTED


def newcomer(circle: Circle, by: Ispb) -> Ispb:
    """`by` knows a fourth bank that the others do not know yet."""
    fourth = Ispb("10000004")
    book = circle[by].view.bank
    member = replace(book.roster.members[A], ispb=fourth)
    book.roster = replace(book.roster, version=2, members=book.roster.members | {fourth: member})
    circle[by].view.accounts |= {account.id: account for account in [clearing_account(fourth, 10**12, NOW)]}
    return fourth


def test_a_payment_under_a_newer_roster_waits_until_we_have_that_too() -> None:
    circle = three()
    fourth = newcomer(circle, by=A)
    id = witnessed_by(circle, fourth)
    prepare = circle.prepare(id, B)
    for _ in range(2):
        assert circle[B].ask(A, prepare) == Busy()
    assert id not in circle[B].view.records
    assert circle[B].violations == []
    newcomer(circle, by=B)
    assert circle[B].ask(A, prepare) == Vote(id=id, refusal=None)


def witnessed_by(circle: Circle, bank: Ispb) -> EndToEndId:
    """A payment out of B, with this bank among its witnesses: which they are depends on its id."""
    for _ in range(100):
        record = pay(circle, A, B, A)
        assert record.header is not None
        if bank in record.header.witnesses:
            return record.id
    raise AssertionError("one of a hundred ids should do")


def test_a_bank_that_no_version_knows_is_still_a_violation() -> None:
    circle = three()
    id = witnessed_by(circle, newcomer(circle, by=A))
    book = circle[B].view.bank
    book.roster = replace(book.roster, version=2)
    assert isinstance(circle[B].ask(A, circle.prepare(id, B)), Violated)


def test_too_few_witnesses_are_waited_for_refused_or_blamed_as_the_rosters_versions_say() -> None:
    for version, said in ((1, Busy), (2, Violated), (3, Vote)):
        circle = three()
        book = circle[A].view.bank
        book.roster = replace(book.roster, version=2, witnesses=1)
        id = pay(circle, A, B, A).id
        mine = circle[B].view.bank
        mine.roster = replace(mine.roster, version=version)
        answer = circle[B].ask(A, circle.prepare(id, B))
        assert isinstance(answer, said)
        if isinstance(answer, Vote):
            assert answer.refusal is not None
            assert answer.refusal.code is Code.ABORTED


def test_what_is_known_is_not_forgotten_when_a_bank_of_it_is_struck_out() -> None:
    circle = three()
    id = pay(circle, A, A, B).id
    assert circle[B].ask(A, circle.prepare(id, B)) == Vote(id=id, refusal=None)
    tell = circle.tell(id, Decision.COMMIT)
    assert circle[B].ask(A, tell) == Done(id=id)
    strike_out(circle, A, by=B)
    # Told again by a bank that has not heard that it was heard.
    assert circle[B].ask(A, tell) == Done(id=id)
    assert circle[B].violations == []


def test_a_debit_needs_to_know_for_whom_it_is() -> None:
    circle = three()
    id = pay(circle, A, B, A).id
    nameless = replace(circle.prepare(id, B), payer=None)
    vote = circle[B].ask(A, nameless)
    assert isinstance(vote, Vote)
    assert vote.refusal is not None
    assert vote.refusal.code is Code.NOT_PERMITTED
