"""A bank as a child process of this one; it does not outlive its parent, however that ends."""

import asyncio
import ctypes
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ciranda.cli.authority import trusted
from ciranda.client import BankClient
from ciranda.roster import Member
from ciranda.settings import BANK

READY_S = 60.0
DRAIN_S = 20.0
LOG = "serve.log"

_PR_SET_PDEATHSIG = 1


class NotReady(Exception):
    """The bank ended, or was not ready in time; with the last that it said."""


class Child:
    """One bank, run by `ciranda serve`; what it says goes to `serve.log` in its folder."""

    def __init__(self, member: Member, consortium: Path, workers: int = 1) -> None:
        self.member = member
        self._workers = workers
        self.log = consortium / member.slug / LOG
        self._bank_toml = consortium / member.slug / BANK
        self._authority = trusted(consortium)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        assert not self.running, "it is not started twice"
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "ciranda.cli.main", "serve", str(self._bank_toml)),
                *("--workers", str(self._workers)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # In a session of its own it does not get the terminal's Ctrl-C: its parent decides when it ends.
                start_new_session=True,
                preexec_fn=_dies_with_parent(),
            )

    async def ready(self) -> None:
        """Waits until the bank says that it is ready. Raises NotReady."""
        patience_ends = time.monotonic() + READY_S
        async with BankClient(self.member.public_url, timeout_s=2.0, authority=self._authority) as client:
            while not await client.is_ready():
                if not self.running:
                    raise NotReady(f"{self.member.name} ended before it was ready. {self.last_words()}")
                if time.monotonic() > patience_ends:
                    raise NotReady(
                        f"{self.member.name} was not ready in {READY_S:.0f} s. {self.last_words()}"
                    )
                await asyncio.sleep(random.uniform(0.05, 0.15))

    async def acquainted(self) -> None:
        """Waits until the bank, which is ready, reaches all of its peers. Raises NotReady."""
        patience_ends = time.monotonic() + READY_S
        async with BankClient(self.member.public_url, authority=self._authority) as client:
            while missing := [peer.name for peer in (await client.bank()).peers if not peer.reachable]:
                if time.monotonic() > patience_ends:
                    raise NotReady(
                        f"{self.member.name} does not reach {', '.join(missing)}. {self.last_words()}"
                    )
                await asyncio.sleep(random.uniform(0.05, 0.15))

    async def ended(self) -> int:
        assert self._process is not None, "it was started"
        return await self._process.wait()

    def pause(self) -> None:
        """It stands still, as a machine does that is out of breath: connections open, and no answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """kill -9: whatever it was about to write is lost."""
        self._signal(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> None:
        """Lets it drain, and kills it if that takes too long, or if we are not to wait."""
        if not self.running:
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # A paused one would not hear.
        try:
            async with asyncio.timeout(DRAIN_S):
                await self.ended()
        except TimeoutError:
            await self.kill()
        except asyncio.CancelledError:
            self._signal(signal.SIGKILL)
            raise

    def last_words(self) -> str:
        """Where its log is, and the end of it."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"The end of {self.log}:", *lines[-15:]])

    def _signal(self, what: signal.Signals) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(what)


async def all_ready(children: Sequence[Child]) -> None:
    """Waits until every bank is ready, and reaches all of the others. Raises NotReady.

    A bank is ready whatever its peers do. One that started first knocked where nobody listened yet: until it has
    knocked again, it would refuse payments to there.
    """
    await asyncio.gather(*(child.ready() for child in children))
    await asyncio.gather(*(child.acquainted() for child in children))


async def stop_all(children: Sequence[Child]) -> None:
    await asyncio.gather(*(child.stop() for child in children))


def _dies_with_parent() -> Callable[[], None] | None:
    """What the child does before it becomes a bank: it asks Linux to be killed when we die, also by kill -9.

    Elsewhere there is no such thing, and only an orderly end of ours ends the banks.
    """
    if sys.platform != "linux":
        return None
    # Loaded here: between fork and exec it may be too late.
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # It died before we could ask.
            os._exit(1)

    return ask
