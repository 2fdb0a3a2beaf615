"""How does a fuzzer get past a signature and a seal? It has the keys, and changes what is within.

`change` is libFuzzer's own mutation of some bytes, to at most so many. What cannot be taken apart is
changed as it stands, so that one corpus serves all depths.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from almenara.errors import AlmenaraError
from almenara.trust.enrolment import ENROLMENT_TYPE, EnrolmentSignature, SignedEnrolment
from almenara.trust.exportfile import ExportedRecord
from almenara.trust.signer import make_statement, sign_record
from almenara.wire.padding import BATCH_MAX
from almenara.wire.records import (
    PAYLOAD_STATEMENT,
    encode_statement,
    pae,
    parse_content,
    parse_record,
    parse_statement,
)
from almenara.wire.seal import StreamContext, open_sealed, statement_key
from conformance.federation import KEYS, PE
from fuzz.properties import SENDER_KEY_BY_ID

if TYPE_CHECKING:
    from almenara.wire.records import SignedRecord

_SIGNER = KEYS[PE].signing
_NONCE = bytes(12)
_ENROLMENT = msgspec.json.Decoder(SignedEnrolment)


class Change(Protocol):
    """libFuzzer's own mutation."""

    def __call__(self, data: bytes, max_size: int, /) -> bytes: ...


class Mutator(Protocol):
    """A mutation of a whole input; the same for the same seed."""

    def __call__(self, data: bytes, max_size: int, seed: int, change: Change, /) -> bytes: ...


def as_it_stands(data: bytes, max_size: int, _seed: int, change: Change) -> bytes:
    """Change the bytes as they stand."""
    return change(data, max_size)


def resigned(data: bytes, max_size: int, seed: int, change: Change) -> bytes:
    """Change a record's payload, content, head or the batch in its seal, and sign it again as its author."""
    random = Random(seed)
    try:
        signed = parse_record(data)
        match random.randrange(6):
            case 0:
                payload = change(signed.payload, max_size // 2)
                made = sign_record(_SIGNER, signed.payload_type, payload, signed.content)
            case 1:
                made = _with_content(signed, change(signed.content, max_size // 2))
            case 2:
                name, value = _other(random)
                made = _resealed(signed, **{name: value})
            case _:
                made = _resealed(signed, batch=change(_batch(signed), min(max_size // 2, BATCH_MAX)))
    except (AlmenaraError, KeyError, OverflowError):
        return change(data, max_size)
    return made if len(made) <= max_size else data


def as_json(data: bytes, max_size: int, seed: int, change: Change) -> bytes:
    """Change one value of a JSON text, or its bytes as they stand."""
    random = Random(seed)
    try:
        value = msgspec.json.decode(data) if random.randrange(4) else None
        made = msgspec.json.encode(_other_json(value, random, change))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return change(data, max_size)
    return made if 4 < len(made) <= max_size else change(data, max_size)


def as_file(data: bytes, max_size: int, seed: int, change: Change) -> bytes:
    """Change one value of the JSON behind the byte that chooses its file, seldom that byte."""
    if len(data) < 2 or seed % 16 == 0:
        return change(data, max_size)
    return data[:1] + as_json(data[1:], max_size - 1, seed, change)


def resummed(data: bytes, max_size: int, seed: int, change: Change) -> bytes:
    """Change one value of an exported file, and make its checksum and its one form again."""
    made = as_json(data, max_size, seed, change)
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        made = msgspec.json.decode(made, type=ExportedRecord).to_bytes()
    return made if len(made) <= max_size else data


def reenrolled(data: bytes, max_size: int, seed: int, change: Change) -> bytes:
    """Change what a member says of itself, and sign it again with its key."""
    try:
        signed = _ENROLMENT.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return change(data, max_size)
    if seed % 4 == 0:
        return change(data, max_size)
    payload = as_json(signed.payload, max_size // 2, seed, change)
    signature = EnrolmentSignature(
        key_id=_SIGNER.key_id.hex(), signature=_SIGNER.sign(pae(ENROLMENT_TYPE, payload))
    )
    made = msgspec.json.encode(msgspec.structs.replace(signed, payload=payload, signatures=(signature,)))
    return made if len(made) <= max_size else data


_ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "",
    "\u0000",
    "A",
    "2026-13-41T00:00:00Z",
    [],
    {},
    [[]],
    {"": ""},
)


def _other_json(value: Any, random: Random, change: Change) -> Any:  # noqa: ANN401 - JSON
    """Return the value with one value somewhere in it changed, left out or doubled."""
    if isinstance(value, dict | list) and value and random.randrange(8):
        key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        changed = value.copy()
        if random.randrange(8) == 0:
            del changed[key]
        elif random.randrange(8) == 0 and isinstance(changed, list):
            changed.append(changed[key])
        else:
            changed[key] = _other_json(value[key], random, change)
        return changed
    if isinstance(value, str) and random.randrange(2):
        return change(value.encode(), len(value) + 64).decode(errors="replace")
    return random.choice(_ODD)


def _other(random: Random) -> tuple[str, Any]:
    name = random.choice(["seq", "issued_at", "directory_version", "prev", "key_wraps", "nonce"])
    if name == "key_wraps":
        return name, ()
    if name in {"prev", "nonce"}:
        return name, random.randbytes(32 if name == "prev" else 12)
    return name, random.choice([0, 1, -1, random.getrandbits(62), -random.getrandbits(62)])


def _batch(signed: SignedRecord) -> bytes:
    statement = parse_statement(signed.payload)
    key = SENDER_KEY_BY_ID[statement.head.sender_key]
    k_s = statement_key(key.key, StreamContext.of(statement.head), statement.head.seq)
    return open_sealed(k_s, statement.head, statement.head_bytes, parse_content(signed.content).sealed)


def _with_content(signed: SignedRecord, content: bytes) -> bytes:
    head_bytes = parse_statement(signed.payload).head_bytes
    payload = encode_statement(head_bytes, sha256(content).digest())
    return sign_record(_SIGNER, PAYLOAD_STATEMENT, payload, content)


def _resealed(signed: SignedRecord, **changes: Any) -> bytes:  # noqa: ANN401 - any argument
    statement = parse_statement(signed.payload)
    head = statement.head
    arguments: dict[str, Any] = {
        "context": StreamContext.of(head),
        "seq": head.seq,
        "prev": head.prev,
        "issued_at": head.issued_at,
        "directory_version": head.directory_version,
        "scope": head.scope,
        "elicits_receipt": head.elicits_receipt,
        "sender_key": SENDER_KEY_BY_ID[head.sender_key],
        "key_wraps": parse_content(signed.content).key_wraps,
        "nonce": _NONCE,
    }
    if "batch" not in changes:
        arguments["batch"] = _batch(signed)
    return make_statement(_SIGNER, **arguments | changes).record
