"""Both echoes, started and stopped: one process each."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.peers.peers import Running, address_of, between, listen, uvicorn, wait_until_it_answers


@contextmanager
def start(app: str, folder: Path, accounts: int) -> Iterator[Running]:
    listener = listen()
    address = address_of(listener)
    with uvicorn(app, listener, folder / "echo.log") as pid:
        wait_until_it_answers(address)
        yield Running(address=address, pids=(pid,), request=partial(between, accounts=accounts), money=int)
