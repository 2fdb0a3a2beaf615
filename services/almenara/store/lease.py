"""Who may speak for this member now? The holder of one lock beside the store."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from almenara.errors import Code, Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def lease(path: Path) -> Iterator[int]:
    """Hold the node's lease; raise Unavailable STORE_LOCKED naming the holder.

    The kernel frees it when the holder dies, however it dies. Lends the descriptor: child processes
    that inherit it hold the lease too, until the last has gone. Raises Misconfigured where the lock's
    file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"lease {path}: cannot be made ({exc.strerror}); give this user the right to write its folder",
        ) from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise Unavailable(
                Code.STORE_LOCKED,
                f"lease {path}: process {holder} runs this member's node; use its socket or end it",
            ) from exc
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)
