"""How does a value become Avro bytes, and how do hostile bytes become a value or a refusal?

The only module that imports fastavro. A whole value stands in single-object encoding (Avro
specification): the marker C3 01, the CRC-64-AVRO fingerprint of its schema, the body.

fastavro sets no limits and forgives much. So the size is capped before decoding; the schema
linter bans items of no width, hence a body holds no more items than it has bytes; and what must
have one form only is encoded again and compared, which refuses over-long varints and negative
union indexes.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from almenara.errors import Code, RecordRefused
from almenara.wire.schemas import load_schemas, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = b"\xc3\x01"
PREFIX_BYTES = len(MARKER) + 8
_LONG_BYTES_MAX = 10

# What fastavro raises on hostile bytes. Fuzzing shows three: EOFError, IndexError for an enum or a
# union, UnicodeDecodeError. The others are what a codec in C may raise for a length beyond memory or
# 64 bits; a crash of the reader must not hang on which release of fastavro is installed.
_HOSTILE = (
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
)


class _Codec(NamedTuple):
    parsed: Any
    canonical: bytes
    prefix: bytes


@cache
def _codec(name: str) -> _Codec:
    schema = resolve(name, load_schemas())
    canonical = to_parsing_canonical_form(schema)
    return _Codec(
        parsed=fastavro.parse_schema(schema),
        canonical=canonical.encode(),
        # fastavro writes this fingerprint in hexadecimal with the lowest byte first, as it stands.
        prefix=MARKER + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO")),
    )


def canonical_form(name: str) -> bytes:
    """Return the schema in Avro's parsing canonical form: what its fingerprints are taken of."""
    return _codec(name).canonical


def prefix(name: str) -> bytes:
    """Return the ten bytes that every single-object encoding of this schema begins with."""
    return _codec(name).prefix


def sha256_hex(name: str) -> str:
    """Return the SHA-256 of the canonical form: how the directory allows a schema."""
    return hashlib.sha256(canonical_form(name)).hexdigest()


def encode(name: str, value: Mapping[str, Any]) -> bytes:
    """Return the single-object encoding of the value.

    The value must have exactly the fields of the schema; fastavro raises ValueError or TypeError
    for one that has not, which is a bug of the caller.
    """
    return _codec(name).prefix + encode_bare(name, value)


def encode_bare(name: str, value: Mapping[str, Any]) -> bytes:
    """Return the body alone, for a part that stands inside another encoding."""
    out = BytesIO()
    fastavro.schemaless_writer(out, _codec(name).parsed, value, strict=True)
    return out.getvalue()


def encode_long(value: int) -> bytes:
    """Return an Avro long: zigzag, then seven bits a byte, lowest first."""
    out = BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    return out.getvalue()


def decode_long(data: bytes, offset: int) -> tuple[int, int]:
    """Return the Avro long at `offset`, in its shortest form, and the offset where it ends.

    Raises RecordRefused MALFORMED at the end of the data, NOT_CANONICAL for a longer form.
    """
    zigzag = 0
    for place, byte in enumerate(data[offset : offset + _LONG_BYTES_MAX]):
        zigzag |= (byte & 0x7F) << 7 * place
        if byte < 0x80 and zigzag < 1 << 64:  # the high bit says that more follows
            if place and not byte:
                raise RecordRefused(
                    Code.NOT_CANONICAL,
                    f"number: not its shortest form at byte {offset}; its publisher must shorten it",
                )
            return (zigzag >> 1) ^ -(zigzag & 1), offset + place + 1
    raise RecordRefused(
        Code.MALFORMED, f"number: none of 64 bits at byte {offset}; its publisher must encode it again"
    )


def require_prefix(name: str, data: bytes, *, cap: int) -> None:
    """Return if `data` begins as a single-object encoding of this schema and is within the cap.

    Raises RecordRefused: OVERSIZE above `cap` bytes, UNKNOWN_SCHEMA for another marker or fingerprint.
    """
    if len(data) > cap:
        raise RecordRefused(
            Code.OVERSIZE, f"{name}: {len(data)} bytes, the cap is {cap}; its publisher must split it"
        )
    if not data.startswith(_codec(name).prefix):
        raise RecordRefused(
            Code.UNKNOWN_SCHEMA,
            f"{name}: begins {data[:PREFIX_BYTES].hex()}, want {_codec(name).prefix.hex()}; "
            "its publisher must use the federation's schema",
        )


def decode(name: str, data: bytes, *, cap: int) -> dict[str, Any]:
    """Return the value of a single-object encoding of this schema that fills `data` to its end.

    Raises RecordRefused: OVERSIZE above `cap` bytes, UNKNOWN_SCHEMA for another marker or
    fingerprint, MALFORMED for a body that is not of the schema or ends early or late.
    """
    require_prefix(name, data, cap=cap)
    value, end = decode_bare(name, data, PREFIX_BYTES)
    if end != len(data):
        raise RecordRefused(
            Code.MALFORMED, f"{name}: {len(data) - end} bytes follow its end; its publisher must drop them"
        )
    return value


def decode_bare(name: str, data: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """Return the value whose body starts at `offset`, and the offset where it ends.

    A union's value comes as (name of the record, its fields). The caller has capped the size.
    Raises RecordRefused MALFORMED if the bytes there are not of the schema.
    """
    stream = BytesIO(data)
    stream.seek(offset)
    try:
        value = fastavro.schemaless_reader(stream, _codec(name).parsed, None, return_record_name=True)
    except _HOSTILE as exc:
        raise RecordRefused(
            Code.MALFORMED,
            f"{name}: not of its schema ({type(exc).__name__} at byte {stream.tell()}); "
            "its publisher must encode it again",
        ) from exc
    return cast("dict[str, Any]", value), stream.tell()
