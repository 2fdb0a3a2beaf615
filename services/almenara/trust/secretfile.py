"""How does a secret get onto the disk so that nobody else reads it and no crash tears it?

A secret file is written to a new name beside its place, made durable, and linked to its place,
which fails if something stands there already: it appears whole or not at all, is never
overwritten, and was never readable by others. What a crash leaves is a `.new-...` file.
"""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from almenara.crash import Point, crash_point
from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECRET_MODE = 0o600
"""The owner reads and writes, nobody else does anything (DESIGN 4, keys per member)."""

SECRET_MAX = 64 * 1024
"""Bytes of a secret file: the largest, a sealing key's container, is below 4 KiB."""

_OTHERS = 0o077


def write_secret(path: Path, data: bytes) -> None:
    """Write the bytes to a file of mode 0600 that must not exist yet, whole or not at all.

    Raises Misconfigured CONFIGURATION if something stands there or its folder cannot be written.
    """
    write_secret_pieces(path, (data,))


def write_secret_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Do the same as `write_secret` with what comes piece by piece; whatever ends it leaves no file."""
    draft = path.with_name(f".new-{secrets.token_hex(8)}")
    try:
        try:
            _write_durably(draft, pieces)
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: exists already and secrets are never overwritten; name another file or move it away",
        ) from exc
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: cannot be written ({exc.strerror}); name a folder that exists and that you own",
        ) from exc


def replace_file(path: Path, data: bytes, *, mode: int = SECRET_MODE) -> None:
    """Write the bytes to a file, old or new, whole or not at all; for what may be renewed.

    Raises OSError if the folder cannot be written, or its disk is full; then nothing has changed.
    """
    draft = path.with_name(f".new-{secrets.token_hex(8)}")
    try:
        _write_durably(draft, (data,))
        draft.chmod(mode)
        crash_point(Point.FILE_DRAFTED)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_file(path: Path, target: Path) -> None:
    """Give a file the place of another, old or new, for good; raise OSError if it cannot be done."""
    path.replace(target)
    sync_folder(target.parent)


def read_secret(path: Path) -> bytes:
    """Return the bytes of a secret file that nobody but its owner may touch.

    Raises Misconfigured KEY_UNREADABLE if it is missing, unreadable, not a plain file, too large,
    or open to others.
    """
    try:
        # Mode and content of one open file: a check by name could judge another file than is read.
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(SECRET_MAX + 1)
    except FileNotFoundError as exc:
        raise unreadable(path, "no such file", "create the key or correct the path") from exc
    except OSError as exc:
        raise unreadable(path, f"cannot be read ({exc.strerror})", "correct its owner or the path") from exc
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise unreadable(path, f"open to others (mode {mode:04o})", f"run: chmod 600 {path}")
    if len(data) > SECRET_MAX:
        raise unreadable(path, f"more than {SECRET_MAX} bytes", "name the key file")
    return data


def unreadable(path: Path, fault: str, remedy: str) -> Misconfigured:
    """Return the error for a key file that cannot serve, and what to do about it."""
    return Misconfigured(Code.KEY_UNREADABLE, f"{path}: {fault}; {remedy}")


def _write_durably(path: Path, pieces: Iterable[bytes]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
    with os.fdopen(handle, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have names that were made or changed in a folder stand after a power cut; raise OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
