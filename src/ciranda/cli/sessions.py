"""Sessions: at which banks one is logged in. One file for each bank, in the person's own config folder.

A session belongs to one address: a bank that answers to the same ISPB somewhere else never sees its token.
"""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ciranda.identity import Document, Ispb
from ciranda.instant import parse_rfc3339


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    ispb: Ispb
    bank: str
    """The bank's name."""
    url: str
    document: Document
    token: str
    expires_at: str

    def __repr__(self) -> str:
        return f"KeptSession({self.ispb})"

    @property
    def over(self) -> bool:
        return parse_rfc3339(self.expires_at) <= datetime.now(UTC).timestamp() * 1000


def folder() -> Path:
    """`$CIRANDA_CONFIG_HOME`, or `ciranda` in `$XDG_CONFIG_HOME`, or in `~/.config`."""
    if own := os.environ.get("CIRANDA_CONFIG_HOME"):
        return Path(own) / "sessions"
    xdg = os.environ.get("XDG_CONFIG_HOME")
    return (Path(xdg) if xdg else Path.home() / ".config") / "ciranda" / "sessions"


def keep(session: KeptSession) -> None:
    """Writes the session down, in place of an earlier one at the same bank."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    # A temporary file is made with mode 0600, and only a whole one takes the place of the last.
    handle, draft = tempfile.mkstemp(dir=folder(), prefix=".", suffix=".draft")
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(session))
    os.replace(draft, folder() / f"{session.ispb}.json")


def forget(ispb: Ispb) -> None:
    (folder() / f"{ispb}.json").unlink(missing_ok=True)


def kept() -> list[KeptSession]:
    """All sessions that are not over, by ISPB. What is not readable as one is as good as none: one logs in again."""
    found = []
    for path in sorted(folder().glob("*.json")):
        try:
            session = msgspec.json.decode(path.read_bytes(), type=KeptSession)
            over = session.over
        except (OSError, msgspec.MsgspecError, ValueError):
            continue
        if not over:
            found.append(session)
    return found
