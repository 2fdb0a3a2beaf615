"""Who can open a statement, and with which key?

    sender key K, random, for one stream and one set of recipients, a day at most
      |-- id = SHA-256(label, K)             in the head as `sender_key`
      |-- HPKE to each member's sealing key  one slot each, in `key_wraps`
      '-- HKDF(label, stream, epoch, seq) = statement key k_s
             |-- SHA-256(label, k_s)         in the head as `key_commitment`
             '-- AES-256-GCM of the padded batch; the head's bytes are authenticated data

The commitment makes one ciphertext open to one text only; it also lets a member disclose k_s of one
statement as evidence without opening its neighbours. Bytes and labels: SPEC, sealing.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from almenara.errors import Code, Refused, StatementRefused
from almenara.hidden import Hiding
from almenara.model.ids import AudienceId, MemberId
from almenara.wire.padding import BATCH_MAX, BUCKETS, choose_bucket, pad, unpad
from almenara.wire.records import PAYLOAD_STATEMENT, Head, KeyWrap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

__all__ = [
    "BATCH_MAX",
    "BUCKETS",
    "KEY_BYTES",
    "NONCE_BYTES",
    "WRAP_BYTES",
    "SealingPrivateKey",
    "SealingPublicKey",
    "SenderKey",
    "StreamContext",
    "choose_bucket",
    "key_commitment",
    "new_sender_key",
    "open_sealed",
    "seal",
    "sender_key_id",
    "statement_key",
    "unwrap",
    "wrap_all",
]

SealingPublicKey: TypeAlias = MLKEM768X25519PublicKey
SealingPrivateKey: TypeAlias = MLKEM768X25519PrivateKey

KEY_BYTES: Final = 32
"""Bytes of a sender key and of a statement key (AES-256)."""

WRAP_BYTES: Final = 1_168
"""Bytes of a slot: X-Wing's encapsulated key of 1,120, a key, and the AEAD's tag of 16."""

NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SEALED_SIZES: Final = frozenset(NONCE_BYTES + bucket + _TAG_BYTES for bucket in BUCKETS)

_SENDER_KEY: Final = b"almenara/v1/sender-key"
_KEY_WRAP: Final = b"almenara/v1/key-wrap"
_STATEMENT_KEY: Final = b"almenara/v1/statement-key"
_KEY_COMMITMENT: Final = b"almenara/v1/key-commitment"
_SEALED_BATCH: Final = b"almenara/v1/sealed-batch"

# KEM 0x647a, KDF 0x0001, AEAD 0x0002 (RFC 9180 and its registry), base mode, single shot, no AAD.
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class SenderKey(Hiding, frozen=True, kw_only=True):
    """A sender key and the id that heads name it by."""

    hidden: ClassVar = frozenset({"key"})

    key: bytes
    id: bytes


class StreamContext(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch of one stream: what a sender key is bound to."""

    federation: str
    audience: AudienceId
    publisher: MemberId
    epoch: int

    @classmethod
    def of(cls, head: Head) -> StreamContext:
        """Return the context that the head stands in."""
        return cls(
            federation=head.federation,
            audience=head.audience,
            publisher=head.publisher,
            epoch=head.epoch,
        )

    def parts(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Return the context as every label's input has it."""
        return self.federation.encode(), self.audience.encode(), self.publisher.encode(), _u64(self.epoch)


def new_sender_key() -> SenderKey:
    """Return a fresh random sender key."""
    key = os.urandom(KEY_BYTES)
    return SenderKey(key=key, id=sender_key_id(key))


def sender_key_id(key: bytes) -> bytes:
    """Return the id by which a head names this sender key."""
    return sha256(_framed(_SENDER_KEY, key)).digest()


def wrap_all(
    sender_key: SenderKey,
    *,
    context: StreamContext,
    slots: Mapping[bytes, SealingPublicKey],
    entitled: AbstractSet[bytes],
    own: bytes,
) -> tuple[KeyWrap, ...]:
    """Return an announcement of the sender key: one slot for each of `slots`, sorted by key id.

    `slots` holds the sealing key of every keyed member of the audience, by key id. Those not
    `entitled` get random bytes, so a list looks like the whole audience. The publisher's `own` slot
    is always real: it must be able to read its own stream.

    Raises Refused REQUIRED if an entitled member or the publisher has no slot.
    """
    readers = {*entitled, own}
    if not readers <= slots.keys():
        raise Refused(
            Code.REQUIRED,
            f"sender key: {len(readers - slots.keys())} of its readers have no sealing key in the audience; "
            "seal to the directory's keyed members only",
        )
    return tuple(
        KeyWrap(
            key_id=key_id,
            wrap=_SUITE.encrypt(
                sender_key.key if key_id in readers else os.urandom(KEY_BYTES),
                slots[key_id],
                _wrap_info(context, sender_key.id, key_id),
            ),
        )
        for key_id in sorted(slots)
    )


def unwrap(
    wrap: bytes, private: SealingPrivateKey, *, context: StreamContext, sender_key: bytes, key_id: bytes
) -> bytes:
    """Return the sender key that a member's own slot holds.

    Raises StatementRefused: KEY_MISSING if the slot does not open, NOT_FOR_ME if it opens to anything
    but the key that the head names. For a statement of scope AUDIENCE the second is KEY_MISSING too,
    since nobody in the audience may be left out; the caller knows the scope.
    """
    if len(wrap) != WRAP_BYTES:
        raise StatementRefused(
            Code.KEY_MISSING,
            f"slot: {len(wrap)} bytes, want {WRAP_BYTES}; its publisher must announce the key again",
        )
    try:
        key = _SUITE.decrypt(wrap, private, _wrap_info(context, sender_key, key_id))
    except InvalidTag as exc:
        raise StatementRefused(
            Code.KEY_MISSING,
            "slot: does not open with this member's sealing key; its publisher must announce the key again",
        ) from exc
    if sender_key_id(key) != sender_key:
        raise StatementRefused(
            Code.NOT_FOR_ME,
            "slot: opens to another key than the head names; ask its publisher if this member was meant",
        )
    return key


def statement_key(sender_key: bytes, context: StreamContext, seq: int) -> bytes:
    """Return k_s, the key of the one statement at `seq`, from the sender key itself."""
    info = _framed(_STATEMENT_KEY, *context.parts(), _u64(seq))
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(sender_key)


def key_commitment(statement_key: bytes) -> bytes:
    """Return what the head says of k_s, so that the ciphertext cannot open under another."""
    return sha256(_framed(_KEY_COMMITMENT, statement_key)).digest()


def seal(statement_key: bytes, head_bytes: bytes, batch: bytes, *, nonce: bytes | None = None) -> bytes:
    """Return the sealed batch: nonce, ciphertext, tag.

    `nonce` is for golden vectors; it is random otherwise. Raises Refused OVERSIZE above BATCH_MAX.
    """
    padded = pad(batch)
    nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
    return nonce + AESGCM(statement_key).encrypt(nonce, padded, _associated_data(head_bytes))


def open_sealed(statement_key: bytes, head: Head, head_bytes: bytes, sealed: bytes) -> bytes:
    """Return the batch.

    Raises StatementRefused: KEY_COMMITMENT if the head does not commit to this key, PADDING if the
    size or the filling is not a bucket's, UNSEALABLE if the bytes are not what was sealed.
    """
    if key_commitment(statement_key) != head.key_commitment:
        raise StatementRefused(
            Code.KEY_COMMITMENT,
            "sealed batch: its head commits to another key; its publisher must seal it again",
        )
    if len(sealed) not in _SEALED_SIZES:
        raise StatementRefused(
            Code.PADDING,
            f"sealed batch: {len(sealed)} bytes are not a bucket's; its publisher must pad it",
        )
    # A view: copying half a megabyte costs more than decrypting it.
    nonce, ciphertext = sealed[:NONCE_BYTES], memoryview(sealed)[NONCE_BYTES:]
    try:
        padded = AESGCM(statement_key).decrypt(nonce, ciphertext, _associated_data(head_bytes))
    except InvalidTag as exc:
        raise StatementRefused(
            Code.UNSEALABLE,
            "sealed batch: not what was sealed under this head; its publisher must seal it again",
        ) from exc
    return unpad(padded)


def _wrap_info(context: StreamContext, sender_key: bytes, key_id: bytes) -> bytes:
    return _framed(_KEY_WRAP, *context.parts(), sender_key, key_id)


def _associated_data(head_bytes: bytes) -> bytes:
    return _framed(_SEALED_BATCH, PAYLOAD_STATEMENT.encode(), head_bytes)


def _framed(*parts: bytes) -> bytes:
    """Return the parts, each after its length, so that no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")
