"""How does a process of a node use its memory? Two habits of Python and of the C library are turned off."""

from __future__ import annotations

import ctypes
import gc
import platform

COLLECT_AFTER = (50_000, 20, 100)
"""Objects before Python looks for cycles: a message is hundreds of objects and no cycle, and at the
default of 700 the search takes an eighth of a reader's time, a fifteenth of a publisher's."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Numbers of options in glibc's malloc.h."""

MMAP_THRESHOLD = 8 * 1024 * 1024
"""Above a fetch of 4 MiB. A statement's buffers of 512 KiB would else be asked of the kernel and given back
each time, page by page: sealing and opening one takes 2.2 ms then, 0.8 ms with them kept."""

TRIM_THRESHOLD = 16 * 1024 * 1024
ARENAS = 2
"""So much freed memory is kept, for each of so many groups of threads: a bound on the above."""


def settle_memory() -> None:
    """Leave what stands now out of the search for cycles, search rarely, and keep freed buffers at hand.

    For a program's own process, once its modules are loaded: both hold for all that runs in it. Where
    the C library is another than glibc its own ways stay.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        mallopt(_M_ARENA_MAX, ARENAS)
