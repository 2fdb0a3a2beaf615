"""The Avro codec: single-object encoding as the specification says, and refusals of everything else."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from hashlib import sha256
from typing import Any

import avro.schema
import pytest

from almenara.errors import Code, RecordRefused
from almenara.wire import avro as codec
from almenara.wire import schemas

HEAD: dict[str, Any] = {
    "federation": "ams",
    "audience": "region",
    "publisher": "PE",
    "epoch": 1_795_000_000_000,
    "seq": 7,
    "prev": bytes(range(32)),
    "issued_at": 1_795_000_000_000_000,
    "directory_version": 3,
    "scope": "LIST",
    "elicits_receipt": True,
    "checkpoint": False,
    "sender_key": bytes(32),
    "key_commitment": b"\xff" * 32,
}
STATEMENT: dict[str, Any] = {"head": HEAD, "content_hash": b"h" * 32}
CAP = 1_000
NAMES = tuple(schemas.load_schemas())


def crc64_avro(data: bytes) -> int:
    """Return the Rabin fingerprint as the Avro specification's own pseudo-code computes it."""
    empty = 0xC15D213AA4D7A795
    table = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (empty & -(value & 1))
        table.append(value)
    result = empty
    for byte in data:
        result = (result >> 8) ^ table[(result ^ byte) & 0xFF]
    return result


def name_again(schema: object, seen: set[str]) -> object:
    """Replace later definitions of a name by the name: PyPI avro's canonical form repeats them."""
    if isinstance(schema, list):
        return [name_again(branch, seen) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema["type"], str) and "name" in schema and schema["type"] in {"fixed", "record", "enum"}:
        if schema["name"] in seen:
            return schema["name"]
        seen.add(schema["name"])
    return {
        key: name_again(value, seen) if key in {"type", "items", "fields"} else value
        for key, value in schema.items()  # a field is an object with a type, too
    }


def test_the_fingerprint_function_of_these_tests_gives_the_published_vector() -> None:
    assert crc64_avro(b'"int"') == 0x7275D51A3F395C8F  # Avro's TestSchemaNormalization


@pytest.mark.parametrize("name", NAMES)
def test_a_prefix_is_the_marker_and_the_fingerprint_with_its_lowest_byte_first(name: str) -> None:
    fingerprint = crc64_avro(codec.canonical_form(name))
    assert codec.prefix(name) == b"\xc3\x01" + fingerprint.to_bytes(8, "little")


@pytest.mark.parametrize("name", NAMES)
def test_the_canonical_form_is_that_of_a_second_library(name: str) -> None:
    parsed = avro.schema.parse(json.dumps(schemas.resolve(name, schemas.load_schemas())))
    other = name_again(json.loads(parsed.canonical_form), set())
    assert json.dumps(other, separators=(",", ":")).encode() == codec.canonical_form(name)


def test_the_directory_names_a_schema_by_the_digest_of_its_canonical_form() -> None:
    assert codec.sha256_hex("Head") == sha256(codec.canonical_form("Head")).hexdigest()


def test_a_value_comes_back_from_its_encoding() -> None:
    data = codec.encode("Statement", STATEMENT)
    assert data.startswith(codec.prefix("Statement"))
    assert codec.decode("Statement", data, cap=len(data)) == STATEMENT


def test_a_part_is_read_where_it_stands_in_another_encoding() -> None:
    data = codec.encode("Statement", STATEMENT)
    head, end = codec.decode_bare("Head", data, codec.PREFIX_BYTES)
    assert head == HEAD
    assert data[codec.PREFIX_BYTES : end] == codec.encode_bare("Head", HEAD)


@pytest.mark.parametrize("field", ["seq", "nonsense"])
def test_a_value_with_other_fields_than_the_schema_is_not_encoded(field: str) -> None:
    value = {name: each for name, each in {**HEAD, "nonsense": 1}.items() if name != field}
    with pytest.raises(ValueError, match="field"):
        codec.encode("Head", {**value, "more": 1} if field == "nonsense" else value)


def _statement(**changed: object) -> bytes:
    return codec.encode("Statement", {**STATEMENT, **changed})


GOOD = _statement()
SCOPE_AT = GOOD.index(b"\x02\x01\x00" + bytes(32) + b"\xff" * 32)  # LIST, true, false, and two hashes

REFUSED = {
    "over the cap": (GOOD + bytes(CAP), Code.OVERSIZE),
    "nothing": (b"", Code.UNKNOWN_SCHEMA),
    "a marker alone": (GOOD[:2], Code.UNKNOWN_SCHEMA),
    "half a fingerprint": (GOOD[:6], Code.UNKNOWN_SCHEMA),
    "another marker": (b"\xc3\x02" + GOOD[2:], Code.UNKNOWN_SCHEMA),
    "another schema": (codec.encode("Head", HEAD), Code.UNKNOWN_SCHEMA),
    "a fingerprint and no body": (GOOD[:10], Code.MALFORMED),
    "a byte too many": (GOOD + b"\0", Code.MALFORMED),
    "text that is not UTF-8": (GOOD[:11] + b"\xff" + GOOD[12:], Code.MALFORMED),
    "a symbol outside the enum": (GOOD[:SCOPE_AT] + b"\x04" + GOOD[SCOPE_AT + 1 :], Code.MALFORMED),
    "a length below zero": (GOOD[:10] + b"\x01" + GOOD[11:], Code.MALFORMED),
    "a length beyond the end": (GOOD[:10] + b"\xfe" * 8 + b"\x7f" + GOOD[11:], Code.MALFORMED),
    "a length beyond 64 bits": (GOOD[:10] + b"\xff" * 12 + b"\x7f" + GOOD[11:], Code.MALFORMED),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bytes_that_are_no_statement_are_refused_with_their_code(case: str) -> None:
    data, code = REFUSED[case]
    with pytest.raises(RecordRefused) as refusal:
        codec.decode("Statement", data, cap=CAP)
    assert refusal.value.code is code


def test_every_shortening_is_refused() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(RecordRefused):
            codec.decode("Statement", GOOD[:length], cap=CAP)


@pytest.mark.parametrize("name", ["SignedRecord", "Statement", "Content", "Heartbeat", "Batch"])
def test_random_bytes_give_a_value_or_a_refusal_and_nothing_else(name: str) -> None:
    chance = random.Random(20261124)
    for _ in range(2_000):
        body = bytes(chance.choices((*range(256), *[0, 2, 4, 0x80, 0xFF] * 50), k=chance.randrange(200)))
        with suppress(RecordRefused):
            codec.decode(name, codec.prefix(name) + body, cap=CAP)


LONGS = [0, 1, -1, 63, -64, 64, 512, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("number", LONGS)
def test_a_long_comes_back_and_tells_where_it_ends(number: int) -> None:
    data = b"before" + codec.encode_long(number)
    assert codec.decode_long(data + b"after", len(b"before")) == (number, len(data))


BAD_LONGS = {
    "nothing": (b"", Code.MALFORMED),
    "no end": (b"\x80\x80", Code.MALFORMED),
    "eleven bytes": (b"\x80" * 10 + b"\x01", Code.MALFORMED),
    "65 bits": (b"\x80" * 9 + b"\x02", Code.MALFORMED),
    "zero in two bytes": (b"\x80\x00", Code.NOT_CANONICAL),
    "one in three bytes": (b"\x82\x80\x00", Code.NOT_CANONICAL),
}


@pytest.mark.parametrize("case", BAD_LONGS)
def test_a_long_in_another_than_its_shortest_form_is_refused(case: str) -> None:
    data, code = BAD_LONGS[case]
    with pytest.raises(RecordRefused) as refusal:
        codec.decode_long(data, 0)
    assert refusal.value.code is code
