"""Read by Python before anything else when this folder is on its path: a time of day that can be set from outside."""

import mmap
import os
import struct
import time


def _shift() -> None:
    # The file stays open, and is read in memory: whoever writes it sets the clock at once.
    with open(os.environ["SHIFTED_BY"], "rb") as file:
        shift = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    true_ns = time.time_ns

    def time_ns() -> int:
        (ahead,) = struct.unpack_from("<q", shift)
        return true_ns() + int(ahead)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


_shift()
