"""A stream, a sender key and SPEC's framing written again, for the tests of sealing."""

from __future__ import annotations

from almenara.model.ids import AudienceId, MemberId
from almenara.wire.records import Head, Scope
from almenara.wire.seal import StreamContext, key_commitment, new_sender_key

CONTEXT = StreamContext(
    federation="ams", audience=AudienceId("region"), publisher=MemberId("PE"), epoch=1_790_000_000_000
)
K = new_sender_key()


def framed(*parts: bytes) -> bytes:
    """Return the parts, each after its length in four bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def head_for(k_s: bytes) -> Head:
    """Return a head that commits to the statement key."""
    return Head(
        federation=CONTEXT.federation,
        audience=CONTEXT.audience,
        publisher=CONTEXT.publisher,
        epoch=CONTEXT.epoch,
        seq=4,
        prev=bytes(32),
        issued_at=1,
        directory_version=1,
        scope=Scope.AUDIENCE,
        elicits_receipt=True,
        sender_key=K.id,
        key_commitment=key_commitment(k_s),
    )
