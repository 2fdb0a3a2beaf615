"""The envelope and what it carries: one form only, refused with a code otherwise, never a crash."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almenara.errors import Code, RecordRefused, Refused
from almenara.model.ids import AudienceId, MemberId
from almenara.wire.avro import encode, prefix
from almenara.wire.records import (
    GENESIS_PREV,
    PAYLOAD_HEARTBEAT,
    PAYLOAD_STATEMENT,
    RECORD_MAX,
    SIGNATURES_MAX,
    Content,
    Head,
    Heartbeat,
    KeyWrap,
    Scope,
    Signature,
    SignedRecord,
    encode_content,
    encode_head,
    encode_heartbeat,
    encode_record,
    encode_statement,
    pae,
    parse_content,
    parse_heartbeat,
    parse_record,
    parse_statement,
    statement_hash,
    without_content,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = Head(
    federation="ams",
    audience=AudienceId("region"),
    publisher=MemberId("PE"),
    epoch=1_790_000_000_000,
    seq=7,
    prev=b"\1" * 32,
    issued_at=1_790_000_000_123_456,
    directory_version=3,
    scope=Scope.LIST,
    elicits_receipt=True,
    sender_key=b"\2" * 32,
    key_commitment=b"\3" * 32,
)
HEARTBEAT = Heartbeat(
    federation="ams",
    audience=AudienceId("region"),
    publisher=MemberId("PE"),
    directory_version=3,
    epoch=1_790_000_000_000,
    head_seq=7,
    head_hash=b"\1" * 32,
    issued_at=1_790_000_000_123_456,
    next_by=1_790_000_030_123_456,
)
SLOTS = tuple(KeyWrap(key_id=bytes([n]) * 32, wrap=bytes([n]) * 1_168) for n in range(3))
CONTENT = encode_content(SLOTS, b"sealed")
STATEMENT = encode_statement(encode_head(HEAD), sha256(CONTENT).digest())
KIND = PAYLOAD_STATEMENT.encode()
RECORD = SignedRecord(
    payload_type=PAYLOAD_STATEMENT,
    payload=STATEMENT,
    signatures=(Signature(key_id=b"\4" * 32, signature=b"\5" * 64),),
    content=CONTENT,
)


def small_record(payload_type: str, payload: bytes) -> bytes:
    return encode_record(
        SignedRecord(payload_type=payload_type, payload=payload, signatures=RECORD.signatures)
    )


def with_head(**changes: int) -> bytes:
    return encode_statement(encode_head(msgspec.structs.replace(HEAD, **changes)), bytes(32))


def with_heartbeat(**changes: int) -> bytes:
    return encode_heartbeat(msgspec.structs.replace(HEARTBEAT, **changes))


def test_a_statement_is_what_the_avro_library_would_write() -> None:
    fields = {"head": msgspec.structs.asdict(HEAD), "content_hash": sha256(CONTENT).digest()}
    assert encode("Statement", fields) == STATEMENT
    parsed = parse_statement(STATEMENT)
    assert (parsed.head, parsed.content_hash) == (HEAD, sha256(CONTENT).digest())


@pytest.mark.parametrize("slots", [0, 1, 63, 64, 130])
@pytest.mark.parametrize("sealed", [0, 1_052, 65_564])
def test_a_content_and_its_record_are_what_the_avro_library_would_write(slots: int, sealed: int) -> None:
    wraps = tuple(KeyWrap(key_id=bytes([n]) * 32, wrap=bytes(1_168)) for n in range(slots))
    content = encode_content(wraps, bytes(sealed))
    by_library = [msgspec.structs.asdict(wrap) for wrap in wraps]
    assert content == encode("Content", {"key_wraps": by_library, "sealed": bytes(sealed)})
    assert parse_content(content) == Content(key_wraps=wraps, sealed=bytes(sealed))
    record = msgspec.structs.replace(RECORD, content=content)
    value = encode_record(record)
    assert value == encode("SignedRecord", msgspec.to_builtins(record, builtin_types=(bytes,)))
    assert parse_record(value) == record


def test_a_link_is_the_record_without_its_content_and_a_link_of_itself() -> None:
    link = without_content(encode_record(RECORD))
    assert parse_record(link) == msgspec.structs.replace(RECORD, content=b"")
    assert without_content(link) == link
    assert len(link) == len(encode_record(RECORD)) - len(CONTENT) - 1  # the length, in one byte now


def test_a_statement_keeps_the_bytes_of_its_head_as_they_stand() -> None:
    parsed = parse_statement(STATEMENT)
    assert STATEMENT.startswith(prefix("Statement") + parsed.head_bytes)
    assert parsed.head_bytes == encode_head(HEAD)


def test_records_and_heartbeats_come_back_as_they_went() -> None:
    assert parse_record(encode_record(RECORD)) == RECORD
    assert parse_heartbeat(encode_heartbeat(HEARTBEAT)) == HEARTBEAT
    nothing_said = msgspec.structs.replace(HEARTBEAT, epoch=0, head_seq=-1, head_hash=GENESIS_PREV)
    assert parse_heartbeat(encode_heartbeat(nothing_said)) == nothing_said


def test_a_statement_is_named_by_the_hash_of_its_signed_bytes() -> None:
    kind = PAYLOAD_STATEMENT.encode()
    signed = b"DSSEv1 42 " + kind + b" " + str(len(STATEMENT)).encode() + b" " + STATEMENT
    assert len(kind) == 42
    assert pae(PAYLOAD_STATEMENT, STATEMENT) == signed
    assert statement_hash(STATEMENT) == sha256(signed).digest()


def test_the_same_payload_under_another_type_has_other_signed_bytes() -> None:
    assert pae(PAYLOAD_STATEMENT, STATEMENT) != pae(PAYLOAD_HEARTBEAT, STATEMENT)
    assert pae("ab", b"c 1 d") != pae("ab 5 c", b"d")


PARSERS: list[tuple[str, Callable[[bytes], object], bytes]] = [
    ("record", parse_record, small_record(PAYLOAD_HEARTBEAT, encode_heartbeat(HEARTBEAT))),
    ("statement", parse_statement, STATEMENT),
    ("content", parse_content, encode_content((SLOTS[0],), b"sealed")),
    ("heartbeat", parse_heartbeat, encode_heartbeat(HEARTBEAT)),
]
each_parser = pytest.mark.parametrize(
    ("parse", "good"), [(parse, good) for _, parse, good in PARSERS], ids=[name for name, _, _ in PARSERS]
)


def code_of(parse: Callable[[bytes], object], data: bytes) -> Code | None:
    try:
        parse(data)
    except RecordRefused as refused:
        return refused.code
    return None


@each_parser
def test_every_truncation_is_refused(parse: Callable[[bytes], object], good: bytes) -> None:
    for end in range(len(good)):
        assert code_of(parse, good[:end]) in {Code.UNKNOWN_SCHEMA, Code.MALFORMED}


@each_parser
def test_a_byte_after_the_end_is_refused(parse: Callable[[bytes], object], good: bytes) -> None:
    assert code_of(parse, good + b"\0") == Code.MALFORMED


@each_parser
def test_another_schema_is_refused(parse: Callable[[bytes], object], good: bytes) -> None:
    assert code_of(parse, b"\xc3\x01" + bytes(8) + good[10:]) == Code.UNKNOWN_SCHEMA


@each_parser
def test_a_flipped_bit_is_refused_or_says_something_else(
    parse: Callable[[bytes], object], good: bytes
) -> None:
    """No two byte strings mean the same, so a signature over one never covers the other."""
    meant = parse(good)
    for position in range(len(good)):
        for bit in range(8):
            flipped = bytearray(good)
            flipped[position] ^= 1 << bit
            try:
                assert parse(bytes(flipped)) != meant
            except RecordRefused:
                continue


@each_parser
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_hostile_bytes_are_refused_and_never_crash(
    parse: Callable[[bytes], object], good: bytes, data: st.DataObject
) -> None:
    keep = data.draw(st.integers(10, len(good)))
    tail = data.draw(st.binary(max_size=200))
    assert code_of(parse, good[:keep] + tail) in {None, Code.MALFORMED, Code.NOT_CANONICAL}


@each_parser
def test_more_than_the_cap_is_refused_before_it_is_decoded(
    parse: Callable[[bytes], object], good: bytes
) -> None:
    assert code_of(parse, good + bytes(RECORD_MAX)) == Code.OVERSIZE


def test_a_longer_form_of_a_number_is_not_canonical() -> None:
    record = small_record(PAYLOAD_HEARTBEAT, b"")
    # The payload's length, 0, written in two bytes, which fastavro reads without a word.
    at = record.index(b"\0", 10)
    cases: list[tuple[Callable[[bytes], object], bytes]] = [
        (parse_record, record[:at] + b"\x80\0" + record[at + 1 :]),
        (parse_statement, STATEMENT[:10] + b"\x86\0" + STATEMENT[11:]),
        (parse_content, CONTENT[: -len(b"sealed") - 1] + b"\x8c\0" + b"sealed"),
        (parse_record, encode_record(RECORD).replace(b"\x54" + KIND, b"\xd4\0" + KIND)),
        (parse_record, record[:-1] + b"\x80\0"),
        (parse_heartbeat, encode_heartbeat(HEARTBEAT)[:10] + b"\x86\0" + encode_heartbeat(HEARTBEAT)[11:]),
    ]
    for parse, longer in cases:
        assert code_of(parse, longer) == Code.NOT_CANONICAL


def test_an_array_in_two_blocks_is_not_canonical() -> None:
    one, two = encode_content(SLOTS[:1], b"sealed"), encode_content(SLOTS[:2], b"sealed")
    at = len(prefix("Content"))
    slot = two[at + 1 + (len(two) - len(one)) : -len(b"sealed") - 2]
    split = two[:at] + b"\2" + two[at + 1 : -len(b"sealed") - 2 - len(slot)] + b"\2" + slot + two[-8:]
    assert code_of(parse_content, split) == Code.NOT_CANONICAL


@pytest.mark.parametrize("slots", [SLOTS[::-1], (SLOTS[0], SLOTS[0])], ids=["not sorted", "a key id twice"])
def test_slots_must_be_sorted_one_each(slots: tuple[KeyWrap, ...]) -> None:
    assert code_of(parse_content, encode_content(slots, b"sealed")) == Code.NOT_CANONICAL


@pytest.mark.parametrize(
    ("parse", "payload"),
    [
        (parse_statement, with_head(seq=-1)),
        (parse_statement, with_head(epoch=-1)),
        (parse_statement, with_head(epoch=253_402_300_800_000)),
        (parse_statement, with_head(directory_version=-1)),
        (parse_statement, with_head(issued_at=-1)),
        (parse_statement, with_head(issued_at=253_402_300_800_000_000)),
        (parse_heartbeat, with_heartbeat(head_seq=-2)),
        (parse_heartbeat, with_heartbeat(epoch=-1)),
        (parse_heartbeat, with_heartbeat(directory_version=-1)),
        (parse_heartbeat, with_heartbeat(issued_at=1 << 62)),
        (parse_heartbeat, with_heartbeat(next_by=1 << 62)),
    ],
)
def test_a_number_out_of_range_is_malformed(parse: Callable[[bytes], object], payload: bytes) -> None:
    assert code_of(parse, payload) == Code.MALFORMED


def test_more_signatures_than_keys_can_be_are_malformed() -> None:
    def signed(times: int) -> bytes:
        return encode_record(SignedRecord(payload_type="", payload=b"", signatures=RECORD.signatures * times))

    assert len(parse_record(signed(SIGNATURES_MAX)).signatures) == SIGNATURES_MAX
    assert code_of(parse_record, signed(SIGNATURES_MAX + 1)) == Code.MALFORMED


def test_a_record_that_no_reader_would_take_is_not_made() -> None:
    with pytest.raises(Refused) as refused:
        small_record(PAYLOAD_STATEMENT, bytes(RECORD_MAX))
    assert refused.value.code == Code.OVERSIZE
