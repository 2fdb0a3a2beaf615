"""A second Avro library reads what ours wrote, writes the same bytes, and takes the same fingerprints."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import avro.io
import avro.schema
import msgspec
import pytest

from almenara.wire.avro import canonical_form, prefix
from almenara.wire.records import (
    PAYLOAD_STATEMENT,
    parse_content,
    parse_heartbeat,
    parse_record,
    parse_statement,
)
from almenara.wire.seal import StreamContext, open_sealed, statement_key
from conformance.cases import ACCEPTED, OPENED, Case, good, refused
from conformance.federation import SENDER_KEYS

GOOD = {case.name: case for case in [*good(), *refused()] if case.admit == ACCEPTED}
OPENING = [
    name for name, case in GOOD.items() if any(reading.outcome == OPENED for reading in case.readers.values())
]


def schema(name: str) -> avro.schema.Schema:
    return avro.schema.parse(canonical_form(name).decode())


def read(name: str, data: bytes) -> Any:  # noqa: ANN401 - a value of whatever the schema says
    """Return the value of a single-object encoding that ends where the data ends."""
    assert data.startswith(b"\xc3\x01")
    stream = BytesIO(data[10:])
    value = avro.io.DatumReader(schema(name)).read(avro.io.BinaryDecoder(stream))
    assert stream.read() == b""
    return value


def write(name: str, value: object) -> bytes:
    stream = BytesIO()
    avro.io.DatumWriter(schema(name)).write(value, avro.io.BinaryEncoder(stream))
    return prefix(name) + stream.getvalue()


def plaintext(case: Case) -> bytes:
    record = parse_record(case.record)
    statement, sealed = parse_statement(record.payload), parse_content(record.content).sealed
    head = statement.head
    key = next(key for key in SENDER_KEYS.values() if key.id == head.sender_key)
    k_s = statement_key(key.key, StreamContext.of(head), head.seq)
    return open_sealed(k_s, head, statement.head_bytes, sealed)


def crc_64_avro(data: bytes) -> int:
    """The Rabin fingerprint, as the Avro specification writes it in Java."""
    empty = 0xC15D213AA4D7A795
    table = list(range(256))
    for number in table:
        entry = number
        for _ in range(8):
            entry = (entry >> 1) ^ (empty if entry & 1 else 0)
        table[number] = entry
    value = empty
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value


@pytest.mark.parametrize("name", ["SignedRecord", "Statement", "Content", "Heartbeat", "Batch"])
def test_fingerprints_are_those_of_the_specification(name: str) -> None:
    assert prefix(name) == b"\xc3\x01" + crc_64_avro(canonical_form(name)).to_bytes(8, "little")


@pytest.mark.parametrize("name", ["SignedRecord", "Content", "Heartbeat"])
def test_fingerprints_agree(name: str) -> None:
    """Not for the others: where a schema uses a named type again, avro 1.12 repeats its definition."""
    assert prefix(name) == b"\xc3\x01" + schema(name).fingerprint("CRC-64-AVRO")


def fields(value: msgspec.Struct) -> dict[str, Any]:
    builtins = msgspec.to_builtins(value, builtin_types=(bytes,))
    return {name: list(each) if isinstance(each, tuple) else each for name, each in builtins.items()}


@pytest.mark.parametrize("name", GOOD)
def test_records_and_payloads_agree(name: str) -> None:
    record = parse_record(GOOD[name].record)
    value = read("SignedRecord", GOOD[name].record)
    assert value == fields(record)
    assert write("SignedRecord", value) == GOOD[name].record

    kind = "Statement" if record.payload_type == PAYLOAD_STATEMENT else "Heartbeat"
    payload = read(kind, record.payload)
    assert write(kind, payload) == record.payload
    if kind == "Heartbeat":
        assert payload == fields(parse_heartbeat(record.payload))
    else:
        expected = fields(parse_statement(record.payload))
        del expected["head_bytes"]
        assert payload == expected


@pytest.mark.parametrize("name", OPENING)
def test_contents_agree(name: str) -> None:
    content = parse_record(GOOD[name].record).content
    value = read("Content", content)
    assert value == fields(parse_content(content))
    assert write("Content", value) == content


@pytest.mark.parametrize("name", OPENING)
def test_batches_agree(name: str) -> None:
    data = plaintext(GOOD[name])
    batch = read("Batch", data)
    assert write("Batch", batch) == data
    read_ids = [message["message_id"].hex() for message in batch["messages"]]
    said = {
        tuple(each.replace("-", "") for each in reading.messages)
        for reading in GOOD[name].readers.values()
        if reading.outcome == OPENED
    }
    (ids,) = said
    assert [got for got, want in zip(read_ids, ids, strict=True) if want != "SHAPE"] == [
        want for want in ids if want != "SHAPE"
    ]


def test_the_golden_batches_hold_every_kind() -> None:
    """In the order of the branches of the body's union."""
    kinds = {
        json.dumps(sorted(message["body"]))
        for name in OPENING
        for message in read("Batch", plaintext(GOOD[name]))["messages"]
    }
    assert len(kinds) == 9
