"""How does a private key stand on disk?

A key file is one JSON object, sealed by a passphrase if one is given:

    {"format": "almenara-key-v1", "kind": "signing" | "sealing" | "checkpoint" | "role", "key_id": hex,
     "protection": "none" | "scrypt-131072-8-1+aes-256-gcm", "salt", "nonce", "secret": base64}

What `secret` holds is its kind's business. The format fixes the cost of the passphrase, so a file
can neither weaken it nor exhaust memory. PKCS#8 would give 2,048 rounds of PBKDF2 only (DESIGN 4).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from almenara.hidden import Hiding
from almenara.trust.secretfile import read_secret, unreadable, write_secret

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Literal["almenara-key-v1"] = "almenara-key-v1"

# RFC 7914 and OWASP's advice for scrypt: 128 MiB and about half a second for each guess.
SCRYPT_N = 2**17
SCRYPT_R = 8
SCRYPT_P = 1

KeyKind: TypeAlias = Literal["signing", "sealing", "checkpoint", "role"]

_NONE: Literal["none"] = "none"
_SCRYPT_GCM: Literal["scrypt-131072-8-1+aes-256-gcm"] = "scrypt-131072-8-1+aes-256-gcm"


class _Container(Hiding, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hidden: ClassVar = frozenset({"secret"})

    format: Literal["almenara-key-v1"]
    kind: KeyKind
    key_id: str
    protection: Literal["none", "scrypt-131072-8-1+aes-256-gcm"]
    salt: bytes
    nonce: bytes
    secret: bytes


class KeyFile(NamedTuple):
    """What stands in clear in a key file."""

    kind: KeyKind
    key_id: str
    protected: bool


# Made with the module: two threads that first decode a type at once crash msgspec (model/messages.py).
_CONTAINER = msgspec.json.Decoder(_Container)


def write_key_file(
    path: Path, kind: KeyKind, key_id: bytes, secret: bytes, *, passphrase: bytes | None
) -> None:
    """Write a new key file, mode 0600, in clear if no passphrase is given.

    Raises Misconfigured CONFIGURATION if the file exists or cannot be written.
    """
    write_secret(path, _packed(kind, key_id.hex(), secret, passphrase))


def inspect_key_file(path: Path) -> KeyFile:
    """Return what a key file says in clear; raise Misconfigured KEY_UNREADABLE if it is none."""
    container = _read(path)
    return KeyFile(container.kind, container.key_id, protected=container.protection != _NONE)


def rewrapped(path: Path, data: bytes, *, passphrase: bytes | None, new: bytes | None) -> bytes:
    """Return the bytes of a key file under another passphrase, or in clear; no file is touched.

    Raises Misconfigured KEY_UNREADABLE, naming the path, if they are no key's, or the passphrase does
    not open them.
    """
    container = _parse(path, data)
    secret = container.secret
    if container.protection == _SCRYPT_GCM:
        secret = _open(path, container, passphrase)
    return _packed(container.kind, container.key_id, secret, new)


def read_key_file(path: Path, kind: KeyKind, length: int, *, passphrase: bytes | None) -> tuple[str, bytes]:
    """Return the stated key id and the secret of a key file.

    Raises Misconfigured KEY_UNREADABLE if it is none of that kind and length, or is protected by
    another passphrase.
    """
    container = _read(path)
    if container.kind != kind:
        raise unreadable(path, f"holds a {container.kind} key, not a {kind} key", "name the other file")
    secret = container.secret
    if container.protection == _SCRYPT_GCM:
        secret = _open(path, container, passphrase)
    if len(secret) != length:
        raise unreadable(path, "its key has the wrong length", "restore the file from its copy")
    return container.key_id, secret


def require_same_key(path: Path, stated: str, derived: bytes) -> None:
    """Return if the file's key is the one that its key id names; raise Misconfigured KEY_UNREADABLE."""
    if stated != derived.hex():
        raise unreadable(path, "its key is not the one its key_id names", "restore the file from its copy")


def _packed(kind: KeyKind, key_id: str, secret: bytes, passphrase: bytes | None) -> bytes:
    salt = nonce = b""
    if passphrase is not None:
        salt, nonce = os.urandom(16), os.urandom(12)
        secret = AESGCM(stretch(passphrase, salt)).encrypt(nonce, secret, _bound(kind, key_id))
    container = _Container(
        format=FORMAT,
        kind=kind,
        key_id=key_id,
        protection=_NONE if passphrase is None else _SCRYPT_GCM,
        salt=salt,
        nonce=nonce,
        secret=secret,
    )
    return msgspec.json.format(msgspec.json.encode(container)) + b"\n"


def _read(path: Path) -> _Container:
    return _parse(path, read_secret(path))


def _parse(path: Path, data: bytes) -> _Container:
    try:
        return _CONTAINER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise unreadable(path, "not a key file of almenara", "name the file that `keys` made") from exc


def _open(path: Path, container: _Container, passphrase: bytes | None) -> bytes:
    if passphrase is None:
        raise unreadable(path, "protected by a passphrase and none was given", "give the passphrase")
    try:
        return AESGCM(stretch(passphrase, container.salt)).decrypt(
            container.nonce, container.secret, _bound(container.kind, container.key_id)
        )
    except (InvalidTag, ValueError) as exc:
        raise unreadable(path, "wrong passphrase or damaged file", "give the right passphrase") from exc


def stretch(passphrase: bytes, salt: bytes) -> bytes:
    """Return the key of 32 bytes that a passphrase gives, at a cost that makes guessing slow."""
    return Scrypt(salt=salt, length=32, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P).derive(passphrase)


def _bound(kind: str, key_id: str) -> bytes:
    # Associated data: the clear parts of the file cannot be exchanged for another file's.
    return f"{FORMAT}/{kind}/{key_id}".encode()
