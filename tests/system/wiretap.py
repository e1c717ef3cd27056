"""The lines between banks: they can be listened to, and can lose, repeat or garble what is said."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.system.consortium import Bank, Consortium

ANSWER_S = 10.0


class Fate(Enum):
    """What becomes of one request and its answer."""

    PASSES = auto()
    IS_LOST = auto()
    """The request never arrives."""
    ANSWER_IS_LOST = auto()
    COMES_TWICE = auto()
    """The copy arrives after it, and is refused."""
    ANSWER_IS_GARBAGE = auto()


class Saying(NamedTuple):
    """A request or an answer, as it travels."""

    status: int
    """0: it is a request."""
    headers: list[tuple[str, str]]
    body: bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who was speaking has hung up, or was killed: that is what the tests are about."""


class Line:
    """All that is said to one bank goes through here."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.heard: list[Saying] = []
        """The requests."""
        self.fate: Callable[[], Fate] = lambda: Fate.PASSES
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def say(self, request: Saying) -> Saying:
        """Says it to the bank itself, and gives its answer."""
        connection = http.client.HTTPConnection(urlsplit(self.bank.peer_url).netloc, timeout=ANSWER_S)
        try:
            connection.putrequest("POST", "/peer/v1/messages", skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            return Saying(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def hang_up(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _carry(self, request: Saying) -> Saying | None:
        self.heard.append(request)
        match self.fate():
            case Fate.PASSES:
                return self.say(request)
            case Fate.IS_LOST:
                return None
            case Fate.ANSWER_IS_LOST:
                self.say(request)
                return None
            case Fate.COMES_TWICE:
                answer, copy = self.say(request), self.say(request)
                assert (answer.status, copy.status) in ((200, 401), (401, 401), (503, 401)), copy
                return answer
            case Fate.ANSWER_IS_GARBAGE:
                answer = self.say(request)
                return answer._replace(body=answer.body[::-1])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    answer = line._carry(Saying(0, self.headers.items(), body))
                except (OSError, http.client.HTTPException):
                    # The bank is not there.
                    answer = None
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:
                """Not to be read by anybody."""

        return Handler


class Lines:
    """A line to each bank of a consortium."""

    def __init__(self) -> None:
        self.to: dict[Bank, Line] = {}

    def tap(self, circle: Consortium) -> None:
        """Before the banks start: writes the lines into the roster, as the addresses where the banks are met."""
        roster = circle.roster_file.read_text()
        for bank in circle.banks:
            line = self.to[bank] = Line(bank)
            assert bank.peer_url in roster
            roster = roster.replace(f'"{bank.peer_url}"', f'"{line.url}"')
            with bank.settings_file.open("a") as settings:
                settings.write(f'\npeer_listen = "{urlsplit(bank.peer_url).netloc}"\n')
        circle.roster_file.write_text(roster)


@contextmanager
def wiretap() -> Iterator[Lines]:
    lines = Lines()
    try:
        yield lines
    finally:
        for line in lines.to.values():
            line.hang_up()
