"""What are a member's signing, sealing and checkpoint keys?

Their files are those of keyfile.py. The secret of a signing key is the raw Ed25519 key (32 bytes),
that of a sealing key the ML-KEM-768 seed and the raw X25519 key (64 + 32 bytes), because
`cryptography` cannot serialise the hybrid key, that of a checkpoint key the ML-DSA-65 seed (32).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from almenara.errors import Code, DirectoryRefused, Misconfigured
from almenara.trust.keyfile import read_key_file, require_same_key, write_key_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

ED25519_BYTES = 32
MLKEM_SEED_BYTES = 64
X25519_BYTES = 32
MLDSA_SEED_BYTES = 32

_FILE_URI = "file:"


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


class CheckpointKey:
    """A member's ML-DSA-65 key: signs, beside the signing key, what history must outlast Ed25519."""

    __slots__ = ("_private", "key_id", "spki")

    def __init__(self, private: MLDSA65PrivateKey) -> None:
        self._private = private
        self.spki = _spki(private.public_key())
        self.key_id = hashlib.sha256(self.spki).digest()

    def sign(self, data: bytes) -> bytes:
        """Return the 3,309-byte ML-DSA-65 signature of the bytes, another each time."""
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


def signing_public(spki: bytes) -> Ed25519PublicKey:
    """Return the public key of this SubjectPublicKeyInfo; raise DirectoryRefused if it is not Ed25519."""
    public = _load_spki(spki)
    if not isinstance(public, Ed25519PublicKey):
        raise _not_a_key("signing key", "Ed25519")
    return public


def checkpoint_public(spki: bytes) -> MLDSA65PublicKey:
    """Return the public key of this SubjectPublicKeyInfo; raise DirectoryRefused if not ML-DSA-65."""
    public = _load_spki(spki)
    if not isinstance(public, MLDSA65PublicKey):
        raise _not_a_key("checkpoint key", "ML-DSA-65")
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
    write_key_file(path, "signing", key.key_id, private.private_bytes_raw(), passphrase=passphrase)
    return key


def load_signing_key(uri: str, *, passphrase: bytes | None) -> SigningKey:
    """Return the signing key that a URI names, `file:<path>`.

    Raises Misconfigured CONFIGURATION for another scheme, KEY_UNREADABLE if the file does not give
    the key.
    """
    if not uri.startswith(_FILE_URI):
        raise Misconfigured(
            Code.CONFIGURATION,
            f"signing key {uri.partition(':')[0]!r}: unknown scheme; want file:<path> or pkcs11:...",
        )
    path = Path(uri.removeprefix(_FILE_URI))
    key_id, secret = read_key_file(path, "signing", ED25519_BYTES, passphrase=passphrase)
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(secret))
    require_same_key(path, key_id, key.key_id)
    return key


def create_checkpoint_key(path: Path, *, passphrase: bytes | None) -> CheckpointKey:
    """Create a checkpoint key and its file, mode 0600, in clear if no passphrase is given.

    Raises Misconfigured CONFIGURATION if the file exists or cannot be written.
    """
    private = MLDSA65PrivateKey.generate()
    key = CheckpointKey(private)
    write_key_file(path, "checkpoint", key.key_id, private.private_bytes_raw(), passphrase=passphrase)
    return key


def load_checkpoint_key(path: Path, *, passphrase: bytes | None) -> CheckpointKey:
    """Return the checkpoint key of a file; raise Misconfigured KEY_UNREADABLE if it gives none."""
    key_id, secret = read_key_file(path, "checkpoint", MLDSA_SEED_BYTES, passphrase=passphrase)
    key = CheckpointKey(MLDSA65PrivateKey.from_seed_bytes(secret))
    require_same_key(path, key_id, key.key_id)
    return key


def create_sealing_key(path: Path, *, passphrase: bytes | None) -> SealingKey:
    """Create a sealing key and its file, mode 0600, in clear if no passphrase is given.

    Raises Misconfigured CONFIGURATION if the file exists or cannot be written.
    """
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    key = SealingKey(mlkem, x25519)
    secret = mlkem.private_bytes_raw() + x25519.private_bytes_raw()
    write_key_file(path, "sealing", key.key_id, secret, passphrase=passphrase)
    return key


def load_sealing_key(path: Path, *, passphrase: bytes | None) -> SealingKey:
    """Return the sealing key of a file; raise Misconfigured KEY_UNREADABLE if it does not give one."""
    key_id, secret = read_key_file(path, "sealing", MLKEM_SEED_BYTES + X25519_BYTES, passphrase=passphrase)
    key = SealingKey(
        MLKEM768PrivateKey.from_seed_bytes(secret[:MLKEM_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(secret[MLKEM_SEED_BYTES:]),
    )
    require_same_key(path, key_id, key.key_id)
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
