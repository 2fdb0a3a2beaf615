"""How does something as large as a store stand in one file under a passphrase?

    a line of JSON, in clear: {"format", "salt", ...}  then pieces, each: 4 bytes of length | AES-256-GCM

The key comes from passphrase and salt as in a key file. A piece's nonce is its number and whether it is
the last, and its additional data is the line: so none can be exchanged, left out or cut off (the STREAM
construction, as age has it). No more than one piece is ever in memory, and nothing in clear on a disk.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from almenara.trust.keyfile import stretch
from almenara.trust.secretfile import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from almenara.errors import Misconfigured

PIECE_MAX = 64 * 1024 * 1024
"""Bytes of a piece: ours are about one MiB, with a verified directory some; this only stops a mistake."""

LINE_MAX = 256 * 1024
"""Bytes of the line: 34 members in some audiences take some KiB of it."""

_TAG = 16


def sealed(line: Mapping[str, Any], pieces: Iterable[bytes], *, passphrase: bytes) -> Iterator[bytes]:
    """Yield the bytes of a file that holds the line in clear and these pieces sealed; one piece at least."""
    salt = os.urandom(16)
    clear = msgspec.json.encode({**line, "salt": salt}) + b"\n"
    cipher = AESGCM(stretch(passphrase, salt))
    yield clear
    rest = iter(pieces)
    piece = next(rest)
    number = 0
    for following in rest:
        yield _framed(cipher.encrypt(_nonce(number, last=False), piece, clear))
        piece = following
        number += 1
    yield _framed(cipher.encrypt(_nonce(number, last=True), piece, clear))


def read_line(path: Path) -> bytes:
    """Return what such a file says in clear, not proven yet; raise Misconfigured KEY_UNREADABLE if torn."""
    try:
        with path.open("rb") as file:
            line = file.readline(LINE_MAX)
    except OSError as exc:
        raise unreadable(path, f"cannot be read ({exc.strerror})", "correct its owner or the path") from exc
    if not line.endswith(b"\n"):
        raise _torn(path)
    return line


def opened(path: Path, *, passphrase: bytes) -> Iterator[bytes]:
    """Yield the pieces of such a file in order.

    Raises Misconfigured KEY_UNREADABLE if one does not open: what came before is then worth nothing.
    """
    clear = read_line(path)
    try:
        cipher = AESGCM(stretch(passphrase, msgspec.json.decode(clear, type=_Salt).salt))
    except (msgspec.DecodeError, ValueError) as exc:
        raise _torn(path) from exc
    with path.open("rb") as file:
        file.seek(len(clear))
        piece = _next(path, file)
        number = 0
        while piece is not None:
            following = _next(path, file)
            try:
                yield cipher.decrypt(_nonce(number, last=following is None), piece, clear)
            except InvalidTag as exc:
                fault = "wrong passphrase, or damaged" if number == 0 else "damaged, or cut off"
                raise unreadable(
                    path, fault, "give the passphrase of this backup, or another copy of it"
                ) from exc
            piece = following
            number += 1


class _Salt(msgspec.Struct):
    salt: bytes


def _next(path: Path, file: BinaryIO) -> bytes | None:
    length = file.read(4)
    if not length:
        return None
    size = int.from_bytes(length)
    if len(length) < 4 or not _TAG <= size <= PIECE_MAX + _TAG:
        raise _torn(path)
    piece = file.read(size)
    if len(piece) < size:
        raise _torn(path)
    return piece


def _framed(piece: bytes) -> bytes:
    return len(piece).to_bytes(4) + piece


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])


def _torn(path: Path) -> Misconfigured:
    return unreadable(path, "not a whole backup of a store", "name the file that store backup wrote")
