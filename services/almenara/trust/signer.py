"""How does a member sign a statement or a heartbeat of its own? The counterpart of `admit`.

Pure: the same key, head, nonce and batch give the same bytes. Which place in the chain to sign is the
publisher's to decide, and what is signed counts only once its store has it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from almenara.wire.records import (
    PAYLOAD_HEARTBEAT,
    PAYLOAD_STATEMENT,
    Head,
    Signature,
    SignedRecord,
    encode_content,
    encode_head,
    encode_heartbeat,
    encode_record,
    encode_statement,
    pae,
    statement_hash,
)
from almenara.wire.seal import SenderKey, StreamContext, key_commitment, seal, statement_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.trust.keys import CheckpointKey
    from almenara.trust.keyuri import Signer
    from almenara.wire.records import Heartbeat, KeyWrap, Scope


class SignedStatement(NamedTuple):
    """The Kafka value of a statement, and the hash that the next one names as `prev`."""

    record: bytes
    hash: bytes


def make_statement(
    signing_key: Signer,
    *,
    context: StreamContext,
    seq: int,
    prev: bytes,
    issued_at: int,
    directory_version: int,
    scope: Scope,
    elicits_receipt: bool,
    sender_key: SenderKey,
    key_wraps: Sequence[KeyWrap],
    batch: bytes,
    checkpoint_key: CheckpointKey | None = None,
    nonce: bytes | None = None,
) -> SignedStatement:
    """Return a batch sealed under its head and signed, `issued_at` in microseconds.

    With a `checkpoint_key` it is a checkpoint, whose batch must be empty, and signed with both keys.
    `nonce` is for golden vectors; it is random otherwise. Raises Refused OVERSIZE for a batch or a
    record that is too large.
    """
    k_s = statement_key(sender_key.key, context, seq)
    head = encode_head(
        Head(
            federation=context.federation,
            audience=context.audience,
            publisher=context.publisher,
            epoch=context.epoch,
            seq=seq,
            prev=prev,
            issued_at=issued_at,
            directory_version=directory_version,
            scope=scope,
            elicits_receipt=elicits_receipt,
            checkpoint=checkpoint_key is not None,
            sender_key=sender_key.id,
            key_commitment=key_commitment(k_s),
        )
    )
    content = encode_content(key_wraps, seal(k_s, head, batch, nonce=nonce))
    payload = encode_statement(head, sha256(content).digest())
    record = sign_record(signing_key, PAYLOAD_STATEMENT, payload, content, checkpoint_key=checkpoint_key)
    return SignedStatement(record, statement_hash(payload))


def make_heartbeat(signing_key: Signer, heartbeat: Heartbeat) -> bytes:
    """Return the Kafka value of a heartbeat."""
    return sign_record(signing_key, PAYLOAD_HEARTBEAT, encode_heartbeat(heartbeat))


def sign_record(
    signing_key: Signer,
    payload_type: str,
    payload: bytes,
    content: bytes = b"",
    *,
    checkpoint_key: CheckpointKey | None = None,
) -> bytes:
    """Return the Kafka value of a payload signed by these keys; raise Refused OVERSIZE if too large."""
    keys = (signing_key,) if checkpoint_key is None else (signing_key, checkpoint_key)
    signed = pae(payload_type, payload)
    return encode_record(
        SignedRecord(
            payload_type=payload_type,
            payload=payload,
            signatures=tuple(Signature(key_id=key.key_id, signature=key.sign(signed)) for key in keys),
            content=content,
        )
    )
