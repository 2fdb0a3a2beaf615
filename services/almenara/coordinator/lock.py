"""Who changes the federation now? One command or daemon at a time, whichever process it is.

The kernel frees the lock when its holder dies. It covers the signing of a version and its way to
the cluster, so that nobody puts an older directory over a newer one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from almenara.errors import Code, Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

LOCK_TIMEOUT_S = 60.0
"""Wait for another command: creating the topics of 192 members takes the embedded broker half of it."""

_POLL_S = 0.05


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock, waiting for up to a minute; raise Unavailable TIMED_OUT naming the holder."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    handle = _open(path)
    try:
        while not _take(handle):
            _give_up_after(deadline, handle, path)
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


@asynccontextmanager
async def locked_async(path: Path) -> AsyncIterator[None]:
    """Hold the lock as `locked` does, while other tasks go on."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    handle = _open(path)
    try:
        while not _take(handle):
            _give_up_after(deadline, handle, path)
            await asyncio.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: cannot be opened ({exc.strerror}); name the federation's folder, as its owner",
        ) from exc


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return True


def _give_up_after(deadline: float, handle: int, path: Path) -> None:
    if time.monotonic() > deadline:
        holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise Unavailable(
            Code.TIMED_OUT,
            f"{path}: process {holder} has been changing the federation for {LOCK_TIMEOUT_S:.0f} s; "
            "wait for it or end it, then try again",
            retry_after_s=5.0,
        )
