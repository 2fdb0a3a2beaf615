"""How do a member's keys stand in one file that may lie in a safe, or in a drawer?

    {"format": "almenara-backup-v1", "federation", "member", "root_fingerprint", "made_at",
     "salt", "nonce", "sealed": base64}

`sealed` is AES-256-GCM over a JSON object of file names and their bytes, under a passphrase of its own,
stretched as in a key file; what stands in clear is bound to it. The keys in it are without the
node's passphrase: a person who has lost that one must not need it.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from almenara.trust.keyfile import stretch
from almenara.trust.secretfile import unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from almenara.errors import Misconfigured

FORMAT: Literal["almenara-backup-v1"] = "almenara-backup-v1"

BACKUP_MAX = 64 * 1024 * 1024
"""Bytes of a backup: keys are some KiB, the admission below 2 MiB; this only stops a mistake."""


class BackupHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says in clear, and proves once it is open."""

    federation: str
    member: str
    root_fingerprint: str
    made_at: datetime


class _Backup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["almenara-backup-v1"]
    federation: str
    member: str
    root_fingerprint: str
    made_at: Annotated[datetime, msgspec.Meta(tz=True)]
    salt: bytes
    nonce: bytes
    sealed: bytes

    @property
    def header(self) -> BackupHeader:
        return BackupHeader(
            federation=self.federation,
            member=self.member,
            root_fingerprint=self.root_fingerprint,
            made_at=self.made_at,
        )


# Made with the module: two threads that first decode a type at once crash msgspec (model/messages.py).
_BACKUP = msgspec.json.Decoder(_Backup)
_FILES = msgspec.json.Decoder(dict[str, bytes])


def seal_backup(header: BackupHeader, files: Mapping[str, bytes], *, passphrase: bytes) -> bytes:
    """Return the bytes of a backup of these files."""
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = AESGCM(stretch(passphrase, salt)).encrypt(nonce, msgspec.json.encode(files), _bound(header))
    backup = _Backup(format=FORMAT, **msgspec.structs.asdict(header), salt=salt, nonce=nonce, sealed=sealed)
    return msgspec.json.encode(backup) + b"\n"


def read_backup(path: Path) -> tuple[BackupHeader, bytes]:
    """Return what a backup says in clear, not proven yet, and its bytes.

    Raises Misconfigured KEY_UNREADABLE if it is missing, torn or something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(BACKUP_MAX)
            whole = not file.read(1)
        backup = _BACKUP.decode(data)
    except OSError as exc:
        raise unreadable(path, f"cannot be read ({exc.strerror})", "correct its owner or the path") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _torn(path) from exc
    if not whole:
        raise _torn(path)
    return backup.header, data


def open_backup(path: Path, data: bytes, *, passphrase: bytes) -> dict[str, bytes]:
    """Return the files of a backup; raise Misconfigured KEY_UNREADABLE if it does not open."""
    backup = _BACKUP.decode(data)
    try:
        opened = AESGCM(stretch(passphrase, backup.salt)).decrypt(
            backup.nonce, backup.sealed, _bound(backup.header)
        )
    except (InvalidTag, ValueError) as exc:
        fault = "wrong passphrase, or damaged"
        raise unreadable(path, fault, "give the passphrase of this backup, or another copy of it") from exc
    return _FILES.decode(opened)


def _torn(path: Path) -> Misconfigured:
    fault = "not a whole backup of almenara's keys"
    return unreadable(path, fault, "name the file that key backup wrote, or another copy of it")


def _bound(header: BackupHeader) -> bytes:
    return FORMAT.encode() + msgspec.json.encode(header)
