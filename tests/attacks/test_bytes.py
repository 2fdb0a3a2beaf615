"""Bytes that were changed, taken away, or put under another name (THREATS 3, 4, 5, 6 and 14)."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from almenara.bus.kafka import Reader
from almenara.errors import Code, RecordRefused
from almenara.model.codes import Language
from almenara.model.ids import REGION, AudienceId, MemberId, Stream
from almenara.model.messages import Text
from almenara.store.quarantine import refusals
from almenara.trust.admit import VerifiedStatement, admit, read_statement, unwrap_sender_key
from almenara.trust.signer import sign_record
from almenara.wire import avro
from almenara.wire.padding import BUCKETS
from almenara.wire.records import (
    PAYLOAD_HEARTBEAT,
    PAYLOAD_STATEMENT,
    KeyWrap,
    Signature,
    encode_content,
    encode_head,
    encode_record,
    encode_statement,
    pae,
    parse_content,
    parse_record,
    parse_statement,
)
from almenara.wire.seal import StreamContext, key_commitment, statement_key, wrap_all
from conformance import federation as golden
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, CL, KEYS, NOW, PE, directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from broker_site import Site

pytestmark = pytest.mark.attacks

STREAM = Stream(REGION, PE)

# Golden records in the smallest bucket, of every kind of record.
GOLDEN = ("heartbeat", "heartbeat-nothing-said", "statement-receipt", "statement-list")


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("name", GOLDEN)
def test_no_record_is_admitted_with_a_bit_changed(name: str, bit: int) -> None:
    vector = json.loads((golden.HERE / "vectors" / "records" / f"{name}.json").read_bytes())
    record = bytearray.fromhex(vector["record"])
    stream = Stream(AudienceId(vector["stream"]["audience"]), MemberId(vector["stream"]["publisher"]))
    known = golden.directory()
    admit(bytes(record), stream=stream, directory=known, now=golden.NOW)
    for position in range(len(record)):
        record[position] ^= 1 << bit
        with pytest.raises(RecordRefused):
            admit(bytes(record), stream=stream, directory=known, now=golden.NOW)
        record[position] ^= 1 << bit


@pytest.mark.integration
async def test_what_stands_beside_the_value_of_a_record_has_no_effect(broker: Site, tmp_path: Path) -> None:
    """Headers, key and time are the operator's to choose: what is delivered is the same."""
    await broker.open_audience("headers", [PE, AR])
    topic, author = "ams.headers.pe", Author()
    plain, dressed = author.says(alert(1)), author.says(alert(2))
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, security_protocol="SSL", ssl_context=broker.operator()
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, plain, partition=0)
        headers = [("payload_type", b"text/plain"), ("key_id", bytes(32)), ("content-encoding", b"gzip")]
        await producer.send_and_wait(
            topic, dressed, key=b"AR", headers=headers, timestamp_ms=4_102_444_800_000, partition=0
        )
    finally:
        await producer.stop()
    async with Reader(broker.bootstrap, broker.member(AR)) as reader:
        received = await reader.read_all(topic)
    assert [each.value for each in received] == [plain, dressed]
    site = ReaderSite(tmp_path)
    site.reads(*[each.value for each in received])
    assert site.ids == [alert(1).message_id, alert(2).message_id]
    assert [entry.row.flags for entry in site.inbox] == ["", ""]


def said() -> tuple[bytes, bytes, bytes]:
    """Return payload and content of a statement of PE, and its payload's signature."""
    record = parse_record(Author().says(alert(1)))
    return record.payload, record.content, record.signatures[0].signature


PAYLOAD, CONTENT, SIGNATURE = said()
KEY = KEYS[PE].signing


def signed(signature: bytes, *, payload_type: str = PAYLOAD_STATEMENT, payload: bytes = PAYLOAD) -> bytes:
    """Return the record with this in place of the signature, under the id of PE's Ed25519 key."""
    record = parse_record(sign_record(KEY, payload_type, payload, CONTENT))
    return encode_record(replace(record, signatures=(Signature(key_id=KEY.key_id, signature=signature),)))


TO_SIGN = pae(PAYLOAD_STATEMENT, PAYLOAD)
CONFUSED = {
    "signed by ML-DSA": lambda: signed(MLDSA65PrivateKey.generate().sign(TO_SIGN)),
    "signed by Ed448": lambda: signed(Ed448PrivateKey.generate().sign(TO_SIGN)),
    "signed by ECDSA": lambda: signed(
        ec.generate_private_key(ec.SECP256R1()).sign(TO_SIGN, ec.ECDSA(SHA256()))
    ),
    "a MAC with the public key as its secret": lambda: signed(hmac.digest(KEY.spki[-32:], TO_SIGN, "sha512")),
    "a hash": lambda: signed(hashlib.sha512(TO_SIGN).digest()),
    "the signature of the hash": lambda: signed(KEY.sign(hashlib.sha512(TO_SIGN).digest())),
    "a neutral element": lambda: signed(b"\1" + bytes(63)),
    "the signature under another type": lambda: signed(SIGNATURE, payload_type=PAYLOAD_HEARTBEAT),
    "the signature of the other type": lambda: signed(KEY.sign(pae(PAYLOAD_HEARTBEAT, PAYLOAD))),
    "a type that ends differently": lambda: signed(
        SIGNATURE, payload_type=PAYLOAD_STATEMENT[:-1], payload=b"o" + PAYLOAD
    ),
}


@pytest.mark.parametrize("value", CONFUSED.values(), ids=CONFUSED.keys())
def test_no_other_algorithm_or_type_speaks_under_a_members_key(value: Callable[[], bytes]) -> None:
    with pytest.raises(RecordRefused) as refused:
        admit(value(), stream=STREAM, directory=directory(), now=NOW)
    assert refused.value.code in {Code.BAD_SIGNATURE, Code.PAYLOAD_TYPE}


def decoded(value: bytes) -> Iterator[str]:
    """Tell which schemas are decoded while a record is judged, in their order."""
    seen: list[str] = []

    def watch(frame: FrameType, event: str, _argument: Any) -> None:  # noqa: ANN401
        if event == "call" and frame.f_code is avro.decode_bare.__code__:
            seen.append(frame.f_locals["name"])

    sys.setprofile(watch)
    try:
        admit(value, stream=STREAM, directory=directory(), now=NOW)
    except RecordRefused as refusal:
        seen.append(refusal.code)
    finally:
        sys.setprofile(None)
    yield from seen


def unsigned(*signatures: Signature) -> bytes:
    return encode_record(
        replace(parse_record(sign_record(KEY, PAYLOAD_STATEMENT, PAYLOAD, CONTENT)), signatures=signatures)
    )


SIGNATURE_GONE = {
    "taken away": (unsigned(), Code.UNSIGNED),
    "emptied": (unsigned(Signature(key_id=KEY.key_id, signature=b"")), Code.BAD_SIGNATURE),
    "of zeros": (unsigned(Signature(key_id=KEY.key_id, signature=bytes(64))), Code.BAD_SIGNATURE),
    "under a key of nobody": (unsigned(Signature(key_id=bytes(32), signature=SIGNATURE)), Code.UNKNOWN_KEY),
}


@pytest.mark.parametrize(("value", "code"), SIGNATURE_GONE.values(), ids=SIGNATURE_GONE.keys())
def test_without_its_signature_nothing_but_the_envelope_is_decoded(value: bytes, code: Code) -> None:
    assert list(decoded(value)) == ["SignedRecord", code]
    assert list(decoded(signed(SIGNATURE))) == ["SignedRecord", "Statement"], "the watch sees what is decoded"


CONTEXT_OF_AR = StreamContext(federation="ams", audience=REGION, publisher=AR, epoch=1_795_512_600_000)


def stolen(*, slots: bool, commitment: bool) -> bytes:
    """Return AR's own statement around PE's ciphertext, which AR may read and so has the key of.

    It may wrap the sender key anew for its own stream, and commit to the key that follows there.
    """
    verified = admit(signed(SIGNATURE), stream=STREAM, directory=directory(), now=NOW)
    assert isinstance(verified, VerifiedStatement)
    key = unwrap_sender_key(read_statement(verified), [KEYS[AR].sealing])
    content = parse_content(CONTENT)
    wraps: tuple[KeyWrap, ...] = content.key_wraps
    if slots:
        public = {key_id: each for key_id, (_, each) in directory().sealing_slots(REGION).items()}
        own = KEYS[AR].sealing.key_id
        wraps = wrap_all(key, context=CONTEXT_OF_AR, slots=public, entitled=public.keys(), own=own)
    own_key = statement_key(key.key, CONTEXT_OF_AR, 0)
    head = replace(
        parse_statement(PAYLOAD).head,
        publisher=AR,
        epoch=CONTEXT_OF_AR.epoch,
        key_commitment=key_commitment(own_key) if commitment else verified.head.key_commitment,
    )
    taken = encode_content(wraps, content.sealed)
    payload = encode_statement(encode_head(head), hashlib.sha256(taken).digest())
    return sign_record(KEYS[AR].signing, PAYLOAD_STATEMENT, payload, taken)


STOLEN = {
    "as it stands": (stolen(slots=False, commitment=False), Code.KEY_MISSING),
    "with slots of its own": (stolen(slots=True, commitment=False), Code.KEY_COMMITMENT),
    "with slots and a commitment of its own": (stolen(slots=True, commitment=True), Code.UNSEALABLE),
}


@pytest.mark.parametrize(("value", "code"), STOLEN.values(), ids=STOLEN.keys())
def test_a_ciphertext_that_another_signs_as_its_own_opens_to_nobody(
    tmp_path: Path, value: bytes, code: Code
) -> None:
    site = ReaderSite(tmp_path, CL, Stream(REGION, AR))
    assert site.reads(value).delivered == 0
    assert [refusal.code for refusal in site.store.read_now(refusals)] == [code]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=12))
def test_only_six_sizes_are_on_the_wire(lengths: list[int]) -> None:
    """Whatever the messages hold and however many there are: what is sealed is a bucket and 28 bytes."""
    author = Author()
    author.says(alert(0))
    messages = [
        alert(number, texts=(Text(lang=Language.ES, title="T", narrative="x" * length),))
        for number, length in enumerate(lengths, 1)
    ]
    record = parse_record(author.says(*messages))
    content = parse_content(record.content)
    assert len(content.sealed) - 28 in BUCKETS
    sealed_alone = encode_content((), bytes(len(content.sealed)))
    assert (content.key_wraps, len(record.content)) == ((), len(sealed_alone)), "nothing else tells a size"
