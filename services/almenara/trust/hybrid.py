"""How does one key sign for a role of the directory, so that no single broken algorithm forges it?

A role key is two: Ed25519 and ML-DSA-65. Both sign the same bytes, and a signature counts only if
both verify (ADR 0009). python-tuf meets it as a key type of its own; no other type is accepted
(`require_hybrid`), so nothing that somebody else signs with can be confused with it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, Signature

from almenara.errors import Code, DirectoryRefused
from almenara.wire.records import pae

if TYPE_CHECKING:
    from tuf.api.metadata import Root

KEY_TYPE = "almenara-hybrid"
SCHEME = "ed25519+ml-dsa-65"

ROLE_TYPE = "application/vnd.almenara.role.v1+json"
"""Payload type under which role metadata is signed: no signature of a member's key is one of a role's."""

ED25519_SIGNATURE = 64
MLDSA65_SIGNATURE = 3309
"""Bytes of the two signatures (RFC 8032, FIPS 204), which stand one behind the other."""

HOLDER_MAX = 100
"""Characters of a key holder's name."""

_HOLDER = "holder"


class HybridKey(Key):
    """The public half of a role key, with the name of the person or place that holds it."""

    def __init__(self, ed25519: Ed25519PublicKey, mldsa65: MLDSA65PublicKey, *, holder: str = "") -> None:
        keyval = {"ed25519": ed25519.public_bytes_raw().hex(), "mldsa65": mldsa65.public_bytes_raw().hex()}
        super().__init__(
            role_key_id(ed25519, mldsa65).hex(), KEY_TYPE, SCHEME, keyval, {_HOLDER: holder} if holder else {}
        )
        self._ed25519 = ed25519
        self._mldsa65 = mldsa65

    @property
    def holder(self) -> str:
        """Return who holds the key, as the root says; empty if it does not."""
        return str(self.unrecognized_fields.get(_HOLDER, ""))

    @property
    def shown(self) -> str:
        """Return the key's id, with its holder if it has one."""
        return f"{self.holder} ({self.keyid})" if self.holder else self.keyid

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> HybridKey:
        """Return the key of a root's entry; raise ValueError, KeyError or TypeError for any other form.

        The id must be the one that follows from the two keys: else one key under two names would
        count twice toward a threshold.
        """
        _type, _scheme, keyval = cls._from_dict(key_dict)
        holder = key_dict.pop(_HOLDER, "")
        if not (
            isinstance(holder, str) and len(holder) <= HOLDER_MAX and (holder == "" or holder.isprintable())
        ):
            raise ValueError("the holder of a role key is not a short printable text")
        key = cls(
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(keyval["ed25519"])),
            MLDSA65PublicKey.from_public_bytes(bytes.fromhex(keyval["mldsa65"])),
            holder=holder,
        )
        if key.keyid != keyid or key.keyval != keyval or key_dict:
            raise ValueError("a role key is not in its only form")
        return key

    def to_dict(self) -> dict[str, Any]:
        """Return the entry that stands in the root."""
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Return if both halves of the signature verify; raise UnverifiedSignatureError if not."""
        try:
            both = bytes.fromhex(signature.signature)
            message = pae(ROLE_TYPE, data)
            self._ed25519.verify(both[:ED25519_SIGNATURE], message)
            self._mldsa65.verify(both[ED25519_SIGNATURE:], message)
        except (ValueError, TypeError, InvalidSignature) as exc:
            raise UnverifiedSignatureError(f"not a signature of role key {self.keyid}") from exc


KEY_FOR_TYPE_AND_SCHEME[KEY_TYPE, SCHEME] = HybridKey


class RoleKey:
    """The private half of a role key."""

    __slots__ = ("_ed25519", "_mldsa65", "key_id", "public")

    def __init__(self, ed25519: Ed25519PrivateKey, mldsa65: MLDSA65PrivateKey, *, holder: str = "") -> None:
        self._ed25519 = ed25519
        self._mldsa65 = mldsa65
        self.public = HybridKey(ed25519.public_key(), mldsa65.public_key(), holder=holder)
        self.key_id = self.public.keyid

    def sign(self, data: bytes) -> Signature:
        """Return both signatures of a role's canonical bytes, as one."""
        message = pae(ROLE_TYPE, data)
        both = self._ed25519.sign(message) + self._mldsa65.sign(message)
        return Signature(self.key_id, both.hex())


def role_key_id(ed25519: Ed25519PublicKey, mldsa65: MLDSA65PublicKey) -> bytes:
    """Return SHA-256 of the two SubjectPublicKeyInfos in DER, Ed25519 first."""
    return hashlib.sha256(
        ed25519.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        + mldsa65.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


def require_hybrid(root: Root) -> None:
    """Return if every key that the root names is a hybrid one; raise DirectoryRefused if not."""
    for key in root.keys.values():
        if not isinstance(key, HybridKey):
            raise DirectoryRefused(
                Code.DIRECTORY_INVALID,
                f"directory root {root.version}: key {key.keyid} is {key.keytype}/{key.scheme}, not "
                f"{KEY_TYPE}/{SCHEME}; ask the coordinator who wrote it",
            )
