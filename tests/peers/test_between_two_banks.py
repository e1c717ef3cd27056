"""Two banks, real sockets: what a question meets on its way to a peer and back."""

import asyncio
import contextlib
import io
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from ciranda.agreement.header import Header, Part
from ciranda.agreement.height import NOTHING, Height
from ciranda.agreement.message import (
    Absent,
    Answer,
    Busy,
    FindPayee,
    Payee,
    Permission,
    Prepare,
    Probe,
    Question,
    Up,
)
from ciranda.api.peer_messages import Message, PeerListener, Receive, Scope, Send
from ciranda.identity import AccountId, Address, Document, EndToEndId, Ispb
from ciranda.instant import Instant
from ciranda.payment import TRANSFERS_MAX, Transfer
from ciranda.peers.http import SILENCE_S, HttpPeers
from ciranda.peers.outbox import BATCH_BYTES_MAX, BATCH_MAX, CARRIERS_MAX
from ciranda.peers.transport import HttpTransport
from ciranda.ports import PeerUnreachable, Unavailable
from ciranda.roster import Roster
from ciranda.wire.messages import BODY_MAX, encode_batch, encode_question
from ciranda.wire.signature import PATH, Seal
from tests.members import roster_of

A, B, C = Ispb("10000001"), Ispb("10000002"), Ispb("10000003")
NOW = 1_800_000_000
PATIENCE_MS = 20_000
KEYS = {bank: Ed25519PrivateKey.from_private_bytes(bank.encode() * 4) for bank in (A, B, C)}

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Book:
    """The heights that one bank knows."""

    def __init__(self, height: Height) -> None:
        self.height = height
        self.shown: dict[Ispb, Height] = {}
        self.ours: dict[Ispb, Height] = {}

    def own(self) -> Height:
        return self.height

    def seen(self, bank: Ispb) -> Height:
        return self.shown.get(bank, NOTHING)

    async def heard(self, bank: Ispb, height: Height, ours: Height) -> None:
        self.shown[bank] = height
        self.ours[bank] = ours


class QuickDice:
    """Throws so low that nobody waits long for a probe."""

    def token(self) -> str:
        return "token"

    def bits(self, count: int) -> int:
        return random.getrandbits(count)

    throws = 0

    silence_s = 3_600.0
    """How long a peer that is up may be silent before it is probed."""

    def between(self, low: float, high: float) -> float:
        if (low, high) == SILENCE_S:
            return self.silence_s
        self.throws += 1
        assert (low, high) == (0.5, 1.0)
        return random.uniform(low, high) / 50


def payee(question: FindPayee) -> Payee:
    return Payee(account=question.account, name="Jo** Ning***", kind="individual")


def find(number: int) -> FindPayee:
    return FindPayee(account=Address(AccountId(f"{B}.0001.{number:010d}")))


class Bank:
    """B, which knows everybody; it notes what it was asked, and can be told to hold its tongue."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.heard: list[Ispb] = []
        self.tongue = asyncio.Event()
        self.tongue.set()
        self.database_away = False

    async def respond(self, sender: Ispb, questions: Sequence[Question]) -> Sequence[Answer]:
        self.batches.append(len(questions))
        await self.tongue.wait()
        if self.database_away:
            raise Unavailable
        return [
            payee(question)
            if isinstance(question, FindPayee)
            else Up()
            if isinstance(question, Probe)
            else Busy()
            for question in questions
        ]


def bound_socket(port: int = 0) -> socket.socket:
    # Named as TCP, or asyncio does not switch Nagle's algorithm off for what it accepts, and each answer takes 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def roster_at(port: int) -> Roster:
    return roster_of(KEYS, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def serving(app: App, sock: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1))
    sock.listen()
    with sock:
        running = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield
        finally:
            server.should_exit = True
            await running


class Circle:
    """A asks over HTTP; at B's address is whatever the test puts there."""

    def __init__(self, sock: socket.socket, **limits: Any) -> None:
        self.port = sock.getsockname()[1]
        self.roster = roster_at(self.port)
        self.book = Book(Height(11, "1" * 32))
        self.book_of_b = Book(Height(22, "2" * 32))
        self.bank = Bank()
        self.dice = QuickDice()
        self.peers = HttpPeers(
            A, self.roster, KEYS[A], self.book, self.dice, lambda: NOW, HttpTransport(), **limits
        )
        self.returned = asyncio.Event()
        self.peers.on_return.append(self.note_return)

    def note_return(self, bank: Ispb) -> None:
        assert bank == B
        assert self.peers.reachable(B), "it is up before anyone is told"
        self.returned.set()

    def listener(self, **changes: Any) -> PeerListener:
        arguments: dict[str, Any] = {
            "own": B,
            "roster": self.roster,
            "key": KEYS[B],
            "heights": self.book_of_b,
            "respond": self.bank.respond,
            "heard_from": self.bank.heard.append,
            "now": lambda: NOW,
        }
        return PeerListener(**arguments | changes)

    async def ask(self, number: int = 1, timeout_ms: int = PATIENCE_MS) -> Answer:
        return await self.peers.ask(B, find(number), timeout_ms)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while not holds():  # noqa: ASYNC110  (many different things are waited for)
                await asyncio.sleep(0.001)


@asynccontextmanager
async def circle(app: App | None = None, **limits: int) -> AsyncIterator[Circle]:
    sock = bound_socket()
    two = Circle(sock, **limits)
    async with serving(app or two.listener(), sock):
        await two.peers.start()
        try:
            yield two
        finally:
            two.bank.tongue.set()
            await two.peers.close()


# Asking.


def test_a_question_gets_its_answer_and_both_banks_learn_each_others_height() -> None:
    async def story() -> None:
        async with circle() as two:
            assert await two.ask(5) == payee(find(5))
            assert await two.peers.ask(B, Probe(), PATIENCE_MS) == Up()
            assert two.bank.heard == [A, A]
            assert (two.book.shown, two.book.ours) == ({B: two.book_of_b.height}, {B: two.book.height})
            assert (two.book_of_b.shown, two.book_of_b.ours) == (
                {A: two.book.height},
                {A: two.book_of_b.height},
            )

    asyncio.run(story())


def test_many_questions_each_get_their_own_answer() -> None:
    async def story() -> None:
        async with circle() as two:
            answers = await asyncio.gather(*(two.ask(number) for number in range(3_000)))
            assert answers == [payee(find(number)) for number in range(3_000)]
            assert max(two.bank.batches) <= BATCH_MAX

    asyncio.run(story())


def test_a_question_leaves_soon_though_others_hang_and_batches_form_behind_them() -> None:
    async def story() -> None:
        async with circle() as two:
            two.bank.tongue.clear()
            asked = []
            for number in range(CARRIERS_MAX):
                asked.append(asyncio.create_task(two.ask(number)))
                await two.until(lambda: len(two.bank.batches) == len(asked))
            asked += [asyncio.create_task(two.ask(number)) for number in range(CARRIERS_MAX, 50)]
            two.bank.tongue.set()
            assert await asyncio.gather(*asked) == [payee(find(number)) for number in range(50)]
            assert two.bank.batches == [1] * CARRIERS_MAX + [50 - CARRIERS_MAX]

    asyncio.run(story())


def test_questions_asked_in_one_breath_travel_together() -> None:
    async def story() -> None:
        async with circle() as two:
            await asyncio.gather(*(two.ask(number) for number in range(20)))
            assert two.bank.batches == [20]

    asyncio.run(story())


def test_what_one_batch_has_no_room_for_leaves_at_once_in_the_next() -> None:
    async def story() -> None:
        async with circle() as two:
            two.bank.tongue.clear()
            asked = [asyncio.create_task(two.ask(number)) for number in range(CARRIERS_MAX * BATCH_MAX)]
            await two.until(lambda: two.bank.batches == [BATCH_MAX] * CARRIERS_MAX)
            two.bank.tongue.set()
            await asyncio.gather(*asked)

    asyncio.run(story())


def test_a_question_that_nobody_waits_for_any_more_is_not_sent() -> None:
    async def story() -> None:
        async with circle() as two:
            asked = [asyncio.create_task(two.ask(number)) for number in range(3)]
            await asyncio.sleep(0)
            asked[1].cancel()
            await asyncio.wait(asked)
            assert two.bank.batches == [2]

    asyncio.run(story())


def test_large_questions_travel_in_batches_that_no_peer_refuses_for_their_size() -> None:
    transfer = Transfer(source=find(1).account, target=find(2).account, amount=1)
    payment = EndToEndId(f"E{A}202611230514abcDEF12345")
    prepare = Prepare(
        header=Header(
            id=payment,
            deadline=Instant(NOW * 1000),
            participants=(A, B),
            witnesses=(A,),
            roster_version=1,
            leaves=("0" * 64,) * TRANSFERS_MAX,
        ),
        parts=tuple(Part(index=index, transfer=transfer, salt="f" * 64) for index in range(TRANSFERS_MAX)),
        payer=Document("52998224725"),
        permissions=tuple(Permission(index=index, mandate="x" * 256) for index in range(TRANSFERS_MAX)),
        description="ç" * 140,
        reference="x" * 35,
        time_left_ms=5_000,
    )

    async def story() -> None:
        async with circle() as two:
            asked = [two.peers.ask(B, prepare, PATIENCE_MS) for _ in range(BATCH_MAX)]
            assert await asyncio.gather(*asked) == [Busy()] * BATCH_MAX
            size = len(encode_question(prepare))
            assert size * BATCH_MAX > BODY_MAX
            assert max(two.bank.batches) == BATCH_BYTES_MAX // size

    asyncio.run(story())


def test_a_bank_that_is_no_member_is_unreachable() -> None:
    async def story() -> None:
        async with circle() as two:
            for bank in (Ispb("99999999"), A):
                assert not two.peers.reachable(bank)
                with pytest.raises(PeerUnreachable):
                    await two.peers.ask(bank, Probe(), PATIENCE_MS)

    asyncio.run(story())


def test_a_question_that_no_peer_would_read_harms_only_its_asker() -> None:
    async def story() -> None:
        async with circle() as two:
            bad = FindPayee(account=Address(AccountId("nowhere")))
            good, refused = await asyncio.gather(
                two.ask(), two.peers.ask(B, bad, PATIENCE_MS), return_exceptions=True
            )
            assert good == payee(find(1))
            assert isinstance(refused, PeerUnreachable)
            assert two.peers.reachable(B)

    asyncio.run(story())


def test_a_full_queue_refuses_at_once_and_the_peer_stays_up() -> None:
    async def story() -> None:
        async with circle(waiting_max=3) as two:
            two.bank.tongue.clear()
            asked = []
            for number in range(CARRIERS_MAX):
                asked.append(asyncio.create_task(two.ask(number)))
                await two.until(lambda: len(two.bank.batches) == len(asked))
            asked += [asyncio.create_task(two.ask(number)) for number in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(PeerUnreachable, match="too many"):
                await two.ask(99)
            assert two.peers.reachable(B)
            two.bank.tongue.set()
            await asyncio.gather(*asked)

    asyncio.run(story())


def test_closing_gives_up_what_is_under_way_and_what_waits() -> None:
    async def story() -> None:
        async with circle() as two:
            two.bank.tongue.clear()
            asked = []
            for number in range(CARRIERS_MAX):
                asked.append(asyncio.create_task(two.ask(number)))
                await two.until(lambda: len(two.bank.batches) == len(asked))
            asked.append(asyncio.create_task(two.ask(99)))
            await asyncio.sleep(0)
            await two.peers.close()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(answer, PeerUnreachable) for answer in answers)
            with pytest.raises(PeerUnreachable):
                await two.ask()

    asyncio.run(story())


# Down and up.


def test_a_dead_bank_is_down_at_the_first_question_and_up_when_it_answers_a_probe() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        await two.peers.start()
        assert two.peers.reachable(B), "nobody has said otherwise yet"
        with pytest.raises(PeerUnreachable):
            await two.ask()
        assert not two.peers.reachable(B)
        with pytest.raises(PeerUnreachable, match="down"):
            await two.ask()
        async with serving(two.listener(), sock):
            async with asyncio.timeout(PATIENCE_MS / 1000):
                await two.returned.wait()
            throws = two.dice.throws
            for number in range(100):
                assert await two.ask(number) == payee(find(number))
            assert two.dice.throws == throws, "nobody probes a bank that is up"
            await two.peers.close()

    asyncio.run(story())


def test_a_silent_bank_is_probed_before_a_payment_finds_out_that_it_is_gone() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        two.dice.silence_s = 0.01
        async with serving(two.listener(), sock):
            await two.peers.start()
            await two.until(lambda: two.bank.heard == [A] * 3)
            assert two.peers.reachable(B)
        await two.until(lambda: not two.peers.reachable(B))
        await two.peers.close()

    asyncio.run(story())


def test_a_bank_that_restarts_is_found_again_each_time() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        await two.peers.start()
        for number in range(3):
            async with serving(two.listener(), sock):
                await two.until(lambda: two.peers.reachable(B))
                assert await two.ask(number) == payee(find(number))
            with pytest.raises(PeerUnreachable):
                await two.ask(number)
            assert not two.peers.reachable(B)
            sock = bound_socket(two.port)
        sock.close()
        await two.peers.close()

    asyncio.run(story())


def test_a_connection_that_the_peer_closed_for_being_idle_does_not_make_it_down() -> None:
    async def story() -> None:
        hung_up = 0

        async def answer_one_and_hang_up(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal hung_up

            async def last_words(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"].append((b"connection", b"close"))
                await send(message)

            hung_up += 1
            await two.listener()(scope, receive, last_words)

        async with circle(answer_one_and_hang_up) as two:
            for number in range(20):
                assert await two.ask(number) == payee(find(number))
            assert hung_up >= 20

    asyncio.run(story())


def test_a_request_cut_off_is_sent_once_more_because_it_may_be_repeated() -> None:
    async def story() -> None:
        cut = 0

        async def cut_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal cut
            await reader.readuntil(b"\r\n\r\n")
            cut += 1
            writer.close()

        async with raw(cut_the_first) as two:
            with pytest.raises(PeerUnreachable):
                await two.ask()
            assert cut == 2

    asyncio.run(story())


def test_any_signed_message_from_a_peer_makes_it_up_at_once() -> None:
    async def story() -> None:
        two = Circle(sock := bound_socket())
        await two.peers.start()
        with pytest.raises(PeerUnreachable):
            await two.ask()
        assert not two.peers.reachable(B)
        two.peers.heard_from(B)
        assert two.peers.reachable(B)
        assert two.returned.is_set()
        two.peers.heard_from(Ispb("99999999"))
        await two.peers.close()
        sock.close()

    asyncio.run(story())


def test_a_bank_that_never_answers_is_down_when_the_first_asker_loses_patience() -> None:
    async def story() -> None:
        async with circle() as two:
            two.bank.tongue.clear()
            others = [asyncio.create_task(two.ask(number)) for number in range(CARRIERS_MAX + 5)]
            await two.until(lambda: bool(two.bank.batches))
            waiting = asyncio.create_task(two.ask(99))
            with pytest.raises(PeerUnreachable, match="did not answer in 50 ms"):
                await two.ask(7, timeout_ms=50)
            assert not two.peers.reachable(B)
            # While it is down it is probed, also when it answers no probe.
            await two.until(lambda: len(two.bank.batches) > 10)
            two.bank.tongue.set()
            async with asyncio.timeout(PATIENCE_MS / 1000):
                await two.returned.wait()
            assert await asyncio.gather(*others) == [
                payee(find(number)) for number in range(CARRIERS_MAX + 5)
            ]
            assert await waiting == payee(find(99))
            assert await two.ask() == payee(find(1))

    asyncio.run(story())


def test_a_request_ends_after_its_own_time_whatever_patience_its_askers_have() -> None:
    async def story() -> None:
        async with circle(request_timeout_ms=50) as two:
            two.bank.tongue.clear()
            with pytest.raises(PeerUnreachable, match="in time"):
                await two.ask()
            assert not two.peers.reachable(B)

    asyncio.run(story())


def test_one_slow_question_among_answered_ones_does_not_make_its_bank_down() -> None:
    async def story() -> None:
        async with circle() as two:
            two.bank.tongue.clear()
            slow = asyncio.create_task(two.ask(1, timeout_ms=200))
            await two.until(lambda: two.bank.batches == [1])
            two.peers.heard_from(B)
            with pytest.raises(PeerUnreachable):
                await slow
            assert two.peers.reachable(B)

    asyncio.run(story())


def test_carriers_that_hang_do_not_keep_a_returned_bank_waiting() -> None:
    async def story() -> None:
        async with circle() as two:
            two.bank.tongue.clear()
            stuck = []
            for number in range(CARRIERS_MAX):
                stuck.append(asyncio.create_task(two.ask(number)))
                await two.until(lambda: len(two.bank.batches) == len(stuck))
            with pytest.raises(PeerUnreachable):
                await two.ask(50, timeout_ms=20)
            held, two.bank.tongue = two.bank.tongue, asyncio.Event()
            two.bank.tongue.set()
            async with asyncio.timeout(PATIENCE_MS / 1000):
                await two.returned.wait()
            assert await two.ask(51) == payee(find(51))
            held.set()
            assert await asyncio.gather(*stuck) == [payee(find(number)) for number in range(CARRIERS_MAX)]

    asyncio.run(story())


def test_no_time_left_is_nobodys_fault() -> None:
    async def story() -> None:
        async with circle() as two:
            with pytest.raises(PeerUnreachable):
                await two.ask(timeout_ms=0)
            assert two.peers.reachable(B)

    asyncio.run(story())


def test_a_bank_whose_database_is_away_is_down_until_it_is_back() -> None:
    async def story() -> None:
        async with circle() as two:
            two.bank.database_away = True
            with pytest.raises(PeerUnreachable):
                await two.ask()
            assert not two.peers.reachable(B)
            two.bank.database_away = False
            async with asyncio.timeout(PATIENCE_MS / 1000):
                await two.returned.wait()
            assert await two.ask() == payee(find(1))

    asyncio.run(story())


# Answers that are none.


@asynccontextmanager
async def raw(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Circle]:
    """Something at B's address that speaks no HTTP of ours."""
    sock = bound_socket()
    two = Circle(sock)
    server = await asyncio.start_server(serve, sock=sock)
    await two.peers.start()
    try:
        yield two
    finally:
        await two.peers.close()
        server.close()


GARBAGE = {
    "nothing": b"",
    "noise": b"\x00\xff\r\n\r\n",
    "half an answer": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    "an unsigned answer": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    "a redirect": b"HTTP/1.1 307 Go\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
    "a refusal": b"HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n",
    "headers that are no text": b"HTTP/1.1 200 OK\r\nsignature: \xff\xfe\r\ncontent-length: 0\r\n\r\n",
    "compressed noise": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    "an answer without end": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BODY_MAX + 1),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_no_answer_and_is_not_asked_for_again(garbage: bytes) -> None:
    async def story() -> None:
        asked = 0

        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                asked += b"FindPayee" in await reader.readexactly(length)
                writer.write(garbage)
                await writer.drain()
            writer.close()

        async with raw(babble) as two:
            with pytest.raises(PeerUnreachable):
                await two.ask()
            assert not two.peers.reachable(B)
            assert asked <= 2

    asyncio.run(story())


def test_the_recorded_answer_to_another_request_is_no_answer() -> None:
    async def story() -> None:
        record: list[Message] = []

        async def play(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                record.append(message)
                await send(message)

            if scope["type"] != "http" or len(record) < 2:
                await two.listener()(scope, receive, note if scope["type"] == "http" else send)
                return
            for message in record[:2]:
                await send(message)

        async with circle(play) as two:
            assert await two.ask(1) == payee(find(1))
            with pytest.raises(PeerUnreachable, match="BadSignature"):
                await two.ask(1)

    asyncio.run(story())


def test_an_answer_signed_by_another_key_or_bank_is_no_answer() -> None:
    async def story() -> None:
        for changes in ({"key": KEYS[C]}, {"own": C, "key": KEYS[C]}):
            sock = bound_socket()
            two = Circle(sock)
            async with serving(two.listener(**changes), sock):
                await two.peers.start()
                with pytest.raises(PeerUnreachable):
                    await two.ask()
                assert not two.peers.reachable(B)
                await two.peers.close()

    asyncio.run(story())


def test_answers_that_are_too_few_or_name_another_bank_are_none() -> None:
    async def story() -> None:
        bodies = [
            {"sender": B, "receiver": A, "height": 1, "seen": 0, "answers": []},
            {"sender": B, "receiver": A, "height": 1, "seen": 0, "answers": [{"type": "Up"}] * 2},
            {"sender": C, "receiver": A, "height": 1, "seen": 0, "answers": [{"type": "Up"}]},
            {"sender": B, "receiver": C, "height": 1, "seen": 0, "answers": [{"type": "Up"}]},
            {"sender": B, "receiver": A, "height": 1, "seen": 0, "answers": [{"type": "Down"}]},
        ]
        for body in bodies:

            async def lie(
                scope: Scope, receive: Receive, send: Send, answer: bytes = msgspec.json.encode(body)
            ) -> None:
                if scope["type"] != "http":
                    await two.listener()(scope, receive, send)
                    return
                seal = Seal(B, KEYS[B], two.roster)
                lines = [(name.decode(), value.decode()) for name, value in scope["headers"]]
                signed = seal.sign_response(seal.verify_request(lines, NOW), answer, NOW)
                headers = [(name.encode(), value.encode()) for name, value in signed.items()]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": answer})

            async with circle(lie) as two:
                with pytest.raises(PeerUnreachable):
                    await two.ask()
                assert two.book.shown == {}

    asyncio.run(story())


# Knocking at the listener.


async def knock(
    two: Circle,
    method: str = "POST",
    path: str = PATH,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"http://127.0.0.1:{two.port}{path}", data=io.BytesIO(body), headers=headers
        ) as response,
    ):
        problem = await response.json(content_type="application/problem+json")
        assert problem.keys() == {"type", "title", "status", "detail", "code"}
        assert problem["status"] == response.status
        return response.status, problem["code"]


def batch(sender: Ispb = A, receiver: Ispb = B, questions: Sequence[Question] = (Probe(),)) -> bytes:
    return encode_batch(
        sender, receiver, Height(1, ""), NOTHING, [encode_question(question) for question in questions]
    )


def signed(two: Circle, body: bytes, sender: Ispb = A, receiver: Ispb = B, now: int = NOW) -> dict[str, str]:
    return Seal(sender, KEYS[sender], two.roster).sign_request(receiver, body, now)


def test_the_listener_answers_nothing_but_signed_batches_and_never_with_500() -> None:
    async def story() -> None:
        async with circle() as two:
            body = batch()
            headers = signed(two, body)
            unauthenticated = (401, "unauthenticated")
            assert await knock(two, path="/") == (404, "not_found")
            assert await knock(two, path=PATH + "/") == (404, "not_found")
            assert await knock(two, method="GET") == (405, "method_not_allowed")
            assert await knock(two, body=body) == unauthenticated
            assert await knock(two, body=body + b" ", headers=headers) == unauthenticated
            assert await knock(two, body=body, headers=headers | {"ciranda-sender": C}) == unauthenticated
            assert await knock(two, body=body, headers=signed(two, body, receiver=C)) == unauthenticated
            assert await knock(two, body=body, headers=signed(two, body, now=NOW - 1000)) == unauthenticated
            # Signed by C, in a batch that says A; and signed for B, in a batch for C.
            assert await knock(two, body=body, headers=signed(two, body, sender=C)) == unauthenticated
            misaddressed = batch(receiver=C)
            assert await knock(two, body=misaddressed, headers=signed(two, misaddressed)) == unauthenticated
            for nonsense in (b"", b"[" * 100_000, b"\xff", b"{}"):
                assert await knock(two, body=nonsense, headers=signed(two, nonsense)) == (400, "bad_request")
            assert (two.bank.heard, two.bank.batches, two.book_of_b.shown) == ([], [], {})

    asyncio.run(story())


def test_whatever_is_forged_spliced_or_sent_again_leaves_a_line_with_its_reason() -> None:
    """The clock of these banks stands still, and yet each kind of attempt is seen."""

    async def story() -> None:
        async with circle() as two:
            body, other = batch(), batch(questions=[find(1)])
            misaddressed, heard = batch(receiver=C), signed(two, body)
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{two.port}{PATH}"
                async with session.post(url, data=body, headers=heard) as answer:
                    assert answer.status == 200
            attempts: list[tuple[bytes, dict[str, str], str]] = [
                (body, heard, "a request that was heard before"),
                (other, signed(two, body, now=NOW + 1), "digest"),
                (
                    body,
                    signed(two, body, now=NOW + 2) | {"ciranda-sender": C},
                    "the signature is not the member's",
                ),
                (body, signed(two, body, receiver=C), "addressed to another bank"),
                (body, signed(two, body, now=NOW - 1000), "expired"),
                (body, signed(two, body, now=NOW + 1000), "signed in the future"),
                (misaddressed, signed(two, misaddressed), "the batch names other banks"),
            ]
            for sent, headers, why in attempts:
                with capture_logs() as logged:
                    assert await knock(two, body=sent, headers=headers) == (401, "unauthenticated")
                (line,) = logged
                assert line["event"] == "peer_request_refused"
                assert why in line["why"].lower(), line
            with capture_logs() as logged:
                for _ in range(5):
                    assert (await knock(two, body=body, headers=heard))[0] == 401
            assert logged == [], "of one reason one line a second"

    asyncio.run(story())


def test_a_body_beyond_the_limit_is_refused_without_being_kept() -> None:
    async def story() -> None:
        async with circle() as two:
            large = b" " * (BODY_MAX + 1)
            with contextlib.suppress(aiohttp.ClientOSError):  # it may hang up while we still send
                assert await knock(two, body=large, headers=signed(two, large)) == (413, "too_large")
            assert await two.ask() == payee(find(1))

    asyncio.run(story())


def test_a_stranger_is_refused_before_the_body_is_read() -> None:
    async def story() -> None:
        async with circle() as two:
            reader, writer = await asyncio.open_connection("127.0.0.1", two.port)
            writer.write(f"POST {PATH} HTTP/1.1\r\nhost: b\r\ncontent-length: 1000\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 401")
            writer.close()
            await writer.wait_closed()

    asyncio.run(story())


def test_a_body_that_comes_too_slowly_is_ended() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        async with serving(two.listener(body_timeout_s=0.05), sock):
            head = f"POST {PATH} HTTP/1.1\r\nhost: b\r\ncontent-length: 1000\r\n"
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed(two, b"").items())
            reader, writer = await asyncio.open_connection("127.0.0.1", two.port)
            writer.write(f"{head}{lines}\r\n{{".encode())
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"too_slow" in answer
            writer.close()
            await writer.wait_closed()

    asyncio.run(story())


def test_a_peer_that_hangs_up_in_the_middle_leaves_nothing_behind() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        listener = two.listener(requests_max=1)
        async with serving(listener, sock):
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed(two, b"").items())
            for _ in range(3):
                _, writer = await asyncio.open_connection("127.0.0.1", two.port)
                writer.write(
                    f"POST {PATH} HTTP/1.1\r\nhost: b\r\ncontent-length: 9\r\n{lines}\r\n{{".encode()
                )
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            await two.peers.start()
            await two.until(lambda: listener._requests == 0)
            assert await two.ask() == payee(find(1))
            await two.peers.close()

    asyncio.run(story())


def test_beyond_its_measure_the_listener_says_come_back_soon() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        async with serving(two.listener(requests_max=1), sock):
            await two.peers.start()
            two.bank.tongue.clear()
            first = asyncio.create_task(two.ask())
            await two.until(lambda: two.bank.batches == [1])
            body = batch()
            assert await knock(two, body=body, headers=signed(two, body)) == (503, "overloaded")
            two.bank.tongue.set()
            assert await first == payee(find(1))
            await two.peers.close()

    asyncio.run(story())


async def post(two: Circle, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{two.port}{PATH}", data=body, headers=headers) as response,
    ):
        return response.status, await response.read()


def test_a_batch_repeated_by_a_thief_is_refused_before_its_body_is_read() -> None:
    async def story() -> None:
        async with circle() as two:
            body = batch(questions=(find(1), find(2)))
            headers = signed(two, body)
            assert (await post(two, headers, body))[0] == 200
            for again in (headers, relabelled(headers)):
                status, said = await post(two, again, body)
                assert (status, b"heard before" in said) == (401, True)
            assert two.bank.batches == [2]

    asyncio.run(story())


def relabelled(headers: dict[str, str]) -> dict[str, str]:
    """The label of a signature is not signed, and a thief may choose another."""
    return {
        name: "other" + value.removeprefix("ciranda") if name.startswith("signature") else value
        for name, value in headers.items()
    }


def test_the_same_words_signed_twice_in_one_second_are_two_requests() -> None:
    async def story() -> None:
        async with circle() as two:
            seal, body = Seal(A, KEYS[A], two.roster, "once"), batch()
            assert [(await post(two, seal.sign_request(B, body, NOW), body))[0] for _ in range(3)] == [
                200
            ] * 3

    asyncio.run(story())


def test_one_member_cannot_take_all_of_the_listeners_places() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        async with serving(two.listener(share_max=2), sock):
            await two.peers.start()
            two.bank.tongue.clear()
            waiting = []
            for number in range(2):
                waiting.append(asyncio.create_task(two.ask(number)))
                await two.until(lambda: len(two.bank.batches) == len(waiting))
            body = batch()
            assert await knock(
                two, body=body, headers=Seal(A, KEYS[A], two.roster, "more").sign_request(B, body, NOW)
            ) == (
                503,
                "overloaded",
            )
            theirs = batch(sender=C)
            answering = asyncio.create_task(post(two, signed(two, theirs, sender=C), theirs))
            await two.until(lambda: len(two.bank.batches) == 3)
            two.bank.tongue.set()
            assert (await answering)[0] == 200
            assert await asyncio.gather(*waiting) == [payee(find(0)), payee(find(1))]
            await two.peers.close()

    asyncio.run(story())


def test_a_member_that_asks_too_often_waits_for_the_next_second() -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        clock = [NOW]
        async with serving(two.listener(requests_per_s=3, now=lambda: clock[0]), sock):
            seal, body = Seal(A, KEYS[A], two.roster), batch()
            statuses = [(await post(two, seal.sign_request(B, body, NOW), body))[0] for _ in range(5)]
            assert statuses == [200, 200, 200, 503, 503]
            clock[0] += 1
            assert (await post(two, seal.sign_request(B, body, NOW), body))[0] == 200

    asyncio.run(story())


def test_what_members_send_at_once_is_bounded_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        monkeypatch.setattr("ciranda.api.peer_messages.BYTES_MAX", 10)
        listener = two.listener()
        async with serving(listener, sock):
            head = f"POST {PATH} HTTP/1.1\r\nhost: b\r\ncontent-length: 1000\r\n"
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed(two, b"").items())
            reader, writer = await asyncio.open_connection("127.0.0.1", two.port)
            writer.write(f"{head}{lines}\r\n{{{{{{{{{{{{{{{{{{{{{{{{".encode())
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
            writer.close()
            await writer.wait_closed()
            assert (listener._bytes, listener._requests) == (0, 0)

    asyncio.run(story())


# A roster that changes.


def test_a_peer_that_is_added_moved_and_struck_out_is_found_found_again_and_forgotten() -> None:
    async def story() -> None:
        async with circle() as two:
            alone = msgspec.structs.replace(two.roster, members={A: two.roster.members[A]})
            two.peers.change(alone, KEYS[A])
            with pytest.raises(PeerUnreachable):
                await two.ask()
            two.peers.change(two.roster, KEYS[A])
            assert await two.ask() == payee(find(1))
            elsewhere = bound_socket()
            moved = msgspec.structs.replace(
                two.roster.members[B], peer_url=f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
            )
            async with serving(two.listener(), elsewhere):
                heard = len(two.bank.batches)
                two.peers.change(
                    msgspec.structs.replace(two.roster, members=two.roster.members | {B: moved}), KEYS[A]
                )
                assert await two.ask(2) == payee(find(2))
                assert len(two.bank.batches) > heard

    asyncio.run(story())


def test_a_bank_speaks_with_its_next_key_as_soon_as_its_peers_know_it() -> None:
    following = Ed25519PrivateKey.from_private_bytes(b"the next" * 4)

    async def story() -> None:
        sock = bound_socket()
        two = Circle(sock)
        listener = two.listener()
        async with serving(listener, sock):
            await two.peers.start()
            both = msgspec.structs.replace(
                two.roster.members[A], next_public_key=following.public_key().public_bytes_raw()
            )
            roster = msgspec.structs.replace(two.roster, members=two.roster.members | {A: both})
            listener.change(roster, KEYS[B])
            assert await two.ask(1) == payee(find(1))
            two.peers.change(roster, following)
            assert await two.ask(2) == payee(find(2))
            only = msgspec.structs.replace(both, public_key=both.next_public_key, next_public_key=None)
            listener.change(msgspec.structs.replace(roster, members=roster.members | {A: only}), KEYS[B])
            assert await two.ask(3) == payee(find(3))
            two.peers.change(roster, KEYS[A])
            with pytest.raises(PeerUnreachable):
                await two.ask(4)
            await two.peers.close()

    asyncio.run(story())


def test_an_absent_account_is_an_answer_like_any_other() -> None:
    async def story() -> None:
        async def nobody(sender: Ispb, questions: Sequence[Question]) -> Sequence[Answer]:
            return [Absent() for _ in questions]

        sock = bound_socket()
        two = Circle(sock)
        async with serving(two.listener(respond=nobody), sock):
            await two.peers.start()
            assert await two.ask() == Absent()
            await two.peers.close()

    asyncio.run(story())
