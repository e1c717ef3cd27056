"""A full file system under a bank's book: what it writes does not fit any more, until somebody makes room.

Where Linux lets us have a mount namespace, the book lies on a file system of its own, in memory, which is made as
small as what is on it. Elsewhere the bank is forbidden to make a file any longer (RLIMIT_FSIZE): then SQLite meets
EFBIG in place of ENOSPC.
"""

import resource
import shutil
import subprocess
from pathlib import Path

from tests.system.consortium import Bank
from tests.system.patience import eventually

ROOM = "4g"
FILE_MAX = 131_072
"""How long a file may be that a bank without a file system of its own writes: longer than its log, not than its book."""
_NAMESPACES = (["--user", "--map-root-user", "--mount"], ["--mount"])


class NotAllowed(Exception):
    """This machine lets nobody mount anything."""


class FileSystem:
    """It lives as long as a process that does nothing but keep its namespace."""

    def __init__(self, folder: Path) -> None:
        """Raises NotAllowed."""
        folder.mkdir()
        self._folder = folder
        self._keeper = _keeper(folder)
        self.enter: tuple[str, ...] = ("nsenter", f"--target={self._keeper.pid}", "--mount")
        """What stands before a command that is to see it."""
        if _user_namespace(self._keeper.pid) != _user_namespace("self"):
            self.enter += ("--user", "--preserve-credentials")

    def run(self, *command: str | Path) -> str:
        return subprocess.run([*self.enter, *command], check=True, capture_output=True, text=True).stdout

    def fill(self) -> None:
        """It is as small as what is on it."""

        def shrink() -> None:
            blocks, free, size = map(int, self.run("stat", "-f", "-c", "%b %f %S", self._folder).split())
            # In between the bank may have written something: then it does not fit, and we look again.
            shrunk = self._resize(str((blocks - free) * size))
            assert shrunk, f"{self._folder} cannot be made smaller"

        eventually(shrink)

    def make_room(self) -> None:
        assert self._resize(ROOM)

    def close(self) -> None:
        self._keeper.kill()
        self._keeper.wait()

    def _resize(self, size: str) -> bool:
        command: list[str | Path] = [*self.enter, "mount", "-o", f"remount,size={size}", self._folder]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _keeper(folder: Path) -> "subprocess.Popen[bytes]":
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        raise NotAllowed
    script = f'mount -t tmpfs -o size={ROOM},mode=0700 none "$0" && echo mounted && exec sleep infinity'
    for namespaces in _NAMESPACES:
        keeper = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", script, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert keeper.stdout is not None
        with keeper.stdout:
            if keeper.stdout.readline() == b"mounted\n":
                return keeper
        keeper.wait()
    raise NotAllowed


def _user_namespace(pid: int | str) -> str:
    return Path(f"/proc/{pid}/ns/user").readlink().name


class Disks:
    """Which bank's book lies on what."""

    def __init__(self, namespaces: bool = True) -> None:
        self._namespaces = namespaces
        self.of: dict[Bank, FileSystem] = {}

    @property
    def means(self) -> str:
        return (
            "a file system of its own (tmpfs, ENOSPC)"
            if self.of
            else "a limit to files (RLIMIT_FSIZE, EFBIG)"
        )

    def give(self, bank: Bank) -> None:
        """Before it starts: puts its book on a file system of its own, where that is allowed."""
        if not self._namespaces:
            return
        folder = bank.settings_file.parent / "disk"
        try:
            system = FileSystem(folder)
        except NotAllowed:
            return
        self.of[bank] = system
        system.run("mv", *bank.database_files(), folder)
        bank.set_database("sqlite:///disk/bank.db")
        bank.command = [*system.enter, *bank.command]

    def close(self) -> None:
        for system in self.of.values():
            system.close()


class FullDisk:
    """There is no room for one bank's book to grow."""

    def __init__(self, disks: Disks, bank: Bank) -> None:
        self._system = disks.of.get(bank)
        self._bank = bank

    def begin(self) -> None:
        if self._system is not None:
            self._system.fill()
        else:
            self._limit(FILE_MAX)

    def end(self) -> None:
        if self._system is not None:
            self._system.make_room()
        else:
            self._limit(None)

    def _limit(self, file_max: int | None) -> None:
        pid = self._bank.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if file_max is None else file_max, most))
