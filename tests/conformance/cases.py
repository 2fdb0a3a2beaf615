"""The golden records, good ones and refused ones, each with the outcome that SPEC.md demands.

The outcomes are written here by hand, never taken from what the code does. HPKE draws its own random
numbers, and so does ML-DSA: the slots of announcements and the checkpoints' signatures are inputs
(`inputs/wraps.json`, `inputs/signatures.json`); all else follows from them.
"""

from __future__ import annotations

import json
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from almenara.clock import to_micros
from almenara.model.ids import REGION, MemberId, Stream
from almenara.model.json import parse_message
from almenara.trust.signer import SignedStatement, make_heartbeat, make_statement, sign_record
from almenara.wire.avro import prefix
from almenara.wire.messages import encode_batch, encode_message
from almenara.wire.records import (
    GENESIS_PREV,
    PAYLOAD_HEARTBEAT,
    PAYLOAD_STATEMENT,
    Head,
    Heartbeat,
    KeyWrap,
    Scope,
    Signature,
    encode_content,
    encode_head,
    encode_record,
    encode_statement,
    pae,
    parse_content,
    parse_record,
    parse_statement,
    without_content,
)
from almenara.wire.seal import StreamContext, statement_key
from conformance.federation import (
    AR,
    CL,
    CONDOR,
    DIRECTORY_VERSION,
    EPOCHS,
    FEDERATION,
    HERE,
    KEYS,
    NOW,
    PE,
    RETIRED,
    RETIRED_ENTRY,
    SENDER_KEYS,
    STRANGER,
    context,
)
from conformance.signatures import GoldenKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from almenara.trust.keys import SigningKey

ACCEPTED = "ACCEPTED"
OPENED = "OPENED"

ISSUED_AT = to_micros(NOW) - 3_600_000_000
STREAM = Stream(REGION, PE)


class Reading(NamedTuple):
    """What one reader makes of an accepted statement: OPENED or a code, and what it holds then."""

    outcome: str
    messages: tuple[str, ...] = ()
    """The id of each message, or the code it is refused with."""


class Case(NamedTuple):
    """A Kafka value, the stream whose topic it stands on, and what must come of it."""

    name: str
    says: str
    record: bytes
    admit: str = ACCEPTED
    readers: Mapping[MemberId, Reading] = MappingProxyType({})
    stream: Stream = STREAM


_LINES = (HERE / "inputs" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
MESSAGES = [parse_message(line, now=NOW) for line in _LINES]
IDS = [str(message.message_id) for message in MESSAGES]
ITEMS = [encode_message(message) for message in MESSAGES]


def wraps(name: str) -> tuple[KeyWrap, ...]:
    """Return the announcement of a sender key from the inputs."""
    slots = json.loads((HERE / "inputs" / "wraps.json").read_text(encoding="utf-8"))[name]
    return tuple(KeyWrap(key_id=bytes.fromhex(key_id), wrap=bytes.fromhex(slots[key_id])) for key_id in slots)


def nonce(name: str) -> bytes:
    """Return the nonce of a golden record: a live one is random."""
    return name.encode().ljust(12, b".")[:12]


def batch(*numbers: int, to: Sequence[MemberId] = ()) -> bytes:
    """Return the batch of the messages with these numbers; the first line of the inputs is number 1."""
    return encode_batch(to, [ITEMS[number - 1] for number in numbers])


def statement(
    name: str,
    content: bytes,
    *,
    seq: int,
    prev: bytes,
    key: str = "K1",
    announce: bool = False,
    epoch: int = EPOCHS[0],
    scope: Scope = Scope.AUDIENCE,
    elicits_receipt: bool = True,
    directory_version: int = DIRECTORY_VERSION,
    signer: SigningKey = KEYS[PE].signing,
    issued_at: int = ISSUED_AT,
    where: StreamContext | None = None,
    checkpoint: bool = False,
) -> SignedStatement:
    """Return a statement of PE's region stream, unless told otherwise."""
    return make_statement(
        signer,
        context=where or context(PE, epoch=epoch),
        seq=seq,
        prev=prev,
        issued_at=issued_at,
        directory_version=directory_version,
        scope=scope,
        elicits_receipt=elicits_receipt,
        sender_key=SENDER_KEYS[key],
        key_wraps=wraps(key) if announce else (),
        batch=content,
        checkpoint_key=GoldenKey(name) if checkpoint else None,
        nonce=nonce(name),
    )


FIRST = statement("first", batch(1), seq=0, prev=GENESIS_PREV, announce=True)
LIST = statement("list", batch(2, to=[AR]), seq=1, prev=FIRST.hash, key="K2", announce=True, scope=Scope.LIST)
KINDS = statement("kinds", batch(3, 4, 5, 6, 7, 8, 9), seq=2, prev=LIST.hash)
RECEIPT = statement("receipt", batch(10), seq=3, prev=KINDS.hash, elicits_receipt=False)
SHARED = statement(
    "shared",
    batch(12, to=[AR]),
    seq=4,
    prev=RECEIPT.hash,
    key="K2",
    announce=True,
    scope=Scope.LIST,
    elicits_receipt=False,
)
EPOCH = statement("epoch", batch(11), seq=0, prev=RECEIPT.hash, key="K3", announce=True, epoch=EPOCHS[1])
RESTORED = statement("restored", batch(11), seq=0, prev=LIST.hash, key="K6", announce=True, epoch=EPOCHS[2])
CHECKPOINT = statement(
    "checkpoint", batch(), seq=4, prev=RECEIPT.hash, elicits_receipt=False, checkpoint=True
)
FORK = statement("fork", batch(11), seq=2, prev=LIST.hash)
ENDED = statement(
    "ended",
    batch(11),
    seq=0,
    prev=GENESIS_PREV,
    epoch=EPOCHS[0] - 1000,
    signer=RETIRED,
    issued_at=to_micros(RETIRED_ENTRY.valid_until or NOW) - 1,
)


def good() -> list[Case]:
    """Return the records that are accepted."""
    both = {AR, CL}

    def opened(*numbers: int, by: set[MemberId] = both) -> dict[MemberId, Reading]:
        return dict.fromkeys(sorted(by), Reading(OPENED, tuple(IDS[number - 1] for number in numbers)))

    return [
        Case(
            "statement-audience",
            "The first statement of a stream: one alert for the whole audience, the sender key announced.",
            FIRST.record,
            readers=opened(1),
        ),
        Case(
            "statement-list",
            "An alert for AR alone. Every keyed member has a slot; that of CL holds random bytes.",
            LIST.record,
            readers={**opened(2, by={AR}), CL: Reading("NOT_FOR_ME")},
        ),
        Case(
            "statement-every-kind",
            "Seven messages of seven kinds, sealed with a sender key announced before.",
            KINDS.record,
            readers=opened(3, 4, 5, 6, 7, 8, 9),
        ),
        Case(
            "statement-receipt",
            "A receipt alone, which elicits none.",
            RECEIPT.record,
            readers=opened(10),
        ),
        Case(
            "statement-shared-key",
            "For AR alone: the sender key of an announcement that had no slot for it.",
            SHARED.record,
            readers={**opened(12, by={AR}), CL: Reading("NOT_FOR_ME")},
        ),
        Case(
            "statement-epoch",
            "A new epoch that stands by all that was said before, with a new sender key.",
            EPOCH.record,
            readers=opened(11),
        ),
        Case(
            "statement-epoch-after-restore",
            "A new epoch that stands by statement 1 of the first one and disowns what followed it.",
            RESTORED.record,
            readers=opened(11),
        ),
        Case(
            "statement-checkpoint",
            "A checkpoint: an empty batch, and the ML-DSA signature of PE beside the Ed25519 one.",
            CHECKPOINT.record,
            readers=opened(),
        ),
        Case(
            "statement-fork",
            "Validly signed, at a place that statement-every-kind has: the chain, not the record, tells.",
            FORK.record,
            readers=opened(11),
        ),
        Case(
            "statement-one-message-unreadable",
            "Two messages; the area of the first is no code of the list. The second is delivered.",
            statement(
                "unreadable",
                encode_batch([], [ITEMS[0].replace(b"DRUGS", b"DRUGZ"), ITEMS[10]]),
                seq=4,
                prev=RECEIPT.hash,
            ).record,
            readers=dict.fromkeys(sorted(both), Reading(OPENED, ("SHAPE", IDS[10]))),
        ),
        Case(
            "statement-ended-key",
            "Signed with a key that has ended: whatever its date, it counts only as an ancestor of what"
            " the successor says.",
            ENDED.record,
        ),
        Case("heartbeat", "PE's head is its receipt.", make_heartbeat(KEYS[PE].signing, _heartbeat(PE))),
        Case(
            "heartbeat-nothing-said",
            "AR is alive and has said nothing yet.",
            make_heartbeat(
                KEYS[AR].signing,
                msgspec.structs.replace(_heartbeat(AR), epoch=0, head_seq=-1, head_hash=bytes(32)),
            ),
            stream=Stream(REGION, AR),
        ),
    ]


def refused() -> list[Case]:
    """Return the records that are refused, or whose content is."""
    return [*_records_refused(), *_statements_refused(), *_seals_refused()]


def _heartbeat(publisher: MemberId) -> Heartbeat:
    return Heartbeat(
        federation=FEDERATION,
        audience=REGION,
        publisher=publisher,
        directory_version=DIRECTORY_VERSION,
        epoch=EPOCHS[0],
        head_seq=3,
        head_hash=RECEIPT.hash,
        issued_at=ISSUED_AT,
        next_by=ISSUED_AT + 30_000_000,
    )


def _records_refused() -> list[Case]:
    """Return records that prove nothing about their author."""
    record = parse_record(KINDS.record)
    signature = record.signatures[0]

    def signed_by(key_id: bytes, made: bytes) -> bytes:
        return encode_record(
            msgspec.structs.replace(record, signatures=(Signature(key_id=key_id, signature=made),))
        )

    # RFC 6979 draws no random number, so this is golden too.
    other_algorithm = ec.derive_private_key(7, ec.SECP256R1()).sign(
        pae(record.payload_type, record.payload), ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    )

    def with_content(content: bytes) -> bytes:
        return encode_record(msgspec.structs.replace(record, content=content))

    closing = parse_record(CHECKPOINT.record)
    ml_dsa = closing.signatures[1]

    def second_signature(*others: Signature) -> bytes:
        return encode_record(msgspec.structs.replace(closing, signatures=(closing.signatures[0], *others)))

    beat = parse_record(make_heartbeat(KEYS[PE].signing, _heartbeat(PE)))
    long_form = KINDS.record.replace(
        b"\x54" + PAYLOAD_STATEMENT.encode(), b"\xd4\0" + PAYLOAD_STATEMENT.encode()
    )
    return [
        Case("refused-truncated", "The last byte is missing.", KINDS.record[:-1], "MALFORMED"),
        Case("refused-trailing-byte", "A byte follows the end.", KINDS.record + b"\0", "MALFORMED"),
        Case("refused-long-form", "A length in two bytes that fits one.", long_form, "NOT_CANONICAL"),
        Case(
            "refused-other-schema",
            "The fingerprint is that of Statement.",
            prefix("Statement") + KINDS.record[len(prefix("Statement")) :],
            "UNKNOWN_SCHEMA",
        ),
        Case(
            "refused-unknown-payload-type",
            "Validly signed, under a payload type of the future.",
            sign_record(
                KEYS[PE].signing,
                "application/vnd.almenara.statement.v2+avro",
                record.payload,
                record.content,
            ),
            "PAYLOAD_TYPE",
        ),
        Case(
            "refused-other-payload-type",
            "A statement and its signature under the heartbeat's payload type.",
            encode_record(msgspec.structs.replace(record, payload_type=PAYLOAD_HEARTBEAT)),
            "BAD_SIGNATURE",
        ),
        Case(
            "refused-unsigned",
            "No signature.",
            encode_record(msgspec.structs.replace(record, signatures=())),
            "UNSIGNED",
        ),
        Case(
            "refused-signed-twice",
            "The same signature twice.",
            encode_record(msgspec.structs.replace(record, signatures=(signature, signature))),
            "MALFORMED",
        ),
        Case(
            "refused-unknown-key",
            "Signed by a key that no member has.",
            sign_record(STRANGER, PAYLOAD_STATEMENT, record.payload, record.content),
            "UNKNOWN_KEY",
        ),
        Case(
            "refused-before-its-key",
            "Signed by PE's retired key, issued before its start.",
            statement(
                "before",
                batch(1),
                seq=0,
                prev=GENESIS_PREV,
                signer=RETIRED,
                issued_at=to_micros(RETIRED_ENTRY.valid_from) - 301_000_000,
            ).record,
            "KEY_NOT_VALID",
        ),
        Case(
            "refused-bad-signature",
            "One bit of the signature is changed.",
            signed_by(signature.key_id, signature.signature[:-1] + bytes([signature.signature[-1] ^ 1])),
            "BAD_SIGNATURE",
        ),
        Case(
            "refused-other-algorithm",
            "An ECDSA signature under the id of an Ed25519 key.",
            signed_by(signature.key_id, other_algorithm),
            "BAD_SIGNATURE",
        ),
        Case(
            "refused-payload-changed",
            "One bit of the content's hash is changed.",
            encode_record(
                msgspec.structs.replace(record, payload=record.payload[:-1] + bytes([record.payload[-1] ^ 1]))
            ),
            "BAD_SIGNATURE",
        ),
        Case(
            "refused-content-changed",
            "One bit of the content is changed; the signature is PE's.",
            with_content(record.content[:-1] + bytes([record.content[-1] ^ 1])),
            "CONTENT_HASH",
        ),
        Case(
            "refused-content-exchanged",
            "The content of another statement of PE.",
            with_content(parse_record(FIRST.record).content),
            "CONTENT_HASH",
        ),
        Case(
            "refused-content-left-out",
            "A link, as a store may keep it: no record for a topic.",
            without_content(KINDS.record),
            "CONTENT_HASH",
        ),
        Case(
            "refused-checkpoint-stripped",
            "The ML-DSA signature is left out; the Ed25519 one is PE's.",
            second_signature(),
            "UNSIGNED",
        ),
        Case(
            "refused-checkpoint-unknown-key",
            "The ML-DSA signature names a checkpoint key that PE has not enrolled.",
            second_signature(msgspec.structs.replace(ml_dsa, key_id=bytes(32))),
            "UNKNOWN_KEY",
        ),
        Case(
            "refused-checkpoint-bad-signature",
            "One bit of the ML-DSA signature is changed.",
            second_signature(
                msgspec.structs.replace(
                    ml_dsa, signature=ml_dsa.signature[:-1] + bytes([ml_dsa.signature[-1] ^ 1])
                )
            ),
            "BAD_SIGNATURE",
        ),
        Case(
            "refused-checkpoint-three-signatures",
            "The ML-DSA signature twice.",
            second_signature(ml_dsa, ml_dsa),
            "MALFORMED",
        ),
        Case(
            "refused-two-signatures",
            "A statement that is no checkpoint, with an ML-DSA signature beside its own.",
            encode_record(msgspec.structs.replace(record, signatures=(signature, ml_dsa))),
            "MALFORMED",
        ),
        Case(
            "refused-heartbeat-with-content",
            "PE's heartbeat, and a content that nobody signed.",
            encode_record(msgspec.structs.replace(beat, content=record.content)),
            "MALFORMED",
        ),
    ]


def _statements_refused() -> list[Case]:
    """Return records that their author signed and that are refused all the same."""
    record = parse_record(FIRST.record)
    payload, content = record.payload, record.content
    parsed = parse_statement(payload)
    negative = encode_statement(
        encode_head(msgspec.structs.replace(parsed.head, seq=-1)), parsed.content_hash
    )
    pe = KEYS[PE].signing
    return [
        Case(
            "refused-payload-truncated",
            "PE signed a statement without its last byte.",
            sign_record(pe, PAYLOAD_STATEMENT, payload[:-1], content),
            "MALFORMED",
        ),
        Case(
            "refused-payload-trailing-byte",
            "PE signed a statement and a byte.",
            sign_record(pe, PAYLOAD_STATEMENT, payload + b"\0", content),
            "MALFORMED",
        ),
        Case(
            "refused-seq-negative",
            "Seq is -1.",
            sign_record(pe, PAYLOAD_STATEMENT, negative, content),
            "MALFORMED",
        ),
        Case(
            "refused-stream-owner",
            "AR signs a statement that says PE, on PE's topic.",
            sign_record(KEYS[AR].signing, PAYLOAD_STATEMENT, payload, content),
            "STREAM_OWNER",
        ),
        Case(
            "refused-other-stream",
            "PE's statement to the region, replayed on PE's topic of op-condor.",
            FIRST.record,
            "WRONG_STREAM",
            stream=Stream(CONDOR, PE),
        ),
        Case(
            "refused-not-in-audience",
            "AR publishes to op-condor, of which it is no member.",
            statement(
                "intruder",
                batch(11),
                seq=0,
                prev=GENESIS_PREV,
                signer=KEYS[AR].signing,
                where=context(AR, epoch=EPOCHS[0], audience=CONDOR),
            ).record,
            "NOT_IN_AUDIENCE",
            stream=Stream(CONDOR, AR),
        ),
        Case(
            "held-directory-behind",
            "Sealed by a directory newer than the reader's: hold it and refresh.",
            statement("newer", batch(11), seq=4, prev=RECEIPT.hash, directory_version=4).record,
            "DIRECTORY_BEHIND",
        ),
    ]


def _seals_refused() -> list[Case]:
    """Return accepted statements whose content does not open, or not to those who open it."""
    head = parse_statement(parse_record(KINDS.record).payload).head
    k_s = statement_key(SENDER_KEYS["K1"].key, StreamContext.of(head), head.seq)
    length = len(batch(11)).to_bytes(4, "big")

    def resealed(name: str, padded: bytes, *, flip: int = 0, says: Head = head) -> bytes:
        head_bytes = encode_head(says)
        parts = (b"almenara/v1/sealed-batch", PAYLOAD_STATEMENT.encode(), head_bytes)
        associated = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        sealed = nonce(name) + AESGCM(k_s).encrypt(nonce(name), padded, associated)
        sealed = sealed[:-1] + bytes([sealed[-1] ^ flip])
        return _signed(KEYS[PE].signing, head_bytes, encode_content((), sealed))

    announced = parse_record(FIRST.record)
    first, content = parse_statement(announced.payload), announced.content
    parts = parse_content(content)

    def with_content(data: bytes) -> bytes:
        return _signed(KEYS[PE].signing, first.head_bytes, data)

    def for_both(code: str) -> dict[MemberId, Reading]:
        return {AR: Reading(code), CL: Reading(code)}

    exact = (length + batch(11)).ljust(1024, b"\0")
    return [
        Case(
            "refused-content-none",
            "PE signed the hash of no content at all.",
            with_content(b""),
            readers=for_both("UNKNOWN_SCHEMA"),
        ),
        Case(
            "refused-content-trailing-byte",
            "PE signed a content and a byte.",
            with_content(content + b"\0"),
            readers=for_both("MALFORMED"),
        ),
        Case(
            "refused-slots-not-sorted",
            "The slots stand in falling order of key id.",
            with_content(encode_content(parts.key_wraps[::-1], parts.sealed)),
            readers=for_both("NOT_CANONICAL"),
        ),
        Case(
            "refused-padding-not-zero",
            "The last byte of the padding is 1.",
            resealed("nonzero", exact[:-1] + b"\1"),
            readers=for_both("PADDING"),
        ),
        Case(
            "refused-padding-other-bucket",
            "A batch that fits 1 KiB in a bucket of 4 KiB.",
            resealed("bucket", exact.ljust(4096, b"\0")),
            readers=for_both("PADDING"),
        ),
        Case(
            "refused-padding-no-bucket",
            "A size that is no bucket's.",
            resealed("size", exact + bytes(16)),
            readers=for_both("PADDING"),
        ),
        Case(
            "refused-padding-length",
            "The length goes beyond the bucket.",
            resealed("length", (1021).to_bytes(4, "big") + exact[4:]),
            readers=for_both("PADDING"),
        ),
        Case(
            "refused-sealed-changed",
            "One bit of the tag is changed, and PE signed it so.",
            resealed("flip", exact, flip=1),
            readers=for_both("UNSEALABLE"),
        ),
        Case(
            "refused-commitment",
            "The head commits to the key of another statement.",
            resealed("commitment", exact, says=msgspec.structs.replace(head, key_commitment=bytes(32))),
            readers=for_both("KEY_COMMITMENT"),
        ),
        Case(
            "refused-batch-trailing-byte",
            "A byte follows the batch inside the seal.",
            statement("trailing", batch(11) + b"\0", seq=2, prev=LIST.hash).record,
            readers=for_both("MALFORMED"),
        ),
        Case(
            "refused-batch-other-schema",
            "The sealed bytes are no Batch.",
            statement("nobatch", prefix("Head") + batch(11)[10:], seq=2, prev=LIST.hash).record,
            readers=for_both("UNKNOWN_SCHEMA"),
        ),
        Case(
            "refused-no-message",
            "A batch without a message, and no checkpoint.",
            statement("silence", batch(), seq=2, prev=LIST.hash).record,
            readers=for_both("MALFORMED"),
        ),
        Case(
            "refused-checkpoint-with-message",
            "A checkpoint that brings a message; both keys have signed it.",
            statement("speaks", batch(11), seq=2, prev=LIST.hash, checkpoint=True).record,
            readers=for_both("MALFORMED"),
        ),
        Case(
            "refused-member-left-out",
            "Scope AUDIENCE, but the slot of CL holds random bytes.",
            statement("leftout", batch(11), seq=2, prev=LIST.hash, key="K4", announce=True).record,
            readers={AR: Reading(OPENED, (IDS[10],)), CL: Reading("KEY_MISSING")},
        ),
        Case(
            "refused-not-a-recipient",
            "CL opens a list that does not name it.",
            statement(
                "unnamed",
                batch(11, to=[AR]),
                seq=2,
                prev=LIST.hash,
                key="K5",
                announce=True,
                scope=Scope.LIST,
            ).record,
            readers={AR: Reading(OPENED, (IDS[10],)), CL: Reading("NOT_A_RECIPIENT")},
        ),
        Case(
            "refused-empty-list",
            "Scope LIST and no recipients: nobody, never everyone.",
            statement("emptylist", batch(11), seq=2, prev=LIST.hash, key="K2", scope=Scope.LIST).record,
            readers={AR: Reading("NOT_A_RECIPIENT")},
        ),
        Case(
            "refused-audience-with-recipients",
            "Scope AUDIENCE, but the batch names AR alone.",
            statement("named", batch(11, to=[AR]), seq=2, prev=LIST.hash).record,
            readers=for_both("NOT_A_RECIPIENT"),
        ),
        Case(
            "refused-announcement-lifted",
            "AR strips PE's signature and claims the statement, its slots included, for its own stream.",
            _lifted(),
            stream=Stream(REGION, AR),
            readers={CL: Reading("KEY_MISSING")},
        ),
    ]


def _lifted() -> bytes:
    stolen = parse_record(FIRST.record)
    head = encode_head(msgspec.structs.replace(parse_statement(stolen.payload).head, publisher=AR))
    return _signed(KEYS[AR].signing, head, stolen.content)


def _signed(key: SigningKey, head_bytes: bytes, content: bytes) -> bytes:
    payload = encode_statement(head_bytes, sha256(content).digest())
    return sign_record(key, PAYLOAD_STATEMENT, payload, content)
