"""The network between the banks: it carries bytes, and what it does to them is the weather.

Each request and each response meets every weather in turn. A weather may make it late, lose it, break its connection,
or have it arrive more than once.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ciranda.agreement.message import Answer, Question
from ciranda.identity import Ispb
from ciranda.peers.transport import Lost, Response
from ciranda.simulator.dice import SeededDice, Span
from ciranda.simulator.loop import OUTSIDE, Process, VirtualLoop
from ciranda.wire.messages import Malformed, decode_answers, decode_questions

_TRAVEL_S: Span = (0.0005, 0.01)


class Parcel:
    """One request, and the future of its response."""

    def __init__(
        self,
        sender: Ispb,
        receiver: Ispb,
        headers: dict[str, str],
        body: bytes,
        process: Process | None,
        answer: "asyncio.Future[Response]",
    ) -> None:
        self.sender = sender
        self.receiver = receiver
        self.headers = headers
        self.body = body
        self.process = process
        """Which process of the sender's sent it; None for what no honest bank sent."""
        self.answer = answer
        self.questions = _questions(body)


class Fate:
    """What becomes of one request or one response."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.lost = False
        """Nobody hears of it again; its sender waits in vain."""
        self.broken = False
        """The sender is told that the connection broke."""
        self.again: list[float] = []
        """It also arrives after these delays."""


class Weather(Protocol):
    def touch(self, sender: Ispb, receiver: Ispb, parcel: Parcel, fate: Fate) -> None:
        """A request on its way from sender to receiver, or its response, when the sender is the parcel's receiver."""
        ...


class Receiver(Protocol):
    def knock(self, parcel: Parcel, answered: Callable[[Response | None], None]) -> bool:
        """False: nobody listens. Otherwise `answered` is called, with None if the listener died first."""
        ...


class Watcher(Protocol):
    """Sees all that honest banks say."""

    def asked(self, process: Process, sender: Ispb, receiver: Ispb, question: Question) -> None: ...

    def answered(self, sender: Ispb, receiver: Ispb, question: Question, answer: Answer) -> None: ...

    def delivered(self, process: Process, answering: Ispb, question: Question, answer: Answer) -> None: ...

    def missed(self, sender: Ispb, receiver: Ispb, what: str) -> None: ...


class Network:
    def __init__(self, loop: VirtualLoop, dice: SeededDice, watcher: Watcher) -> None:
        self.receivers: dict[Ispb, Receiver] = {}
        self.weather: list[Weather] = []
        self._loop = loop
        self._dice = dice
        self._watcher = watcher

    def send(
        self, sender: Ispb, receiver: Ispb, headers: dict[str, str], body: bytes, process: Process | None
    ) -> "asyncio.Future[Response]":
        parcel = Parcel(sender, receiver, headers, body, process, self._loop.create_future())
        if process is not None:
            for question in parcel.questions:
                self._watcher.asked(process, sender, receiver, question)
        self.carry(parcel)
        return parcel.answer

    def carry(self, parcel: Parcel) -> None:
        """Also for what was carried before, and is now replayed."""
        fate = self._fate(parcel.sender, parcel.receiver, parcel)
        self._travel(parcel, fate, parcel.sender, parcel.receiver, "request", lambda: self._arrive(parcel))

    def _travel(
        self,
        parcel: Parcel,
        fate: Fate,
        sender: Ispb,
        receiver: Ispb,
        what: str,
        arrive: Callable[[], None],
    ) -> None:
        if fate.lost or fate.broken:
            self._watcher.missed(sender, receiver, what)
        if fate.broken:
            self._later(fate.delay, lambda: _fail(parcel, "the connection broke"))
        elif not fate.lost:
            for delay in (fate.delay, *fate.again):
                self._later(delay, arrive)

    def _arrive(self, parcel: Parcel) -> None:
        receiver = self.receivers.get(parcel.receiver)

        def answered(response: Response | None) -> None:
            self._return(parcel, response)

        if receiver is None or not receiver.knock(parcel, answered):
            self._later(self._dice.within(_TRAVEL_S), lambda: _fail(parcel, "connection refused"))

    def _return(self, parcel: Parcel, response: Response | None) -> None:
        fate = self._fate(parcel.receiver, parcel.sender, parcel)
        if response is None:
            self._later(fate.delay, lambda: _fail(parcel, "the connection was reset"))
            return
        said = _said(parcel, response)
        for question, answer in said:
            self._watcher.answered(parcel.receiver, parcel.sender, question, answer)
        self._travel(
            parcel,
            fate,
            parcel.receiver,
            parcel.sender,
            "response",
            lambda: self._deliver(parcel, response, said),
        )

    def _deliver(self, parcel: Parcel, response: Response, said: list[tuple[Question, Answer]]) -> None:
        if not parcel.answer.done():
            if parcel.process is not None:
                for question, answer in said:
                    self._watcher.delivered(parcel.process, parcel.receiver, question, answer)
            parcel.answer.set_result(response)

    def _fate(self, sender: Ispb, receiver: Ispb, parcel: Parcel) -> Fate:
        fate = Fate(self._dice.within(_TRAVEL_S))
        for weather in self.weather:
            weather.touch(sender, receiver, parcel, fate)
        return fate

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        """The network goes on when the process that sent something is dead or paused."""
        self._loop.call_later(delay, act, context=OUTSIDE)


class Wire:
    """The port Transport of one process."""

    def __init__(self, network: Network, own: Ispb, process: Process) -> None:
        self._network = network
        self._own = own
        self._process = process

    async def open(self) -> None:
        """There is nothing to open."""

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Response:
        return await self._network.send(self._own, _bank_at(url), headers, body, self._process)

    async def close(self) -> None:
        """There is nothing to close."""


def url_of(bank: Ispb) -> str:
    return f"http://{bank}"


def _bank_at(url: str) -> Ispb:
    return Ispb(url.removeprefix("http://")[:8])


def _questions(body: bytes) -> tuple[Question, ...]:
    try:
        return decode_questions(body).questions
    except Malformed:
        return ()


def _said(parcel: Parcel, response: Response) -> list[tuple[Question, Answer]]:
    """The parcel's questions with their answers; none, if it was refused as a whole."""
    if response.status != 200:
        return []
    try:
        answers = decode_answers(response.body).answers
    except Malformed:
        return []
    return list(zip(parcel.questions, answers, strict=False))


def _fail(parcel: Parcel, why: str) -> None:
    if not parcel.answer.done():
        parcel.answer.set_exception(Lost(why))
