"""Who signed a record, with which of its keys, and does that key speak for it?

The first signature is Ed25519, by a signing key of the publisher; every record has it. A checkpoint
has a second one, ML-DSA-65, by a checkpoint key: whoever can forge Ed25519 one day still cannot
forge the history that it closes. Whatever is refused here is a RecordRefused: it proves nothing
about its author, for anybody who holds a topic can strip, add or exchange a signature.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from cryptography.exceptions import InvalidSignature

from almenara.clock import from_micros
from almenara.errors import Code, RecordRefused
from almenara.wire.records import PAYLOAD_HEARTBEAT, PAYLOAD_STATEMENT, pae

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.model.ids import Stream
    from almenara.trust.directory import Directory, Member
    from almenara.trust.enrolment import SigningKeyEntry
    from almenara.wire.records import Head, SignedRecord

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far apart the clocks of a member and a reader may stand at the start of a key (DESIGN 5)."""

_CHECKPOINT_SIGNATURES = 2


def proven_signer(
    record: SignedRecord, *, stream: Stream, directory: Directory, now: datetime
) -> tuple[Member, SigningKeyEntry]:
    """Return whose record it is, by its first signature.

    Raises RecordRefused: PAYLOAD_TYPE, UNSIGNED, MALFORMED for more signatures than a checkpoint has,
    UNKNOWN_KEY, KEY_NOT_VALID for a key whose time has not begun, BAD_SIGNATURE.
    """
    if record.payload_type not in (PAYLOAD_STATEMENT, PAYLOAD_HEARTBEAT):
        raise RecordRefused(
            Code.PAYLOAD_TYPE,
            f"record on {stream}: its payload type is unknown; upgrade, or ask its publisher",
        )
    if not record.signatures:
        raise RecordRefused(Code.UNSIGNED, f"record on {stream}: no signature; ask its publisher")
    if len(record.signatures) > _CHECKPOINT_SIGNATURES:
        _refuse_count(record, stream)
    signature = record.signatures[0]
    member, key = directory.signer(signature.key_id)
    if key.valid_from > now + CLOCK_TOLERANCE:
        _refuse_key(key, member)
    try:
        key.public.verify(signature.signature, pae(record.payload_type, record.payload))
    except InvalidSignature as exc:
        raise RecordRefused(
            Code.BAD_SIGNATURE,
            f"record on {stream}: not signed by the key of {member.id} that it names; ask {member.id}",
        ) from exc
    return member, key


def require_begun(key: SigningKeyEntry, member: Member, issued_at: int) -> None:
    """Return if the key's time had begun then; raise RecordRefused KEY_NOT_VALID if not.

    Its end is not asked for here: no date that a statement bears could prove that it came before.
    """
    if from_micros(issued_at) < key.valid_from - CLOCK_TOLERANCE:
        _refuse_key(key, member)


def require_one(record: SignedRecord, *, stream: Stream) -> None:
    """Return if there is no second signature, which only a checkpoint has; raise RecordRefused MALFORMED."""
    if len(record.signatures) > 1:
        _refuse_count(record, stream)


def signed_post_quantum(record: SignedRecord, head: Head, member: Member, *, stream: Stream) -> bool:
    """Return whether the statement is a checkpoint that the member's ML-DSA key has signed too.

    A checkpoint of a member for which no checkpoint key is listed is a statement as any other, and
    what may stand beside its first signature is not looked at: a directory that is about to arrive
    may list the key. Raises RecordRefused: MALFORMED for a second signature on anything else,
    UNSIGNED for a checkpoint without one, UNKNOWN_KEY, BAD_SIGNATURE.
    """
    if not head.checkpoint:
        require_one(record, stream=stream)
        return False
    keys = {entry.key_id: entry.public for entry in member.checkpoint_keys}
    if not keys:
        return False
    if len(record.signatures) < _CHECKPOINT_SIGNATURES:
        raise RecordRefused(
            Code.UNSIGNED,
            f"checkpoint on {stream}: without the ML-DSA signature of {member.id}, which was left out; "
            "ask the coordinator",
        )
    signature = record.signatures[1]
    public = keys.get(signature.key_id)
    if public is None:
        raise RecordRefused(
            Code.UNKNOWN_KEY,
            f"checkpoint key {signature.key_id.hex()}: not one of {member.id}; refresh, or ask {member.id}",
        )
    try:
        public.verify(signature.signature, pae(record.payload_type, record.payload))
    except InvalidSignature as exc:
        raise RecordRefused(
            Code.BAD_SIGNATURE,
            f"checkpoint on {stream}: not signed by the checkpoint key of {member.id}; ask {member.id}",
        ) from exc
    return True


def _refuse_count(record: SignedRecord, stream: Stream) -> NoReturn:
    raise RecordRefused(
        Code.MALFORMED,
        f"record on {stream}: {len(record.signatures)} signatures, want one, and two of a checkpoint; ask "
        "its publisher",
    )


def _refuse_key(key: SigningKeyEntry, member: Member) -> NoReturn:
    raise RecordRefused(
        Code.KEY_NOT_VALID,
        f"signing key {key.key_id.hex()}: does not speak for {member.id} at that time; ask {member.id}",
    )
