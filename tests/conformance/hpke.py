"""The receiving side of HPKE, written again from RFC 9180 and the X-Wing draft, to check the library by."""

from __future__ import annotations

import hmac
from hashlib import sha3_256, sha256, shake_256
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

DHKEM_X25519 = 0x0020
XWING = 0x647A
HKDF_SHA256 = 0x0001
AEADS: dict[int, type[AESGCM | ChaCha20Poly1305]] = {0x0002: AESGCM, 0x0003: ChaCha20Poly1305}

XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")
"""A sign of two lines that looks like an X-wing."""

_MLKEM_CIPHERTEXT = 1088


class Sealed(NamedTuple):
    """One sealed message and all that it is bound to."""

    kem_id: int
    aead_id: int
    enc: bytes
    ciphertext: bytes
    info: bytes
    aad: bytes = b""


def shared_secret(kem_id: int, secret: bytes, enc: bytes) -> bytes:
    """Decapsulate with a private key as the vectors give it: an X-Wing seed, or an X25519 key."""
    return _xwing(secret, enc) if kem_id == XWING else _dhkem(secret, enc)


def open_sealed(sealed: Sealed, secret: bytes) -> bytes:
    """Return the plaintext: base mode, HKDF-SHA256, the first message of the context."""
    suite = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (sealed.kem_id, HKDF_SHA256, sealed.aead_id))
    context = (
        b"\0"
        + _labeled_extract(suite, b"", b"psk_id_hash", b"")
        + _labeled_extract(suite, b"", b"info_hash", sealed.info)
    )
    shared = shared_secret(sealed.kem_id, secret, sealed.enc)
    scheduled = _labeled_extract(suite, shared, b"secret", b"")
    key = _labeled_expand(suite, scheduled, b"key", context, 32)
    nonce = _labeled_expand(suite, scheduled, b"base_nonce", context, 12)
    return AEADS[sealed.aead_id](key).decrypt(nonce, sealed.ciphertext, sealed.aad)


def _xwing(seed: bytes, enc: bytes) -> bytes:
    expanded = shake_256(seed).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
    ephemeral = enc[_MLKEM_CIPHERTEXT:]
    return sha3_256(
        mlkem.decapsulate(enc[:_MLKEM_CIPHERTEXT])
        + x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        + ephemeral
        + x25519.public_key().public_bytes_raw()
        + XWING_LABEL
    ).digest()


def _dhkem(secret: bytes, enc: bytes) -> bytes:
    private = X25519PrivateKey.from_private_bytes(secret)
    suite = b"KEM" + DHKEM_X25519.to_bytes(2, "big")
    extracted = _labeled_extract(
        suite, b"", b"eae_prk", private.exchange(X25519PublicKey.from_public_bytes(enc))
    )
    context = enc + private.public_key().public_bytes_raw()
    return _labeled_expand(suite, extracted, b"shared_secret", context, 32)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, sha256)


def _labeled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(secret, labeled + b"\1", sha256)[:length]
