"""May a Kafka record be believed, whose is it, and what does it say? The order of DESIGN 4.

    admit              size, envelope, payload type, key, signature, payload, hash of the content,
                       stream, directory; `admit_link` does without the content
      (the chain is judged by the subscriber, on what `admit` returns)
    read_statement     the content: slots, and the sealed batch
    unwrap_sender_key  the one slot that is mine, if the statement announces a key
    open_statement     commitment, decryption, schema, batch, recipients
      (the rules of each message are `model.rules`; what cannot be read stands as its refusal)

No byte of the payload is decoded before its signature is proven, none of the content before the
chain has taken the statement. A `RecordRefused` proves nothing about its author and must not touch a
chain. A `StatementRefused` is by its author but not to be believed; only `RefusedInChain` has a place
in this chain, and advances it. Signatures are proven in signatures.py.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec

from almenara.clock import from_micros
from almenara.errors import Code, Held, RecordRefused, StatementRefused
from almenara.hidden import Hiding
from almenara.model.ids import MemberId, Stream
from almenara.trust.signatures import (
    CLOCK_TOLERANCE,
    proven_signer,
    require_begun,
    require_one,
    signed_post_quantum,
)
from almenara.wire.avro import sha256_hex
from almenara.wire.messages import decode_batch
from almenara.wire.records import (
    PAYLOAD_HEARTBEAT,
    Head,
    Heartbeat,
    KeyWrap,
    Scope,
    Statement,
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


class VerifiedLink(msgspec.Struct, frozen=True, kw_only=True):
    """A statement whose author is proven: a member's, on its own stream; its chain is not judged.

    Which content it has is proven, too, by its hash; whether that is at hand is not said. A key that
    has `ended` proves no time: whoever has it now can write any date, so that only the chain can show
    whether its member stands by the statement (SPEC, chain). `post_quantum` is a checkpoint that its
    member's ML-DSA key has signed too: so is all that leads up to it in its chain.
    """

    stream: Stream
    head: Head
    statement_hash: bytes
    statement: Statement
    record: bytes
    key_id: bytes
    ended: bool
    post_quantum: bool


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
    said = _said(value, stream=stream, directory=directory, now=now)
    if said.record.payload_type == PAYLOAD_HEARTBEAT:
        return _heartbeat(said)
    statement, post_quantum = _statement(said)
    if sha256(said.record.content).digest() != statement.content_hash:
        raise RecordRefused(
            Code.CONTENT_HASH,
            f"record on {stream}: its content is not the one that {said.member.id} signed; it was exchanged "
            "or left out, ask the coordinator",
        )
    link = _link(said, statement, post_quantum)
    verified = VerifiedStatement(**msgspec.structs.asdict(link), content=said.record.content)
    audience = directory.audience(stream.audience)
    if said.member.id not in audience.members:
        raise RefusedInChain(Code.NOT_IN_AUDIENCE, _not_in_audience(said), verified)
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
    said = _said(value, stream=stream, directory=directory, now=now)
    if said.record.payload_type == PAYLOAD_HEARTBEAT:
        raise StatementRefused(
            Code.PAYLOAD_TYPE, f"record on {stream}: a heartbeat, which is no link; name a statement"
        )
    return _link(said, *_statement(said))


class _Said(NamedTuple):
    """A record whose signer is proven, and where it was found."""

    value: bytes
    record: SignedRecord
    member: Member
    key: SigningKeyEntry
    stream: Stream
    directory: Directory


def _said(value: bytes, *, stream: Stream, directory: Directory, now: datetime) -> _Said:
    record = parse_record(value)
    member, key = proven_signer(record, stream=stream, directory=directory, now=now)
    return _Said(value, record, member, key, stream, directory)


def _heartbeat(said: _Said) -> VerifiedHeartbeat:
    heartbeat = _decode_heartbeat(said.record.payload)
    require_begun(said.key, said.member, heartbeat.issued_at)
    require_one(said.record, stream=said.stream)
    if said.record.content:
        raise RecordRefused(
            Code.MALFORMED,
            f"record on {said.stream}: a heartbeat with a content, which it cannot have; drop it",
        )
    _require_own_stream(heartbeat, said)
    if said.member.id not in said.directory.audience(said.stream.audience).members:
        raise StatementRefused(Code.NOT_IN_AUDIENCE, _not_in_audience(said))
    return VerifiedHeartbeat(
        stream=said.stream,
        heartbeat=heartbeat,
        record=said.value,
        ended=said.key.valid_until is not None,
    )


def _statement(said: _Said) -> tuple[Statement, bool]:
    """Return what was signed, and whether it is signed post-quantum too."""
    statement = _decode_statement(said.record.payload)
    require_begun(said.key, said.member, statement.head.issued_at)
    return statement, signed_post_quantum(said.record, statement.head, said.member, stream=said.stream)


def _link(said: _Said, statement: Statement, post_quantum: bool) -> VerifiedLink:  # noqa: FBT001 - of _statement
    head, directory = statement.head, said.directory
    _require_own_stream(head, said)
    if head.directory_version > directory.version:
        raise Held(
            Code.DIRECTORY_BEHIND,
            f"statement {said.stream} {head.seq}: sealed by directory {head.directory_version}, mine is "
            f"{directory.version}; refresh it",
        )
    return VerifiedLink(
        stream=said.stream,
        head=head,
        statement_hash=statement_hash(said.record.payload),
        statement=statement,
        record=said.value,
        key_id=said.key.key_id,
        ended=said.key.valid_until is not None,
        post_quantum=post_quantum,
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
    if bool(batch.messages) == head.checkpoint:
        raise StatementRefused(
            Code.MALFORMED,
            f"statement {stream} {head.seq}: {len(batch.messages)} messages; a checkpoint has none, every "
            "other statement at least one; its publisher must publish it again",
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


def _require_own_stream(what: Head | Heartbeat, said: _Said) -> None:
    member, stream = said.member.id, said.stream
    if member != stream.publisher:
        raise StatementRefused(
            Code.STREAM_OWNER,
            f"record on {stream}: signed by {member}; only {stream.publisher} may write there",
        )
    if (what.federation, what.audience, what.publisher) != (said.directory.federation, *stream):
        raise StatementRefused(
            Code.WRONG_STREAM,
            f"record on {stream}: says it stands on another stream; it was moved there, ask the coordinator",
        )


def _not_in_audience(said: _Said) -> str:
    return (
        f"record on {said.stream}: directory {said.directory.version} does not have {said.stream.publisher} "
        "active in that audience; the coordinator must admit it"
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
