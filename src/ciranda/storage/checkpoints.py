"""Checkpoints: SQLite's log is copied back into the file beside the commits, not within one.

Left alone, SQLite does it in the commit that fills the log, and every payment waits for as long. Here a thread of its own
copies while commits go on; of what they add meanwhile little is left, and that is copied between two transactions, since
only a log that is copied to its end begins anew.

A page that was changed often is copied once, so a longer log is less work: of 10,000 and 40,000 pages, 5 % of a
payment's CPU (docs/PERFORMANCE.md).
"""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CHANGES = 40_000
"""Rows that are changed between two checkpoints. Each adds about a page of 4 kB to the log: 160 MB in all."""
_COPY = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Of one file with one writer. `committed` is called between two of its transactions."""

    def __init__(self, path: str, writer: sqlite3.Connection, changes: int = CHANGES) -> None:
        self._writer = writer
        self._changes = changes
        self._since = writer.total_changes
        self._copying = False
        self._little_left = False
        writer.execute("PRAGMA wal_autocheckpoint=0")
        self._beside = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._beside.execute("PRAGMA synchronous=FULL")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")

    def committed(self) -> None:
        """Raises nothing: what was committed stays so, and a log that cannot be copied now is copied later."""
        if self._little_left:
            self._little_left = False
            _copy(self._writer)
        elif not self._copying and self._writer.total_changes - self._since >= self._changes:
            self._since = self._writer.total_changes
            self._copying = True
            self._thread.submit(self._copy_most)

    def _copy_most(self) -> None:
        # Twice: the second time there is only what was written during the first.
        self._little_left = _copy(self._beside) and _copy(self._beside)
        self._copying = False

    def close(self) -> None:
        self._thread.shutdown()
        self._beside.close()


def _copy(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute(_COPY).fetchone()
    except sqlite3.Error as error:
        log.warning("checkpoint_failed", error=str(error))
        return False
    return True
