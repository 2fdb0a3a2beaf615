"""What is a record: which bytes are signed, and what do a statement and a heartbeat say in clear?

    SignedRecord --payload--> Statement: head and hash of the content, or Heartbeat; this is signed
                 '-content--> Content: slots and the sealed batch; empty beside a heartbeat

The signature covers PAE(payload_type, payload). A record whose content was left out is a link: it
still proves who said it, where in which chain, and with which content. Every encoding here has one
form only, so parsing encodes again and compares. Nothing in this module checks a signature or the
content's hash: what it returns is unproven.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from almenara.errors import Code, RecordRefused, Refused
from almenara.model.ids import AudienceId, MemberId
from almenara.wire.avro import (
    PREFIX_BYTES,
    decode,
    decode_long,
    encode,
    encode_bare,
    encode_long,
    prefix,
    require_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

PAYLOAD_STATEMENT: Final = "application/vnd.almenara.statement.v1+avro"
PAYLOAD_HEARTBEAT: Final = "application/vnd.almenara.heartbeat.v1+avro"

RECORD_MAX: Final = 1_000_000
"""Bytes of a Kafka value: below the broker's default limit of 1,048,588 for a batch of one."""

PAYLOAD_MAX: Final = 1_024
"""Bytes of what is signed: three names of at most 32 bytes, four hashes and six numbers, some 200."""

SIGNATURES_MAX: Final = 4
"""Ed25519, ML-DSA-65 at a checkpoint, and as many again at a change of keys: bounds what a forged
record can make a reader verify."""

SLOTS_MAX: Final = 1_000
"""Slots of an announcement: as many as a list may have recipients; 860 fill a record."""

GENESIS_PREV: Final = bytes(32)
"""What `prev` says when the publisher stands by no earlier statement."""

# The first microsecond of the year 10000, which Python's datetime cannot hold.
_TIME_END = 253_402_300_800_000_000


class Scope(StrEnum):
    """Say to whom the sender key of a statement was announced."""

    AUDIENCE = "AUDIENCE"
    LIST = "LIST"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The clear part of a statement: who says it, where in which chain, and how it is sealed."""

    federation: str
    audience: AudienceId
    publisher: MemberId
    epoch: int
    """The epoch's start in ms since 1970."""
    seq: int
    prev: bytes
    issued_at: int
    """Microseconds since 1970."""
    directory_version: int
    scope: Scope
    elicits_receipt: bool
    checkpoint: bool = False
    sender_key: bytes
    key_commitment: bytes


class KeyWrap(msgspec.Struct, frozen=True, kw_only=True):
    """One member's slot in an announcement of a sender key."""

    key_id: bytes
    wrap: bytes


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed statement; `head_bytes` are the head's bytes as they stand in the payload."""

    head: Head
    head_bytes: bytes
    content_hash: bytes


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement brings its readers; its hash is signed, its bytes travel beside."""

    key_wraps: tuple[KeyWrap, ...]
    sealed: bytes


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain's head stands and when to expect the next word; `head_seq` -1: nothing said yet."""

    federation: str
    audience: AudienceId
    publisher: MemberId
    directory_version: int
    epoch: int
    head_seq: int
    head_hash: bytes
    issued_at: int
    next_by: int


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature and the id of its key; the algorithm is the directory's to say."""

    key_id: bytes
    signature: bytes


class SignedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope: nothing in it is proven before a signature is checked over `pae`."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]
    content: bytes = b""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the signed bytes: DSSE's pre-authentication encoding, version 1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def statement_hash(payload: bytes) -> bytes:
    """Return what the next statement's `prev`, heartbeats and receipts name this statement by."""
    return sha256(pae(PAYLOAD_STATEMENT, payload)).digest()


def encode_head(head: Head) -> bytes:
    """Return the head's bytes as they stand in a payload."""
    return encode_bare("Head", msgspec.structs.asdict(head))


def encode_statement(head_bytes: bytes, content_hash: bytes) -> bytes:
    """Return a statement's payload around a head already encoded, since the seal covers its bytes."""
    return prefix("Statement") + head_bytes + content_hash


def parse_statement(payload: bytes) -> Statement:
    """Return the statement that fills the payload.

    Raises RecordRefused: OVERSIZE, UNKNOWN_SCHEMA or MALFORMED for what is no Statement or has a
    number out of range, NOT_CANONICAL for another form of the same.
    """
    value = decode("Statement", payload, cap=PAYLOAD_MAX)
    head = Head(**{**value["head"], "scope": Scope(value["head"]["scope"])})
    statement = Statement(
        head=head,
        head_bytes=encode_bare("Head", value["head"]),
        content_hash=value["content_hash"],
    )
    if encode_statement(statement.head_bytes, statement.content_hash) != payload:
        raise _not_canonical("statement")
    _check_range("statement", "seq", head.seq, low=0)
    _check_range("statement", "epoch", head.epoch, low=0, end=_TIME_END // 1000)
    _check_range("statement", "directory_version", head.directory_version, low=0)
    _check_range("statement", "issued_at", head.issued_at, low=0, end=_TIME_END)
    return statement


def encode_content(key_wraps: Sequence[KeyWrap], sealed: bytes) -> bytes:
    """Return the content of a statement, whose SHA-256 the statement names."""
    slots = [{"key_id": slot.key_id, "wrap": slot.wrap} for slot in key_wraps]
    return _up_to_last("Content", {"key_wraps": slots, "sealed": b""}, len(sealed)) + sealed


def parse_content(content: bytes) -> Content:
    """Return what the content says; raise RecordRefused as parse_statement, or if slots are not sorted."""
    require_prefix("Content", content, cap=RECORD_MAX)
    _require_few(content, PREFIX_BYTES, most=SLOTS_MAX, subject="content", items="slots")
    value = decode("Content", content, cap=RECORD_MAX)
    sealed = value["sealed"]
    if not content.startswith(_up_to_last("Content", {**value, "sealed": b""}, len(sealed))):
        raise _not_canonical("content")
    ids = [slot["key_id"] for slot in value["key_wraps"]]
    if any(left >= right for left, right in pairwise(ids)):
        raise RecordRefused(
            Code.NOT_CANONICAL,
            "content: its slots are not in order of key id, one each; its publisher must sort them",
        )
    return Content(key_wraps=tuple(KeyWrap(**slot) for slot in value["key_wraps"]), sealed=sealed)


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """Return the payload of a heartbeat."""
    return encode("Heartbeat", msgspec.structs.asdict(heartbeat))


def parse_heartbeat(payload: bytes) -> Heartbeat:
    """Return the heartbeat that fills the payload; raise RecordRefused as parse_statement does."""
    value = decode("Heartbeat", payload, cap=PAYLOAD_MAX)
    heartbeat = Heartbeat(**value)
    if encode("Heartbeat", value) != payload:
        raise _not_canonical("heartbeat")
    _check_range("heartbeat", "head_seq", heartbeat.head_seq, low=-1)
    _check_range("heartbeat", "epoch", heartbeat.epoch, low=0, end=_TIME_END // 1000)
    _check_range("heartbeat", "directory_version", heartbeat.directory_version, low=0)
    _check_range("heartbeat", "issued_at", heartbeat.issued_at, low=0, end=_TIME_END)
    _check_range("heartbeat", "next_by", heartbeat.next_by, low=0, end=_TIME_END)
    return heartbeat


def encode_record(record: SignedRecord) -> bytes:
    """Return the Kafka value; raise Refused OVERSIZE if no broker and no reader would take it."""
    fields = {
        "payload_type": record.payload_type,
        "payload": record.payload,
        "signatures": [{"key_id": each.key_id, "signature": each.signature} for each in record.signatures],
        "content": b"",
    }
    value = _up_to_last("SignedRecord", fields, len(record.content)) + record.content
    if len(value) > RECORD_MAX:
        raise Refused(
            Code.OVERSIZE, f"record: {len(value)} bytes, the cap is {RECORD_MAX}; put fewer messages in it"
        )
    return value


def parse_record(value: bytes) -> SignedRecord:
    """Return the envelope that fills a Kafka value.

    Raises RecordRefused: OVERSIZE, UNKNOWN_SCHEMA, MALFORMED for what is no SignedRecord or has too
    many signatures, NOT_CANONICAL for another form of the same.
    """
    require_prefix("SignedRecord", value, cap=RECORD_MAX)
    at = PREFIX_BYTES
    for _ in ("payload_type", "payload"):
        length, at = decode_long(value, at)
        at += max(length, 0)
    _require_few(value, at, most=SIGNATURES_MAX, subject="record", items="signatures")
    fields = decode("SignedRecord", value, cap=RECORD_MAX)
    content = fields["content"]
    if not value.startswith(_up_to_last("SignedRecord", {**fields, "content": b""}, len(content))):
        raise _not_canonical("record")
    return SignedRecord(
        payload_type=fields["payload_type"],
        payload=fields["payload"],
        signatures=tuple(Signature(**signature) for signature in fields["signatures"]),
        content=content,
    )


def without_content(value: bytes) -> bytes:
    """Return the link: the Kafka value with its content left out; raise RecordRefused as parse_record."""
    return encode_record(msgspec.structs.replace(parse_record(value), content=b""))


def _require_few(value: bytes, at: int, *, most: int, subject: str, items: str) -> None:
    """Walk an array of (fixed32, bytes) before it is decoded: 30,000 small ones would fill a record.

    Decoded they take 10 MB and 100 ms, whoever sent them. What else is wrong is left to the decoder.
    """
    count, at = decode_long(value, at)
    if count > most:
        raise RecordRefused(
            Code.MALFORMED, f"{subject}: {count} {items}, want at most {most}; its publisher must send fewer"
        )
    for _ in range(count):
        length, at = decode_long(value, at + 32)
        at += max(length, 0)
    # A count below zero, or a second block, would be another form of the same.
    if count < 0 or (count and value[at : at + 1] > b"\0"):
        raise _not_canonical(subject)


def _up_to_last(name: str, fields: Mapping[str, Any], length: int) -> bytes:
    """Return the one encoding of a record up to where the `length` bytes of its last field begin.

    The last field is empty in `fields`. It can be half a megabyte, and every copy of it would cost:
    a value of this schema that decodes and begins with these bytes has no other form.
    """
    return encode(name, fields)[:-1] + encode_long(length)


def _check_range(subject: str, name: str, number: int, *, low: int, end: int = 1 << 63) -> None:
    if not low <= number < end:
        raise RecordRefused(
            Code.MALFORMED, f"{subject}: {name} is {number}, out of range; its publisher must mend it"
        )


def _not_canonical(subject: str) -> RecordRefused:
    return RecordRefused(
        Code.NOT_CANONICAL,
        f"{subject}: a longer form than its only one; its publisher must encode it again",
    )
