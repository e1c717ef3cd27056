"""What banks say to each other: questions, and the answers to them (PROTOCOL section 2).

Every question is idempotent and names its payment by id and digest; every answer repeats the id, and the ballot
where there is one, and counts only for the question that it answers. The set of questions is open: those at the end
are no part of the agreement and change nothing.
"""

from enum import StrEnum

import msgspec

from ciranda.agreement.ballot import Ballot
from ciranda.agreement.header import Header, Part
from ciranda.agreement.height import Height
from ciranda.chain import SignedHead
from ciranda.identity import Address, Document, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.refusal import Refusal


class Decision(StrEnum):
    COMMIT = "commit"
    ABORT = "abort"


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """Written on the wire as a JSON object whose `type` is the class's name."""


class Permission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What allows the debit of transfer `index`: a mandate's token, told to its issuer alone."""

    index: int
    mandate: str


# Questions of the agreement.


class Prepare(_Message, frozen=True, kw_only=True, tag=True):
    """Will you promise your part of this payment?"""

    header: Header
    parts: tuple[Part, ...]
    """The transfers that concern the bank that is asked, and no others."""
    payer: Document | None
    """The customer of the coordinator who asks for the payment: for a bank that is to debit somebody, whose mandate
    names that customer. It is nobody else's business."""
    permissions: tuple[Permission, ...]
    description: str | None
    reference: str | None
    time_left_ms: int
    """Until the deadline, by the sender's clock: the receiver counts from its own."""


class Propose(_Message, frozen=True, kw_only=True, tag=True):
    """Write this decision down under this ballot."""

    header: Header
    ballot: Ballot
    decision: Decision


class Ask(_Message, frozen=True, kw_only=True, tag=True):
    """Promise this ballot, and tell what you accepted before. A sole witness is asked without a ballot."""

    header: Header
    ballot: Ballot | None


class Tell(_Message, frozen=True, kw_only=True, tag=True):
    """This is the decision."""

    id: EndToEndId
    digest: str
    decision: Decision
    refusal: Refusal | None
    """Why, if the decision is abort and its reason is known."""
    header: Header
    """Who told this may not have heard of the payment yet, and must see that it is its business."""


# Questions that change nothing.


class Probe(_Message, frozen=True, kw_only=True, tag=True):
    """Are you up?"""


class FindPayee(_Message, frozen=True, kw_only=True, tag=True):
    """Whose account is this, as one may see before paying it?"""

    account: Address


class ShowAccount(_Message, frozen=True, kw_only=True, tag=True):
    """What the mandate's payer may see of this account."""

    account: Address
    mandate: str
    payer: Document


class ShowHead(_Message, frozen=True, kw_only=True, tag=True):
    """How far does your chain go, and what does it have where my newest copy of its head stands?"""

    copy: SignedHead | None


AgreementQuestion = Prepare | Propose | Ask | Tell
ReadOnlyQuestion = Probe | FindPayee | ShowAccount | ShowHead
Question = AgreementQuestion | ReadOnlyQuestion


def payment_of(question: AgreementQuestion) -> EndToEndId:
    return question.id if isinstance(question, Tell) else question.header.id


# Answers.


class Vote(_Message, frozen=True, kw_only=True, tag=True):
    """Yes is a promise; no carries its reason."""

    id: EndToEndId
    refusal: Refusal | None


class Accepted(_Message, frozen=True, kw_only=True, tag=True):
    id: EndToEndId
    ballot: Ballot


class Outbid(_Message, frozen=True, kw_only=True, tag=True):
    """A higher ballot is promised already."""

    id: EndToEndId
    ballot: Ballot


class Promised(_Message, frozen=True, kw_only=True, tag=True):
    """The ballot is promised; `accepted` is what was written down before, if anything."""

    id: EndToEndId
    ballot: Ballot
    accepted: tuple[Ballot, Decision] | None


class Decided(_Message, frozen=True, kw_only=True, tag=True):
    """The decision is known here."""

    id: EndToEndId
    decision: Decision
    refusal: Refusal | None


class Done(_Message, frozen=True, kw_only=True, tag=True):
    id: EndToEndId


class Busy(_Message, frozen=True, kw_only=True, tag=True):
    """Nothing done, nothing promised: ask again."""


class Violated(_Message, frozen=True, kw_only=True, tag=True):
    """The question is one that no honest bank asks. Nothing changed."""

    reason: str


class Up(_Message, frozen=True, kw_only=True, tag=True):
    """The answer to Probe."""


class Payee(_Message, frozen=True, kw_only=True, tag=True):
    """An account as a stranger may see it; the name is masked by the bank that holds it."""

    account: Address
    name: str
    kind: str


class AccountShown(_Message, frozen=True, kw_only=True, tag=True):
    """An account as its mandate's payer may see it at another bank. `balance` and the like need scope `read`."""

    account: Address
    kind: str
    status: str
    signatures: str | None
    holders: tuple[tuple[str, str], ...]
    """Document and name of each, both masked: whoever may spend from an account need not know its holders."""
    balance: int | None
    held: int | None
    available: int | None
    opened_at: Instant
    scopes: tuple[str, ...]


class HeadShown(_Message, frozen=True, kw_only=True, tag=True):
    head: SignedHead
    hash: bytes | None
    """Of the folio with the copy's number; None if no copy was shown, or the chain does not reach so far."""


class Absent(_Message, frozen=True, kw_only=True, tag=True):
    """There is no such account, or it is not yours to see."""


Answer = (
    Vote
    | Accepted
    | Outbid
    | Promised
    | Decided
    | Done
    | Busy
    | Violated
    | Up
    | Payee
    | AccountShown
    | HeadShown
    | Absent
)


def fits(question: Question, answer: Answer) -> bool:
    """Whether the answer is to this very question: it counts for no other (PROTOCOL 2.2)."""
    if isinstance(answer, Busy | Violated):
        return True
    match question:
        case Prepare():
            return isinstance(answer, Vote) and answer.id == question.header.id
        case Propose():
            return _fits_ballot(question, answer, Accepted)
        case Ask():
            return _fits_ballot(question, answer, Promised)
        case Tell():
            return isinstance(answer, Done) and answer.id == question.id
        case Probe():
            return isinstance(answer, Up)
        case FindPayee():
            return isinstance(answer, Absent) or (
                isinstance(answer, Payee) and answer.account == question.account
            )
        case ShowAccount():
            return isinstance(answer, Absent) or (
                isinstance(answer, AccountShown) and answer.account == question.account
            )
        case ShowHead():
            return isinstance(answer, HeadShown)


def _fits_ballot(question: Propose | Ask, answer: Answer, yes: type[Accepted | Promised]) -> bool:
    if not isinstance(answer, yes | Outbid | Decided) or answer.id != question.header.id:
        return False
    return not isinstance(answer, Accepted | Promised) or answer.ballot == question.ballot


class QuestionBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request between two banks (PROTOCOL 2.1, 2.6)."""

    sender: Ispb
    receiver: Ispb
    height: Height
    """How much the sender has written; it only grows."""
    seen: Height
    """The greatest height of the receiver that the sender has seen."""
    questions: tuple[Question, ...]


class AnswerBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One response: the answers, in the order of the questions."""

    sender: Ispb
    receiver: Ispb
    height: Height
    seen: Height
    answers: tuple[Answer, ...]
