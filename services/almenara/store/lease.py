"""Who may speak for this member now? The holder of one lock beside the store.

    folder:  the kernel's lock on a file of the state folder         (one machine)
    server:  and, where the store is in PostgreSQL, its server's lock  (server_lease.py: several machines)

Either is free once its holder has died, however it died.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code, Misconfigured, Unavailable
from almenara.store.server_lease import ServerLease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from almenara.store.place import Place

_TEXT_MAX = 512


class Lease(NamedTuple):
    """The lease while it is held. `server` is None where the store is a file."""

    folder: FolderLease
    server: ServerLease | None

    @property
    def term(self) -> int | None:
        """Return what every write of the holder carries, None where the store is a file."""
        return None if self.server is None else self.server.term


class FolderLease(NamedTuple):
    """The lock of one state folder: child processes that inherit it hold it too, until the last has gone."""

    descriptor: int

    def say(self, waits: str = "") -> None:
        """Write which process holds it and, where it only waits, why: whoever is refused reads it."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}{waits}\n".encode(), 0)


def stands_by(path: Path) -> str:
    """Return what the process that holds a folder's lock waits for, "" where none waits. Takes no lock."""
    try:
        holder, _, waits = path.read_text().strip().partition(" ")
        os.kill(int(holder), 0)
    except (OSError, ValueError):  # no file, no holder, or one that has died
        return ""
    return f"process {holder} {waits}" if waits else ""


@contextmanager
def lease(path: Path, place: Place) -> Iterator[Lease]:
    """Hold the member's lease at once; raise Unavailable STORE_LOCKED naming the holder.

    Where there is no store yet, no other machine can hold it. Raises Misconfigured where the lock's file
    cannot be made, and as the store does; Unavailable STORE_AWAY.
    """
    with folder_lease(path) as folder:
        if isinstance(place, Path):
            yield Lease(folder, None)
            return
        with closing(ServerLease(place)) as server:
            server.take()
            yield Lease(folder, server)


@contextmanager
def folder_lease(path: Path) -> Iterator[FolderLease]:
    """Hold the lock of a state folder; raise Unavailable STORE_LOCKED naming the holder.

    Raises Misconfigured where the lock's file cannot be made.
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
            said = os.pread(descriptor, _TEXT_MAX, 0).decode("utf-8", "replace").strip() or "unknown"
            holder, _, waits = said.partition(" ")
            does = f"{waits}; use that one" if waits else "runs this member's node; use its socket"
            raise Unavailable(Code.STORE_LOCKED, f"lease {path}: process {holder} {does} or end it") from exc
        held = FolderLease(descriptor)
        held.say()
        yield held
    finally:
        os.close(descriptor)
