"""The other banks, over HTTP: `ports.Peers` with signed batches.

The law of this file: **a question gets the answer of the bank that it was put to, or PeerUnreachable, in time.** What
comes back late, unsigned, garbled or short counts as nothing at all, for every question of the batch; whether the
questions had an effect is then not known, and whoever asked lives with that, since every question may be repeated.

A peer is up or down (PROTOCOL 5.8), and down is a rumour that costs little to refute:

- It goes down when a request to it fails, or when somebody's time runs out and not one word came from it meanwhile.
  (A single slow answer among many good ones shows a slow question, not a lost bank.) What waits for it is given up.
- While it is down only probes go there, one every 0.5 to 1 s. The time is random, so that a bank which comes back is
  not met by all others in step.
- While it is up but has said nothing for 1 to 2 s it is probed too: the next payment should not be the one to find
  out that it is gone.
- It is up again with its first valid word, be it an answer or a question of its own.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.agreement.message import Answer, AnswerBatch, Probe, Question, ShowHead, fits
from ciranda.identity import Ispb
from ciranda.peers.outbox import Letter, Outbox
from ciranda.peers.transport import Lost, Transport
from ciranda.ports import Dice, Heights, PeerSilent, PeerUnreachable, PutBack
from ciranda.roster import Member, Roster
from ciranda.wire.messages import Malformed, decode_answers, encode_batch, encode_question
from ciranda.wire.signature import PATH, BadSignature, Seal

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PROBE_WAIT_S = (0.5, 1.0)
SILENCE_S = (1.0, 2.0)
_PROBE = encode_question(Probe())


class HttpPeers:
    """Ask from the event loop in which it was started; nothing here is for other threads."""

    def __init__(
        self,
        own: Ispb,
        roster: Roster,
        key: Ed25519PrivateKey,
        heights: Heights,
        dice: Dice,
        now: Callable[[], int],
        transport: Transport,
        *,
        request_timeout_ms: int = 10_000,
        probe_timeout_ms: int = 5_000,
        waiting_max: int = 10_000,
        nonces: str = "",
    ) -> None:
        """`now`: seconds since 1970. `waiting_max`: of questions that wait to be sent to one peer. `nonces`: what no
        other process of this bank begins its nonces with."""
        self._own = own
        self._seal = Seal(own, key, roster, nonces)
        self._heights = heights
        self._dice = dice
        self._now = now
        self._transport = transport
        self._request_timeout_s = request_timeout_ms / 1000
        self._probe_timeout_s = probe_timeout_ms / 1000
        self._waiting_max = waiting_max
        self._peers = {m.ispb: _Peer(m, self._carry, waiting_max) for m in roster.peers_of(own)}
        self._closed = True
        self._met = asyncio.Event()
        if not self._peers:
            self._met.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_return: list[Callable[[Ispb], None]] = []
        """Called, in the event loop, with each peer that turns from down to up."""

    async def start(self) -> None:
        await self._transport.open()
        self._closed = False
        for peer in self._peers.values():
            self._watch(peer)

    def change(self, roster: Roster, key: Ed25519PrivateKey) -> None:
        """Goes on with another roster and key: new peers are met, moved ones found, and those struck out forgotten."""
        self._seal.change(key, roster)
        members = {member.ispb: member for member in roster.peers_of(self._own)}
        for ispb in self._peers.keys() - members.keys():
            self._forget(self._peers.pop(ispb))
        for ispb, member in members.items():
            if ispb in self._peers:
                self._peers[ispb].url = _url(member)
            else:
                self._peers[ispb] = peer = _Peer(member, self._carry, self._waiting_max)
                self._watch(peer)
                self._send_probe(peer)

    async def greet(self, timeout_s: float) -> None:
        """Says a word to every peer, and waits a little for theirs: whoever was thought to be down is up again."""
        greetings = [self._send_probe(peer) for peer in self._peers.values()]
        if greetings:
            await asyncio.wait(greetings, timeout=timeout_s)

    async def close(self) -> None:
        """Gives up whatever is under way or waits."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in self._peers.values():
            _give_up(peer.outbox.give_up(), "this bank is closing")
            await peer.outbox.close()
        await self._transport.close()

    def reachable(self, bank: Ispb) -> bool:
        peer = self._peers.get(bank)
        return peer is not None and peer.up

    async def met(self) -> None:
        await self._met.wait()

    def heard_from(self, bank: Ispb) -> None:
        """Any signed message from a peer makes it up at once: the listener calls this for its requests."""
        peer = self._peers.get(bank)
        if peer is not None:
            self._heard(peer)

    async def ask(self, bank: Ispb, question: Question, timeout_ms: int) -> Answer:
        peer = self._peers.get(bank)
        if self._closed or peer is None:
            raise PeerUnreachable(f"{bank} is no peer, or this bank is closing")
        probing = isinstance(question, Probe)
        if not (peer.up or probing) or timeout_ms <= 0:
            raise PeerUnreachable(f"{bank} is down, or there is no time left to ask it")
        try:
            text = encode_question(question)
        except Malformed as error:
            # Every peer would refuse it, and with it the whole batch.
            raise PeerUnreachable(f"no peer would read the question: {error}") from error
        loop = asyncio.get_running_loop()
        letter = Letter(text, loop.time() + timeout_ms / 1000, loop.create_future())
        words_before = peer.words
        if probing:
            # A probe asks whether the way is free: it does not queue behind those who are stuck on it.
            self._spawn(self._carry(peer, [letter]))
        elif isinstance(question, ShowHead):
            # By itself: a bank that does not know this question yet refuses nothing else because of it.
            self._spawn(self._carry(peer, [letter], aside=True))
        elif not peer.outbox.post(letter):
            raise PeerUnreachable(f"too many questions wait for {bank}")
        try:
            async with asyncio.timeout_at(letter.until):
                answer = await letter.answer
        except TimeoutError:
            self._fell_silent(peer, words_before)
            raise PeerSilent(f"{bank} did not answer in {timeout_ms} ms") from None
        if not fits(question, answer):
            raise PeerUnreachable(f"{bank} answered another question")
        return answer

    async def _carry(self, peer: "_Peer", letters: list[Letter], *, aside: bool = False) -> None:
        """One request: takes the letters there, and puts into each its answer or PeerUnreachable.

        `aside`: whether the peer is up does not hang on it."""
        loop = asyncio.get_running_loop()
        until = min(max(letter.until for letter in letters), loop.time() + self._request_timeout_s)
        words_before = peer.words
        try:
            async with asyncio.timeout_at(until):
                batch = await self._exchange(peer, [letter.question for letter in letters])
                await self._heights.heard(peer.ispb, batch.height, batch.seen)
        except TimeoutError:
            self._fell_silent(peer, words_before)
            _give_up(letters, f"{peer.ispb} did not answer in time", PeerSilent)
        except (Lost, BadSignature, Malformed, PutBack) as error:
            if not aside:
                self._went_down(peer)
            _give_up(letters, f"{peer.ispb}: {error!r}")
        except asyncio.CancelledError:
            _give_up(letters, "this bank is closing")
            raise
        else:
            for letter, answer in zip(letters, batch.answers, strict=True):
                if not letter.answer.done():
                    letter.answer.set_result(answer)
            self._heard(peer)

    async def _exchange(self, peer: "_Peer", questions: list[bytes]) -> AnswerBatch:
        own, seen = self._heights.own(), self._heights.seen(peer.ispb)
        body = encode_batch(self._own, peer.ispb, own, seen, questions)
        for _ in range(2):
            headers = self._seal.sign_request(peer.ispb, body, self._now())
            response = await self._transport.post(peer.url, headers, body)
            # Perhaps the line carried it twice, or another of the peer's workers has read the new roster already: it
            # is said once more, in a signature of its own.
            if response.status != 401:
                break
        if response.status == 401 and peer.up:
            log.warning(
                "peer_refuses_signature", peer=peer.ispb, answer=response.body[:500].decode(errors="replace")
            )
        if response.status != 200:
            raise Lost(f"status {response.status}")
        self._seal.verify_response(headers, response.status, response.headers, response.body, self._now())
        batch = decode_answers(response.body)
        if (batch.sender, batch.receiver) != (peer.ispb, self._own) or len(batch.answers) != len(questions):
            raise Lost("the answers are not to these questions")
        return batch

    # Coming and going.

    def _watch(self, peer: "_Peer") -> None:
        peer.listener = self._spawn(self._listen(peer))

    def _forget(self, peer: "_Peer") -> None:
        for task in (peer.listener, peer.prober):
            if task is not None:
                task.cancel()
        _give_up(peer.outbox.give_up(), f"{peer.ispb} is no peer any more")

    # Up and down.

    def _heard(self, peer: "_Peer") -> None:
        peer.words += 1
        self._met.set()
        if peer.up:
            return
        peer.up = True
        if peer.prober is not None:
            peer.prober.cancel()
            peer.prober = None
        for callback in self.on_return:
            callback(peer.ispb)

    def _fell_silent(self, peer: "_Peer", words_before: int) -> None:
        if peer.words == words_before:
            self._went_down(peer)

    def _went_down(self, peer: "_Peer") -> None:
        if not peer.up or self._closed or self._peers.get(peer.ispb) is not peer:
            return
        peer.up = False
        peer.prober = self._spawn(self._probe(peer))
        _give_up(peer.outbox.give_up(), f"{peer.ispb} is down")

    async def _listen(self, peer: "_Peer") -> None:
        """For ever: breaks the silence of a peer that is up."""
        while True:
            words_before = peer.words
            await asyncio.sleep(self._dice.between(*SILENCE_S))
            if peer.up and peer.words == words_before:
                self._send_probe(peer)

    async def _probe(self, peer: "_Peer") -> None:
        """Until cancelled by the peer's return. It waits for no answer, so that silence does not slow it down."""
        while True:
            await asyncio.sleep(self._dice.between(*PROBE_WAIT_S))
            self._send_probe(peer)

    def _send_probe(self, peer: "_Peer") -> asyncio.Task[None]:
        """The answer itself is not looked at: that a valid one came is what makes the peer up."""
        loop = asyncio.get_running_loop()
        letter = Letter(_PROBE, loop.time() + self._probe_timeout_s, loop.create_future())
        letter.answer.add_done_callback(lambda answer: answer.exception())
        return self._spawn(self._carry(peer, [letter]))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that `close` ends. The loop itself keeps only weak references to tasks."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Peer:
    """What we know of one peer, for as long as this process lives."""

    def __init__(
        self,
        member: Member,
        carry: Callable[["_Peer", list[Letter]], Coroutine[Any, Any, None]],
        waiting_max: int,
    ) -> None:
        self.ispb = member.ispb
        self.url = _url(member)
        self.up = True
        self.words = 0
        """Valid messages heard from it: two equal counts mean silence between them."""
        self.prober: asyncio.Task[None] | None = None
        """There is one exactly while the peer is down."""
        self.listener: asyncio.Task[None] | None = None
        self.outbox = Outbox(lambda letters: carry(self, letters), waiting_max)


def _url(member: Member) -> str:
    return member.peer_url.rstrip("/") + PATH


def _give_up(letters: list[Letter], why: str, kind: type[PeerUnreachable] = PeerUnreachable) -> None:
    for letter in letters:
        if not letter.answer.done():
            letter.answer.set_exception(kind(why))
