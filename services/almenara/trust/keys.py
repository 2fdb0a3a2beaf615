"""What are a member's signing and sealing keys, and how do their private halves stand on disk?

A key file is one JSON object, sealed by a passphrase if one is given:

    {"format": "almenara-key-v1", "kind": "signing" | "sealing", "key_id": hex,
     "protection": "none" | "scrypt-131072-8-1+aes-256-gcm", "salt", "nonce", "secret": base64}

`secret` is the raw Ed25519 key (32 bytes), or the ML-KEM-768 seed and the raw X25519 key (64 +
32 bytes), because `cryptography` cannot serialise the hybrid key. The format fixes the cost of
the passphrase, so a file can neither weaken it nor exhaust memory. PKCS#8 would give 2,048
rounds of PBKDF2 only (DESIGN 4).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from almenara.errors import Code, DirectoryRefused, Misconfigured
from almenara.trust.secretfile import read_secret, unreadable, write_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

FORMAT: Literal["almenara-key-v1"] = "almenara-key-v1"

# RFC 7914 and OWASP's advice for scrypt: 128 MiB and about half a second for each guess.
SCRYPT_N = 2**17
SCRYPT_R = 8
SCRYPT_P = 1

ED25519_BYTES = 32
MLKEM_SEED_BYTES = 64
X25519_BYTES = 32

_NONE: Literal["none"] = "none"
_SCRYPT_GCM: Literal["scrypt-131072-8-1+aes-256-gcm"] = "scrypt-131072-8-1+aes-256-gcm"
_FILE_URI = "file:"

_Kind = Literal["signing", "sealing"]


class _Container(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["almenara-key-v1"]
    kind: _Kind
    key_id: str
    protection: Literal["none", "scrypt-131072-8-1+aes-256-gcm"]
    salt: bytes
    nonce: bytes
    secret: bytes


# Made with the module: two threads that first decode a type at once crash msgspec (model/messages.py).
_CONTAINER = msgspec.json.Decoder(_Container)


class SigningKey:
    """A member's Ed25519 signing key: says who it is, and signs."""

    __slots__ = ("_private", "key_id", "public", "spki")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key()
        self.spki = _spki(self.public)
        self.key_id = hashlib.sha256(self.spki).digest()

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of the bytes."""
        return self._private.sign(data)


class SealingKey:
    """A member's hybrid sealing key: ML-KEM-768 and X25519, joined as X-Wing by HPKE."""

    __slots__ = ("key_id", "mlkem_spki", "private", "x25519_spki")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self.private = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.mlkem_spki = _spki(mlkem.public_key())
        self.x25519_spki = _spki(x25519.public_key())
        self.key_id = hashlib.sha256(self.mlkem_spki + self.x25519_spki).digest()

    @property
    def public(self) -> MLKEM768X25519PublicKey:
        """Return the public half, to which others wrap their sender keys."""
        return self.private.public_key()


def signing_key_id(public: Ed25519PublicKey) -> bytes:
    """Return SHA-256 of the key's SubjectPublicKeyInfo in DER."""
    return hashlib.sha256(_spki(public)).digest()


def sealing_key_id(mlkem_public: MLKEM768PublicKey, x25519_public: X25519PublicKey) -> bytes:
    """Return SHA-256 of the two SubjectPublicKeyInfos in DER, ML-KEM-768 first."""
    return hashlib.sha256(_spki(mlkem_public) + _spki(x25519_public)).digest()


def signing_public(spki: bytes) -> Ed25519PublicKey:
    """Return the public key of this SubjectPublicKeyInfo; raise DirectoryRefused if it is not Ed25519."""
    public = _load_spki(spki)
    if not isinstance(public, Ed25519PublicKey):
        raise _not_a_key("signing key", "Ed25519")
    return public


def sealing_public(mlkem_spki: bytes, x25519_spki: bytes) -> MLKEM768X25519PublicKey:
    """Return the hybrid public key of two SubjectPublicKeyInfos.

    Raises DirectoryRefused if they are not ML-KEM-768 and X25519.
    """
    mlkem, x25519 = _load_spki(mlkem_spki), _load_spki(x25519_spki)
    if not isinstance(mlkem, MLKEM768PublicKey) or not isinstance(x25519, X25519PublicKey):
        raise _not_a_key("sealing key", "ML-KEM-768 and X25519")
    return MLKEM768X25519PublicKey(mlkem, x25519)


def create_signing_key(path: Path, *, passphrase: bytes | None) -> SigningKey:
    """Create a signing key and its file, mode 0600, in clear if no passphrase is given.

    Raises Misconfigured CONFIGURATION if the file exists or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    key = SigningKey(private)
    write_secret(path, _pack("signing", key.key_id, private.private_bytes_raw(), passphrase))
    return key


def load_signing_key(uri: str, *, passphrase: bytes | None) -> SigningKey:
    """Return the signing key that a URI names, `file:<path>`.

    Raises Misconfigured CONFIGURATION for another scheme, KEY_UNREADABLE if the file does not give
    the key.
    """
    if not uri.startswith(_FILE_URI):
        raise Misconfigured(
            Code.CONFIGURATION, f"signing key {uri.partition(':')[0]!r}: unknown scheme; want file:<path>"
        )
    path = Path(uri.removeprefix(_FILE_URI))
    key_id, secret = _unpack(path, "signing", ED25519_BYTES, passphrase)
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(secret))
    _require_same(path, key_id, key.key_id)
    return key


def create_sealing_key(path: Path, *, passphrase: bytes | None) -> SealingKey:
    """Create a sealing key and its file, mode 0600, in clear if no passphrase is given.

    Raises Misconfigured CONFIGURATION if the file exists or cannot be written.
    """
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    key = SealingKey(mlkem, x25519)
    secret = mlkem.private_bytes_raw() + x25519.private_bytes_raw()
    write_secret(path, _pack("sealing", key.key_id, secret, passphrase))
    return key


def load_sealing_key(path: Path, *, passphrase: bytes | None) -> SealingKey:
    """Return the sealing key of a file; raise Misconfigured KEY_UNREADABLE if it does not give one."""
    key_id, secret = _unpack(path, "sealing", MLKEM_SEED_BYTES + X25519_BYTES, passphrase)
    key = SealingKey(
        MLKEM768PrivateKey.from_seed_bytes(secret[:MLKEM_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(secret[MLKEM_SEED_BYTES:]),
    )
    _require_same(path, key_id, key.key_id)
    return key


def _spki(public: PublicKeyTypes) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _load_spki(spki: bytes) -> PublicKeyTypes:
    try:
        return load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise _not_a_key("public key", "a SubjectPublicKeyInfo in DER") from exc


def _not_a_key(subject: str, want: str) -> DirectoryRefused:
    return DirectoryRefused(
        Code.DIRECTORY_INVALID, f"{subject}: not {want}; the member must enrol with a key of that kind"
    )


def _pack(kind: _Kind, key_id: bytes, secret: bytes, passphrase: bytes | None) -> bytes:
    salt = nonce = b""
    if passphrase is not None:
        salt, nonce = os.urandom(16), os.urandom(12)
        secret = AESGCM(_stretch(passphrase, salt)).encrypt(nonce, secret, _bound(kind, key_id.hex()))
    container = _Container(
        format=FORMAT,
        kind=kind,
        key_id=key_id.hex(),
        protection=_NONE if passphrase is None else _SCRYPT_GCM,
        salt=salt,
        nonce=nonce,
        secret=secret,
    )
    return msgspec.json.format(msgspec.json.encode(container)) + b"\n"


def _unpack(path: Path, kind: _Kind, length: int, passphrase: bytes | None) -> tuple[str, bytes]:
    try:
        container = _CONTAINER.decode(read_secret(path))
    except msgspec.DecodeError as exc:
        raise unreadable(path, "not a key file of almenara", "name the file that `keys` made") from exc
    if container.kind != kind:
        raise unreadable(path, f"holds a {container.kind} key, not a {kind} key", "name the other file")
    secret = container.secret
    if container.protection == _SCRYPT_GCM:
        secret = _open(path, container, passphrase)
    if len(secret) != length:
        raise unreadable(path, "its key has the wrong length", "restore the file from its copy")
    return container.key_id, secret


def _open(path: Path, container: _Container, passphrase: bytes | None) -> bytes:
    if passphrase is None:
        raise unreadable(path, "protected by a passphrase and none was given", "give the passphrase")
    try:
        return AESGCM(_stretch(passphrase, container.salt)).decrypt(
            container.nonce, container.secret, _bound(container.kind, container.key_id)
        )
    except (InvalidTag, ValueError) as exc:
        raise unreadable(path, "wrong passphrase or damaged file", "give the right passphrase") from exc


def _stretch(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P).derive(passphrase)


def _bound(kind: str, key_id: str) -> bytes:
    # Associated data: the clear parts of the file cannot be exchanged for another file's.
    return f"{FORMAT}/{kind}/{key_id}".encode()


def _require_same(path: Path, stated: str, derived: bytes) -> None:
    if stated != derived.hex():
        raise unreadable(path, "its key is not the one its key_id names", "restore the file from its copy")
