"""May a Kafka record be believed, whose is it, and what does it say? The order of DESIGN 4.

    admit              size, envelope, payload type, key, signature, payload, hash of the content,
                       stream, directory; `admit_link` does without the content
      (the chain is judged by the subscriber, on what `admit` returns)
    read_statement     the content: slots, and the sealed batch
    unwrap_sender_key  the one slot that is mine, if the statement announces a key
    open_statement     commitment, decryption, schema, batch, recipients
      (the rules of each message are `model.rules`; what cannot be read stands as its refusal)

No byte of the payload is decoded before its signature is proven, none of the content before the
chain has taken the statement. A `RecordRefused` proves nothing
about its author and must not touch a chain. A `StatementRefused` is by its author but not to be
believed; only `RefusedInChain` has a place in this chain, and advances it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, NamedTuple, NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature

from almenara.clock import from_micros
from almenara.errors import Code, Held, RecordRefused, StatementRefused
from almenara.hidden import Hiding
from almenara.model.ids import MemberId, Stream
from almenara.wire.avro import sha256_hex
from almenara.wire.messages import decode_batch
from almenara.wire.records import (
    PAYLOAD_HEARTBEAT,
    PAYLOAD_STATEMENT,
    Head,
    Heartbeat,
    KeyWrap,
    Scope,
    Statement,
    pae,
    parse_content,
    parse_heartbeat,
    parse_record,
    parse_statement,
    statement_hash,
)
from almenara.wire.seal import SenderKey, StreamContext, open_sealed, statement_key, unwrap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from almenara.errors import MessageRefused
    from almenara.model.messages import Message
    from almenara.trust.directory import Directory, Member
    from almenara.trust.enrolment import SigningKeyEntry
    from almenara.trust.keys import SealingKey
    from almenara.wire.records import SignedRecord

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far apart the clocks of a member and a reader may stand at the start of a key (DESIGN 5)."""


class VerifiedLink(msgspec.Struct, frozen=True, kw_only=True):
    """A statement whose author is proven: a member's, on its own stream; its chain is not judged.

    Which content it has is proven, too, by its hash; whether that is at hand is not said. A key that
    has `ended` proves no time: whoever has it now can write any date, so that only the chain can show
    whether its member stands by the statement (SPEC, chain).
    """

    stream: Stream
    head: Head
    statement_hash: bytes
    statement: Statement
    record: bytes
    key_id: bytes
    ended: bool


class VerifiedStatement(VerifiedLink, frozen=True, kw_only=True):
    """A link with the content that its author gave it, not decoded yet."""

    content: bytes


class ReadStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement with its content in parts; nothing is opened yet."""

    verified: VerifiedStatement
    key_wraps: tuple[KeyWrap, ...]
    sealed: bytes


class VerifiedHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A heartbeat whose author is proven; its directory may be newer than the reader's.

    One signed with a key that has `ended` says nothing: it stands in no chain that could prove it.
    """

    stream: Stream
    heartbeat: Heartbeat
    record: bytes
    ended: bool


class OpenedMessage(NamedTuple):
    """A message and its own bytes; one that could not be read stands as its refusal."""

    message: Message | MessageRefused
    item: bytes


class OpenedStatement(Hiding, frozen=True, kw_only=True):
    """What a statement says to this reader; `k_s` opens it and no other, as evidence."""

    hidden: ClassVar = frozenset({"k_s", "messages"})

    verified: VerifiedStatement
    recipients: tuple[MemberId, ...]
    messages: tuple[OpenedMessage, ...]
    k_s: bytes


class RefusedInChain(StatementRefused):
    """A statement at its place in its author's own chain, which it advances though it is refused."""

    def __init__(self, code: Code, text: str, verified: VerifiedStatement) -> None:
        super().__init__(code, text)
        self.verified = verified


def admit(
    value: bytes, *, stream: Stream, directory: Directory, now: datetime
) -> VerifiedStatement | VerifiedHeartbeat:
    """Return what a record of this stream's topic says, with its author proven.

    Raises RecordRefused: OVERSIZE, UNKNOWN_SCHEMA, MALFORMED, NOT_CANONICAL, PAYLOAD_TYPE, UNSIGNED,
    UNKNOWN_KEY, KEY_NOT_VALID, BAD_SIGNATURE, and CONTENT_HASH for a content that its author did not
    give it: whoever holds the topic can exchange it. Raises StatementRefused for what its author signed all
    the same: the codes of its payload's shape, STREAM_OWNER, WRONG_STREAM, UNKNOWN_AUDIENCE; and as
    RefusedInChain NOT_IN_AUDIENCE, and AUDIENCE_CLOSED once the audience is over. Raises Held
    DIRECTORY_BEHIND for a statement that was sealed by a newer directory: refresh, and judge it again.
    """
    record = parse_record(value)
    member, key = _proven_signer(record, stream=stream, directory=directory, now=now)
    if record.payload_type == PAYLOAD_HEARTBEAT:
        return _heartbeat(record, value, member, key, stream=stream, directory=directory)
    statement = _statement(record, member, key)
    if sha256(record.content).digest() != statement.content_hash:
        raise RecordRefused(
            Code.CONTENT_HASH,
            f"record on {stream}: its content is not the one that {member.id} signed; it was exchanged or "
            "left out, ask the coordinator",
        )
    link = _link(statement, record, value, member, key, stream=stream, directory=directory)
    verified = VerifiedStatement(**msgspec.structs.asdict(link), content=record.content)
    audience = directory.audience(stream.audience)
    if member.id not in audience.members:
        raise RefusedInChain(Code.NOT_IN_AUDIENCE, _not_in_audience(stream, directory), verified)
    if audience.is_over(from_micros(link.head.issued_at) - CLOCK_TOLERANCE):
        raise RefusedInChain(
            Code.AUDIENCE_CLOSED,
            f"statement {stream} {link.head.seq}: the audience and its retention had ended when it was "
            "issued; ask its publisher",
            verified,
        )
    return verified


def admit_link(value: bytes, *, stream: Stream, directory: Directory, now: datetime) -> VerifiedLink:
    """Return what a statement's record proves whose content was left out, or is not looked at.

    Whether its author may write there now is not asked, as in `proven`. Raises what `admit` raises,
    CONTENT_HASH and RefusedInChain apart, and StatementRefused PAYLOAD_TYPE for a heartbeat.
    """
    record = parse_record(value)
    member, key = _proven_signer(record, stream=stream, directory=directory, now=now)
    if record.payload_type == PAYLOAD_HEARTBEAT:
        raise StatementRefused(
            Code.PAYLOAD_TYPE, f"record on {stream}: a heartbeat, which is no link; name a statement"
        )
    statement = _statement(record, member, key)
    return _link(statement, record, value, member, key, stream=stream, directory=directory)


def _heartbeat(
    record: SignedRecord,
    value: bytes,
    member: Member,
    key: SigningKeyEntry,
    *,
    stream: Stream,
    directory: Directory,
) -> VerifiedHeartbeat:
    heartbeat = _decode_heartbeat(record.payload)
    _require_begun(key, member, heartbeat.issued_at)
    if record.content:
        raise RecordRefused(
            Code.MALFORMED, f"record on {stream}: a heartbeat with a content, which it cannot have; drop it"
        )
    _require_own_stream(heartbeat, member, stream=stream, directory=directory)
    if member.id not in directory.audience(stream.audience).members:
        raise StatementRefused(Code.NOT_IN_AUDIENCE, _not_in_audience(stream, directory))
    return VerifiedHeartbeat(
        stream=stream, heartbeat=heartbeat, record=value, ended=key.valid_until is not None
    )


def _statement(record: SignedRecord, member: Member, key: SigningKeyEntry) -> Statement:
    statement = _decode_statement(record.payload)
    _require_begun(key, member, statement.head.issued_at)
    return statement


def _link(
    statement: Statement,
    record: SignedRecord,
    value: bytes,
    member: Member,
    key: SigningKeyEntry,
    *,
    stream: Stream,
    directory: Directory,
) -> VerifiedLink:
    head = statement.head
    _require_own_stream(head, member, stream=stream, directory=directory)
    if head.directory_version > directory.version:
        raise Held(
            Code.DIRECTORY_BEHIND,
            f"statement {stream} {head.seq}: sealed by directory {head.directory_version}, mine is "
            f"{directory.version}; refresh it",
        )
    return VerifiedLink(
        stream=stream,
        head=head,
        statement_hash=statement_hash(record.payload),
        statement=statement,
        record=value,
        key_id=key.key_id,
        ended=key.valid_until is not None,
    )


def proven(
    value: bytes, *, stream: Stream, directory: Directory, now: datetime
) -> VerifiedStatement | VerifiedHeartbeat:
    """Return as `admit`, whether or not its author may write there now.

    For what was admitted when it came, and for what this member said itself: a departure ends a
    stream, it takes nothing back.
    """
    try:
        return admit(value, stream=stream, directory=directory, now=now)
    except RefusedInChain as refusal:
        return refusal.verified


def read_statement(verified: VerifiedStatement) -> ReadStatement:
    """Return the statement with its content in parts.

    Raises StatementRefused for a content that is none though its author signed its hash:
    UNKNOWN_SCHEMA, MALFORMED, NOT_CANONICAL.
    """
    try:
        content = parse_content(verified.content)
    except RecordRefused as refusal:
        raise StatementRefused(refusal.code, refusal.text) from refusal
    return ReadStatement(verified=verified, key_wraps=content.key_wraps, sealed=content.sealed)


def unwrap_sender_key(read: ReadStatement, sealing_keys: Sequence[SealingKey]) -> SenderKey:
    """Return the sender key that the statement announces to the owner of these keys, newest first.

    One slot is tried, however many there are. Raises StatementRefused: KEY_MISSING if no slot is mine
    or mine does not open, NOT_FOR_ME if mine opens to another key and the statement is for a list.
    """
    verified, head = read.verified, read.verified.head
    slots = {slot.key_id: slot.wrap for slot in read.key_wraps}
    mine = next((key for key in sealing_keys if key.key_id in slots), None)
    if mine is None:
        raise StatementRefused(
            Code.KEY_MISSING,
            f"statement {verified.stream} {head.seq}: announces a sender key without a slot for this "
            "member; its publisher must announce it again",
        )
    try:
        key = unwrap(
            slots[mine.key_id],
            mine.private,
            context=StreamContext.of(head),
            sender_key=head.sender_key,
            key_id=mine.key_id,
        )
    except StatementRefused as refusal:
        if refusal.code is Code.NOT_FOR_ME and head.scope is Scope.AUDIENCE:
            # Nobody in the audience may be left out: what is random in a list is a fault here.
            raise StatementRefused(Code.KEY_MISSING, refusal.text) from refusal
        raise
    return SenderKey(key=key, id=head.sender_key)


def open_statement(
    read: ReadStatement, *, reader: MemberId, sender_key: SenderKey, directory: Directory
) -> OpenedStatement:
    """Return what the statement says to this reader.

    Raises StatementRefused: KEY_MISSING for a sender key that its head does not name, KEY_COMMITMENT,
    PADDING and UNSEALABLE for what does not open, SCHEMA_NOT_ALLOWED, the codes of the batch's shape,
    NOT_A_RECIPIENT if the batch does not name the reader of a list, or names anyone to an audience.
    """
    verified, head, stream = read.verified, read.verified.head, read.verified.stream
    if sender_key.id != head.sender_key:
        raise StatementRefused(
            Code.KEY_MISSING,
            f"statement {stream} {head.seq}: sealed with another sender key; find the one it names",
        )
    k_s = statement_key(sender_key.key, StreamContext.of(head), head.seq)
    data = open_sealed(k_s, head, verified.statement.head_bytes, read.sealed)
    if _batch_schema() not in directory.schemas:
        raise StatementRefused(
            Code.SCHEMA_NOT_ALLOWED,
            f"statement {stream} {head.seq}: directory {directory.version} does not allow its schema of a "
            "batch; the coordinator must allow it",
        )
    batch = decode_batch(data)
    if not _is_addressed(batch.recipients, head.scope, reader=reader, publisher=stream.publisher):
        raise StatementRefused(
            Code.NOT_A_RECIPIENT,
            f"statement {stream} {head.seq}: of scope {head.scope}, its batch does not name its readers so; "
            "its publisher must publish it again",
        )
    return OpenedStatement(
        verified=verified,
        recipients=batch.recipients,
        messages=tuple(map(OpenedMessage, batch.messages, batch.items)),
        k_s=k_s,
    )


@cache
def _batch_schema() -> str:
    return sha256_hex("Batch")


def _is_addressed(
    recipients: tuple[MemberId, ...], scope: Scope, *, reader: MemberId, publisher: MemberId
) -> bool:
    if scope is Scope.AUDIENCE:
        return not recipients
    # The publisher reads its own list back. An empty list names nobody, never everyone.
    return bool(recipients) and reader in {*recipients, publisher}


def _proven_signer(
    record: SignedRecord, *, stream: Stream, directory: Directory, now: datetime
) -> tuple[Member, SigningKeyEntry]:
    if record.payload_type not in (PAYLOAD_STATEMENT, PAYLOAD_HEARTBEAT):
        raise RecordRefused(
            Code.PAYLOAD_TYPE,
            f"record on {stream}: its payload type is unknown; upgrade, or ask its publisher",
        )
    if not record.signatures:
        raise RecordRefused(Code.UNSIGNED, f"record on {stream}: no signature; ask its publisher")
    if len(record.signatures) > 1:
        raise RecordRefused(
            Code.MALFORMED,
            f"record on {stream}: {len(record.signatures)} signatures, want one; ask its publisher",
        )
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


def _require_begun(key: SigningKeyEntry, member: Member, issued_at: int) -> None:
    # Its end is not asked for here: no date that a statement bears could prove that it came before.
    if from_micros(issued_at) < key.valid_from - CLOCK_TOLERANCE:
        _refuse_key(key, member)


def _refuse_key(key: SigningKeyEntry, member: Member) -> NoReturn:
    raise RecordRefused(
        Code.KEY_NOT_VALID,
        f"signing key {key.key_id.hex()}: does not speak for {member.id} at that time; ask {member.id}",
    )


def _require_own_stream(
    said: Head | Heartbeat, member: Member, *, stream: Stream, directory: Directory
) -> None:
    if member.id != stream.publisher:
        raise StatementRefused(
            Code.STREAM_OWNER,
            f"record on {stream}: signed by {member.id}; only {stream.publisher} may write there",
        )
    if (said.federation, said.audience, said.publisher) != (directory.federation, *stream):
        raise StatementRefused(
            Code.WRONG_STREAM,
            f"record on {stream}: says it stands on another stream; it was moved there, ask the coordinator",
        )


def _not_in_audience(stream: Stream, directory: Directory) -> str:
    return (
        f"record on {stream}: directory {directory.version} does not have {stream.publisher} active in that "
        "audience; the coordinator must admit it"
    )


def _decode_statement(payload: bytes) -> Statement:
    try:
        return parse_statement(payload)
    except RecordRefused as refusal:
        raise StatementRefused(refusal.code, refusal.text) from refusal


def _decode_heartbeat(payload: bytes) -> Heartbeat:
    try:
        return parse_heartbeat(payload)
    except RecordRefused as refusal:
        raise StatementRefused(refusal.code, refusal.text) from refusal
