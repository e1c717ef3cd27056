"""Reloading: a bank goes on with other settings while it runs.

The roster, the bank's own signing key, the limits of its peers and its certificates are read again when their files
change, or at SIGHUP. All else is read at the start only.

Its law: **what is not right as a whole is not taken at all.** It is written to the log, and the bank goes on with what
it had. A file that is being copied is not read in its middle: its change counts once it has rested for a moment.

Each worker does this by itself. For a second or two they differ, and so do the banks of a consortium. Nothing rests on
their being of one mind: both keys of a bank are good meanwhile, and a payment under a newer roster than ours waits for
our having it (`engine/answering.py`).
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciranda.engine.bank import Bank
from ciranda.engine.record import Record
from ciranda.identity import EndToEndId, Ispb, clearing
from ciranda.ports import Unavailable
from ciranda.roster import Roster
from ciranda.settings import BankSettings, SettingsError, load
from ciranda.storage.store import SqlStore
from ciranda.tls import Contexts

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOOK_S = 1.0
_AT_ONCE = 1_000


class Changing(Protocol):
    """What holds the roster and the key: the way to the peers, and their listener."""

    def change(self, roster: Roster, key: Ed25519PrivateKey) -> None: ...


class Unfit(Exception):
    """The settings are well formed, and yet not to be gone on with; one sentence says why."""


class Reloading:
    def __init__(
        self,
        bank_toml: Path,
        settings: BankSettings,
        bank: Bank,
        store: SqlStore,
        holders: Sequence[Changing],
        contexts: Contexts,
    ) -> None:
        self._bank_toml = bank_toml
        self._bank = bank
        self._store = store
        self._holders = holders
        self._contexts = contexts
        self._files = settings.files
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Has the files read again at once, whether they changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """For ever."""
        taken = seen = await self._look()
        while True:
            asked = await self._wait()
            now = await self._look()
            if asked or (now != taken and now == seen):
                again = not await self._reload()
                taken = None if again else now
            seen = now

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _look(self) -> list[tuple[int, ...]] | None:
        """What tells one state of the files from another."""
        return await asyncio.to_thread(lambda: [_print(file) for file in self._files])

    async def _reload(self) -> bool:
        """False if it could not be tried, for the database was away."""
        try:
            settings = await asyncio.to_thread(load, self._bank_toml)
            self._must_fit(settings)
            await self._must_be_done_with(self._bank.roster.members.keys() - settings.roster.members.keys())
            await self._store.prepare_for(settings.own_roster)
            self._contexts.renew(settings)
        except (SettingsError, Unfit) as error:
            log.error("reload_refused", why=str(error))
            return True
        except Unavailable as error:
            log.warning("unavailable", error=str(error))
            return False
        self._files = settings.files
        self._bank.roster = settings.own_roster
        for holder in self._holders:
            holder.change(settings.own_roster, settings.signing_key)
        log.info("reloaded", roster=settings.roster.version)
        return True

    def _must_fit(self, new: BankSettings) -> None:
        """Raises Unfit."""
        old = self._bank.roster
        if new.ispb != self._bank.ispb:
            raise Unfit(f"this is bank {self._bank.ispb}, and does not become {new.ispb}")
        if (new.roster.currency, new.roster.deadline_ms) != (old.currency, old.deadline_ms):
            raise Unfit("currency and deadline_ms change only at a start")
        if new.roster.version < old.version:
            raise Unfit(
                f"version {new.roster.version} of the roster is older than {old.version}, which is in force"
            )

    async def _must_be_done_with(self, struck: set[Ispb]) -> None:
        """No bank is struck out while we owe each other anything, be it money or a word (PROTOCOL 8.1). Raises Unfit."""
        if not struck:
            return
        accounts = {account.id: account for account in await self._store.own_accounts()}
        for bank in sorted(struck):
            account = accounts.get(clearing(bank))
            if account is not None and (account.balance or account.held or account.incoming):
                raise Unfit(
                    f'{bank} is struck out, but the position with it is not zero: standing = "left" keeps it'
                )
        after: EndToEndId | None = None
        while records := await self._store.unfinished(_AT_ONCE, after):
            for record in records:
                open_with = sorted(_open_with(record) & struck)
                if open_with:
                    raise Unfit(
                        f"{open_with[0]} is struck out, but payment {record.id} with it is not finished: "
                        'standing = "left" keeps it'
                    )
            after = records[-1].id


def _open_with(record: Record) -> frozenset[Ispb]:
    """The banks that are still to hear of a payment, or to say something about it."""
    if record.state.decided or record.header is None:
        return frozenset(record.untold)
    return record.header.banks


def _print(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)
