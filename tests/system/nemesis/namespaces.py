"""The network between banks as Linux has it: each bank in a network namespace of its own, with a cable to each other
bank and one to its customers.

Its packets really go astray: who is cut off from a peer is given a wrong hardware address for it, so that nothing that
it sends there arrives, and TCP finds out for itself. The whole run has to be in a network namespace (`unshare`), where
it may lay cables; `python -m tests.system.chaos --netns` begins with that.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.system.consortium import Bank, Consortium

NOBODY = "02:00:00:00:00:01"


class Plug(NamedTuple):
    """One end of a cable."""

    device: str
    address: str
    hardware: str


class Namespaces:
    means = "a network namespace for each bank: packets to the peer go to a wrong hardware address"

    def __init__(self) -> None:
        self._keepers: dict[Bank, subprocess.Popen[bytes]] = {}
        self._plugs: dict[tuple[Bank, Bank], Plug] = {}
        """Of a bank, by the bank at the other end."""
        self._cut_by: dict[tuple[Bank, Bank], set[object]] = {}

    def lay(self, circle: Consortium) -> None:
        """Before the banks start: moves each of them into its namespace, and tells it and us where to find whom."""
        _ip("link", "set", "lo", "up")
        for number, bank in enumerate(circle.banks, start=1):
            self._move(number, bank)
        for number, (one, other) in enumerate(itertools.combinations(circle.banks, 2), start=1):
            self._connect(number, one, other)
        self._tell(circle)

    def cut(self, pairs: Iterable[tuple[Bank, Bank]], by: object) -> None:
        """Nothing comes any more from the first of each pair to the second."""
        for pair in pairs:
            self._cut_by.setdefault(pair, set()).add(by)
            self._address(pair, NOBODY)

    def join(self, pairs: Iterable[tuple[Bank, Bank]], by: object) -> None:
        """What two have cut is whole when both have joined it."""
        for near, far in pairs:
            cutters = self._cut_by[near, far]
            cutters.discard(by)
            if not cutters:
                self._address((near, far), self._plugs[far, near].hardware)

    def close(self) -> None:
        for keeper in self._keepers.values():
            keeper.kill()
            keeper.wait()

    def _move(self, number: int, bank: Bank) -> None:
        """Into a namespace of its own, with a cable to ours, where its customers are."""
        keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo made; exec sleep infinity"],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._keepers[bank] = keeper
        assert keeper.stdout is not None
        with keeper.stdout:
            assert keeper.stdout.readline() == b"made\n", "network namespaces are not allowed here"
        bank.command = ["nsenter", f"--target={keeper.pid}", "--net", *bank.command]
        outside, inside = f"to-{bank.slug}", "home"
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", str(keeper.pid))
        _ip("address", "add", f"10.77.{number}.1/30", "dev", outside)
        _ip("link", "set", outside, "up")
        self._ip(bank, "link", "set", "lo", "up")
        self._ip(bank, "address", "add", f"10.77.{number}.2/30", "dev", inside)
        self._ip(bank, "link", "set", inside, "up")
        bank.public_url = f"http://10.77.{number}.2:{urlsplit(bank.public_url).port}"

    def _connect(self, number: int, one: Bank, other: Bank) -> None:
        """A cable between two banks. What is sent goes by hardware addresses that we write down."""
        names = f"to-{other.slug}", f"to-{one.slug}"
        pids = [str(self._keepers[bank].pid) for bank in (one, other)]
        _ip(
            "link",
            "add",
            names[0],
            "netns",
            pids[0],
            "type",
            "veth",
            "peer",
            "name",
            names[1],
            "netns",
            pids[1],
        )
        for place, (near, far) in enumerate(((one, other), (other, one))):
            plug = Plug(names[place], f"10.78.{number}.{place + 1}", f"02:78:00:00:{number:02x}:1{place}")
            self._plugs[near, far] = plug
            self._ip(near, "link", "set", plug.device, "address", plug.hardware)
            self._ip(near, "address", "add", f"{plug.address}/30", "dev", plug.device)
            self._ip(near, "link", "set", plug.device, "up")
        for pair in ((one, other), (other, one)):
            self._address(pair, self._plugs[pair[::-1]].hardware)

    def _address(self, pair: tuple[Bank, Bank], hardware: str) -> None:
        """Where packets of the first to the second go."""
        near, far = pair
        plug = self._plugs[far, near]
        device = self._plugs[near, far].device
        self._ip(
            near, "neighbour", "replace", plug.address, "lladdr", hardware, "nud", "permanent", "dev", device
        )

    def _tell(self, circle: Consortium) -> None:
        roster = circle.roster_file.read_text()
        for bank in circle.banks:
            old = f"http://127.0.0.1:{urlsplit(bank.public_url).port}"
            roster = roster.replace(f'"{old}"', f'"{bank.public_url}"')
        circle.roster_file.write_text(roster)
        for near in circle.banks:
            own = roster
            for far in circle.banks:
                if far is not near:
                    port = urlsplit(far.peer_url).port
                    own = own.replace(
                        f'"{far.peer_url}"', f'"http://{self._plugs[far, near].address}:{port}"'
                    )
            near.set_roster(own, peer_listen=f"0.0.0.0:{urlsplit(near.peer_url).port}")

    def _ip(self, bank: Bank, *words: str) -> None:
        _run("nsenter", f"--target={self._keepers[bank].pid}", "--net", "ip", *words)


def allowed() -> bool:
    """Whether this machine lets us do it."""
    if any(shutil.which(tool) is None for tool in ("unshare", "nsenter", "ip")):
        return False
    made = entered(["ip", "link", "add", "one", "type", "veth", "peer", "name", "other"])
    return subprocess.run(made, capture_output=True, check=False).returncode == 0


def entered(words: list[str]) -> list[str]:
    """The command that runs `words` in a network namespace where we may do all this."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *rights, "--net", *words]


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
