"""A bank that lies, or somebody who pretends to be one.

Whoever holds a member's key can lie in its name, and the protocol does not work around that. But a lie must be seen
and written down as a violation, and every honest bank's own book stays whole. Without a key nothing changes at all.
"""

import asyncio
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from ciranda.agreement.header import Header, Part, digest, leaf
from ciranda.agreement.height import NOTHING
from ciranda.agreement.message import Answer, Busy, Decision, Prepare, Question, Tell, Violated
from ciranda.agreement.participant import State
from ciranda.identity import EndToEndId, Ispb, make_end_to_end_id
from ciranda.instant import Instant
from ciranda.payment import Transfer
from ciranda.peers.transport import Lost, Response
from ciranda.roster import Roster
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.faults.fault import Recurring
from ciranda.wire.messages import decode_answers, encode_batch, encode_question
from ciranda.wire.signature import Seal

if TYPE_CHECKING:
    from ciranda.simulator.world import World


_NOBODYS_KEY = Ed25519PrivateKey.from_private_bytes(b"not the key of any member here!!")


class Garbage(Recurring, frozen=True, kw_only=True, tag="garbage"):
    """Bytes that mean nothing, properly signed or not."""

    every_s: Span = (0.2, 2.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        sender, receiver = dice.some(world.founded.banks, 2)
        body = dice.bits(8 * 64).to_bytes(64, "big")
        if dice.chance(0.5):
            body = encode_batch(sender, receiver, NOTHING, NOTHING, [b'{"type":"Tell","id":7}'])
        world.strike(self.name, f"in the name of {world.banks[sender].name}")
        send(world, sender, receiver, world.banks[sender].key, body)


class Forgery(Recurring, frozen=True, kw_only=True, tag="forgery"):
    """Somebody tells decisions about real payments, with a key that is no member's."""

    every_s: Span = (0.2, 2.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        receiver = world.banks[dice.pick(world.founded.banks)]
        undecided = _undecided(world, receiver.ispb)
        if not undecided:
            return
        header = dice.pick(undecided)
        sender = dice.pick([bank for bank in world.founded.banks if bank != receiver.ispb])
        lie = _telling(header, dice.pick([Decision.COMMIT, Decision.ABORT]))
        label = world.transcript.label(header.id)
        world.strike(self.name, f"tells {receiver.name} {lie.decision.value} of {label}")
        say(world, sender, receiver.ispb, lie, _NOBODYS_KEY)


class TwoPayments(Recurring, frozen=True, kw_only=True, tag="two_payments"):
    """A bank prepares two different payments under one id."""

    every_s: Span = (1.0, 5.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        liar, victim = dice.some(world.founded.banks, 2)
        id = _new_lie(world, dice, liar)
        world.strike(self.name, f"{world.banks[liar].name} prepares {world.transcript.label(id)} twice")
        first, second = (
            _prepare(world, dice, id, liar, victim, amount) for amount in dice.some(range(1, 500), 2)
        )
        answers = [await hear(world, liar, victim, question) for question in (first, second)]
        if None not in answers:
            _expect_evidence(world, victim, liar, id, "two payments under one id")
        # The lie is taken back, so that nothing waits for ever for its end.
        await _tell(world, liar, victim, first.header, Decision.ABORT)


class TwoDecisions(Recurring, frozen=True, kw_only=True, tag="two_decisions"):
    """A bank tells commit and abort of one payment."""

    every_s: Span = (1.0, 5.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        liar, victim = dice.some(world.founded.banks, 2)
        id = _new_lie(world, dice, liar)
        world.strike(
            self.name, f"{world.banks[liar].name} tells two decisions of {world.transcript.label(id)}"
        )
        prepare = _prepare(world, dice, id, liar, victim, dice.whole(1, 500))
        await hear(world, liar, victim, prepare)
        decisions = dice.some([Decision.COMMIT, Decision.ABORT], 2)
        answers = [await _tell(world, liar, victim, prepare.header, decision) for decision in decisions]
        if None not in answers:
            _expect_evidence(world, victim, liar, id, "two decisions of one payment")
        await _tell(world, liar, victim, prepare.header, Decision.ABORT)


class Impossible(Recurring, frozen=True, kw_only=True, tag="impossible"):
    """A bank prepares what no honest bank prepares: each must be called a violation, and change nothing."""

    every_s: Span = (0.5, 3.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        liar, victim, other = dice.some(world.founded.banks, 3)
        id = _new_lie(world, dice, liar)
        right = _prepare(world, dice, id, liar, victim, dice.whole(1, 500))
        header, (part,) = right.header, right.parts
        what, question = dice.pick(
            [
                ("another amount than the header's", replace(right, parts=(_dearer(part),))),
                ("participants twice", _with(right, participants=(*header.participants, victim))),
                ("a foreign witness first", _with(right, witnesses=(other,))),
                ("two witnesses", _with(right, witnesses=(liar, victim))),
                (
                    "a bank that is no member",
                    _with(right, participants=(*header.participants, Ispb("99999999"))),
                ),
                ("no transfer", replace(right, parts=())),
                ("a transfer twice", replace(right, parts=(part, part))),
            ]
        )
        world.strike(self.name, f"{world.banks[liar].name} prepares {what}: {world.transcript.label(id)}")
        answer = await hear(world, liar, victim, question)
        if answer is not None and not isinstance(answer, Violated):
            world.fail("evidence", f"{world.banks[victim].name} was asked for {what}, and said {answer}")


class Meddling(Recurring, frozen=True, kw_only=True, tag="meddling"):
    """A member tells the decision on a payment that is none of its business."""

    every_s: Span = (0.2, 2.0)

    async def strike(self, world: "World", dice: SeededDice) -> None:
        victim = world.banks[dice.pick(world.founded.banks)]
        undecided = [header for header in _undecided(world, victim.ispb) if header.id not in world.lies]
        if not undecided:
            return
        header = dice.pick(undecided)
        strangers = [bank for bank in world.founded.banks if bank not in header.banks]
        if strangers:
            label = world.transcript.label(header.id)
            meddler, decision = dice.pick(strangers), dice.pick([Decision.COMMIT, Decision.ABORT])
            world.strike(self.name, f"{world.banks[meddler].name} tells {victim.name} {decision} of {label}")
            world.meddled.add(header.id)
            answer = await _tell(world, meddler, victim.ispb, header, decision)
            if answer is not None and not isinstance(answer, Violated):
                world.fail("evidence", f"{victim.name} believed a bank that has no part in {label}")


def _dearer(part: Part) -> Part:
    return replace(part, transfer=replace(part.transfer, amount=part.transfer.amount + 1))


def _with(prepare: Prepare, **changes: object) -> Prepare:
    return replace(prepare, header=replace(prepare.header, **changes))


def _new_lie(world: "World", dice: SeededDice, liar: Ispb) -> EndToEndId:
    tail = f"Lie{dice.bits(32) % 10**8:08d}"
    id = make_end_to_end_id(liar, world.banks[liar].clock.now(), tail)
    world.lies.add(id)
    return id


def _prepare(
    world: "World", dice: SeededDice, id: EndToEndId, liar: Ispb, victim: Ispb, amount: int
) -> Prepare:
    """The liar's customer pays the victim's."""
    customer = dice.pick(world.founded.customers)
    accounts = world.founded.accounts
    transfer = Transfer(source=accounts[liar, customer], target=accounts[victim, customer], amount=amount)
    part = Part(index=0, transfer=transfer, salt=f"{dice.bits(128):032x}")
    return Prepare(
        header=Header(
            id=id,
            deadline=Instant(world.banks[liar].clock.now() + world.roster.deadline_ms),
            participants=tuple(sorted((liar, victim))),
            witnesses=(liar,),
            roster_version=world.roster.version,
            leaves=(leaf(part),),
        ),
        parts=(part,),
        payer=customer,
        permissions=(),
        description=None,
        reference=None,
        time_left_ms=world.roster.deadline_ms,
    )


async def _tell(
    world: "World", liar: Ispb, victim: Ispb, header: Header, decision: Decision
) -> Answer | None:
    return await hear(world, liar, victim, _telling(header, decision))


def _telling(header: Header, decision: Decision) -> Tell:
    return Tell(id=header.id, digest=digest(header), decision=decision, refusal=None, header=header)


def _undecided(world: "World", bank: Ispb) -> list[Header]:
    """The payments that the bank has promised and knows no decision of."""
    return [
        record.header
        for record in world.records(bank)
        if record.state is State.PREPARED and record.header is not None
    ]


def _expect_evidence(world: "World", victim: Ispb, liar: Ispb, id: EndToEndId, what: str) -> None:
    if world.banks[victim].was_suspect:
        # One of the two was said to a database that is no longer there.
        return
    rows = (
        world.banks[victim]
        .disk.connection.execute("SELECT 1 FROM violations WHERE payment = ? AND peer = ?", (id, liar))
        .fetchall()
    )
    if not rows:
        name = world.banks[victim].name
        world.fail(
            "evidence", f"{name} was told {what} ({world.transcript.label(id)}), and wrote nothing down"
        )


async def hear(world: "World", sender: Ispb, receiver: Ispb, question: Question) -> Answer | None:
    """Says it with the sender's own key, and gives the answer; None if there was none in time, or only that it is busy."""
    try:
        async with asyncio.timeout(5):
            response = await say(world, sender, receiver, question, world.banks[sender].key)
    except (Lost, TimeoutError):
        return None
    if response.status != 200:
        return None
    (answer,) = decode_answers(response.body).answers
    return None if isinstance(answer, Busy) else answer


def say(
    world: "World", sender: Ispb, receiver: Ispb, question: Question, key: Ed25519PrivateKey
) -> "asyncio.Future[Response]":
    body = encode_batch(sender, receiver, NOTHING, NOTHING, [encode_question(question)])
    return send(world, sender, receiver, key, body)


def send(
    world: "World", sender: Ispb, receiver: Ispb, key: Ed25519PrivateKey, body: bytes
) -> "asyncio.Future[Response]":
    """No honest process sends this, and nobody need wait for the answer."""
    roster: Roster = world.roster
    headers = Seal(sender, key, replace(roster)).sign_request(
        receiver, body, world.banks[sender].clock.now() // 1000
    )
    answer = world.network.send(sender, receiver, headers, body, None)
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer
