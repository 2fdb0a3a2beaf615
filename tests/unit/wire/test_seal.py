"""Sealing: who can open what, and that nothing else opens."""

from __future__ import annotations

import hmac
import os
from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from almenara.errors import Code, Refused, StatementRefused
from almenara.model.ids import AudienceId, MemberId
from almenara.wire.records import PAYLOAD_STATEMENT, Head, encode_head
from almenara.wire.seal import (
    BATCH_MAX,
    BUCKETS,
    WRAP_BYTES,
    SealingPrivateKey,
    SenderKey,
    StreamContext,
    choose_bucket,
    key_commitment,
    new_sender_key,
    open_sealed,
    seal,
    sender_key_id,
    statement_key,
    unwrap,
    wrap_all,
)
from unit.wire.seals import CONTEXT, K, framed, head_for

OTHER_CONTEXTS = [
    msgspec.structs.replace(CONTEXT, federation="eur"),
    msgspec.structs.replace(CONTEXT, audience=AudienceId("op-condor")),
    msgspec.structs.replace(CONTEXT, publisher=MemberId("AR")),
    msgspec.structs.replace(CONTEXT, epoch=CONTEXT.epoch + 1),
    # The same letters in all, cut elsewhere.
    msgspec.structs.replace(CONTEXT, federation="amsr", audience=AudienceId("egion")),
]


def sealing_key() -> SealingPrivateKey:
    return SealingPrivateKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())


KEYS = {bytes([n]) * 32: sealing_key() for n in (3, 1, 2, 0)}
SLOTS = {key_id: key.public_key() for key_id, key in KEYS.items()}
OWN, READER, OUTSIDER = bytes([0]) * 32, bytes([1]) * 32, bytes([2]) * 32


K_S = statement_key(K.key, CONTEXT, 4)
HEAD = head_for(K_S)
HEAD_BYTES = encode_head(HEAD)


def seal_raw(padded: bytes) -> bytes:
    """Seal a plaintext whose padding the sender chose."""
    nonce = os.urandom(12)
    associated = framed(b"almenara/v1/sealed-batch", PAYLOAD_STATEMENT.encode(), HEAD_BYTES)
    return nonce + AESGCM(K_S).encrypt(nonce, padded, associated)


def wraps(entitled: set[bytes], key: SenderKey = K) -> dict[bytes, bytes]:
    made = wrap_all(key, context=CONTEXT, slots=SLOTS, entitled=entitled, own=OWN)
    return {slot.key_id: slot.wrap for slot in made}


def refusal_of_unwrap(
    wrap: bytes, key_id: bytes, *, context: StreamContext = CONTEXT, named: bytes = K.id
) -> Code:
    with pytest.raises(StatementRefused) as refused:
        unwrap(wrap, KEYS[key_id], context=context, sender_key=named, key_id=key_id)
    return refused.value.code


def refusal_of_open(
    sealed: bytes, *, k_s: bytes = K_S, head: Head = HEAD, head_bytes: bytes = HEAD_BYTES
) -> Code:
    with pytest.raises(StatementRefused) as refused:
        open_sealed(k_s, head, head_bytes, sealed)
    return refused.value.code


# -- sender keys and slots


def test_sender_keys_are_random_and_named_by_their_hash() -> None:
    other = new_sender_key()
    assert other.key != K.key
    assert K.id == sender_key_id(K.key) == sha256(framed(b"almenara/v1/sender-key", K.key)).digest()


def test_a_sender_key_does_not_show_itself() -> None:
    assert K.key.hex() not in repr(K)
    assert str(K.key) not in f"{K} {[K]}"
    assert repr(K.id) in repr(K)


def test_the_context_of_a_head_is_its_stream_and_epoch() -> None:
    assert StreamContext.of(HEAD) == CONTEXT


def test_an_entitled_member_opens_its_slot_to_the_sender_key() -> None:
    for key_id, wrap in wraps(set(KEYS)).items():
        assert unwrap(wrap, KEYS[key_id], context=CONTEXT, sender_key=K.id, key_id=key_id) == K.key


def test_a_member_not_entitled_opens_its_slot_to_nothing_of_use() -> None:
    assert refusal_of_unwrap(wraps({READER})[OUTSIDER], OUTSIDER) == Code.NOT_FOR_ME


def test_the_publisher_can_always_read_its_own_stream() -> None:
    wrap = wraps({READER})[OWN]
    assert unwrap(wrap, KEYS[OWN], context=CONTEXT, sender_key=K.id, key_id=OWN) == K.key


@settings(max_examples=20, deadline=None)
@given(st.sets(st.sampled_from(sorted(KEYS))))
def test_a_list_and_the_audience_look_alike(entitled: set[bytes]) -> None:
    made = wrap_all(K, context=CONTEXT, slots=SLOTS, entitled=entitled, own=OWN)
    assert [slot.key_id for slot in made] == sorted(KEYS)
    assert {len(slot.wrap) for slot in made} == {WRAP_BYTES}


def test_two_announcements_of_one_key_have_no_slot_in_common() -> None:
    assert not set(wraps({READER}).values()) & set(wraps({READER}).values())


@pytest.mark.parametrize(
    ("entitled", "own"), [({b"\7" * 32}, OWN), ({READER}, b"\7" * 32)], ids=["a reader", "the publisher"]
)
def test_sealing_to_a_key_that_the_audience_has_not_is_refused(entitled: set[bytes], own: bytes) -> None:
    with pytest.raises(Refused) as refused:
        wrap_all(K, context=CONTEXT, slots=SLOTS, entitled=entitled, own=own)
    assert refused.value.code == Code.REQUIRED


def test_an_audience_without_keys_is_refused() -> None:
    with pytest.raises(Refused):
        wrap_all(K, context=CONTEXT, slots={}, entitled=set(), own=OWN)


@pytest.mark.parametrize("context", OTHER_CONTEXTS)
def test_a_slot_opens_in_its_own_stream_and_epoch_alone(context: StreamContext) -> None:
    assert refusal_of_unwrap(wraps({READER})[READER], READER, context=context) == Code.KEY_MISSING


def test_a_slot_opens_for_its_own_reader_and_key_name_alone() -> None:
    made = wraps({READER})
    assert refusal_of_unwrap(made[READER], OUTSIDER) == Code.KEY_MISSING
    assert refusal_of_unwrap(made[READER], READER, named=b"\7" * 32) == Code.KEY_MISSING


@pytest.mark.parametrize("size", [0, 1_120, WRAP_BYTES - 1, WRAP_BYTES + 1])
def test_a_slot_of_another_size_is_refused(size: int) -> None:
    wrap = wraps({READER})[READER].ljust(size, b"\0")[:size]
    assert refusal_of_unwrap(wrap, READER) == Code.KEY_MISSING


def test_a_slot_with_any_byte_changed_does_not_open() -> None:
    wrap = wraps({READER})[READER]
    for position in range(0, WRAP_BYTES, 7):
        changed = bytearray(wrap)
        changed[position] ^= 0x10
        assert refusal_of_unwrap(bytes(changed), READER) == Code.KEY_MISSING


# -- statement keys


def test_a_statement_key_is_hkdf_of_the_sender_key_and_its_place() -> None:
    """RFC 5869 by hand: extract with no salt, then one block of expand."""
    info = framed(
        b"almenara/v1/statement-key", b"ams", b"region", b"PE", CONTEXT.epoch.to_bytes(8), (4).to_bytes(8)
    )
    extracted = hmac.digest(bytes(32), K.key, "sha256")
    assert hmac.digest(extracted, info + b"\1", "sha256") == K_S


def test_every_place_has_its_own_statement_key() -> None:
    keys = {statement_key(K.key, context, seq) for context in [CONTEXT, *OTHER_CONTEXTS] for seq in (0, 1)}
    assert len(keys) == 2 * (1 + len(OTHER_CONTEXTS))


def test_a_commitment_is_a_hash_of_the_statement_key_alone() -> None:
    assert key_commitment(K_S) == sha256(framed(b"almenara/v1/key-commitment", K_S)).digest()


# -- the sealed batch


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_batch_comes_back_from_its_bucket(bucket: int) -> None:
    for size in {0, bucket - 5, bucket - 4, min(bucket - 3, BATCH_MAX)}:
        batch = os.urandom(size)
        sealed = seal(K_S, HEAD_BYTES, batch)
        assert len(sealed) == 12 + choose_bucket(size) + 16
        assert open_sealed(K_S, HEAD, HEAD_BYTES, sealed) == batch


@given(st.integers(0, BATCH_MAX))
def test_the_bucket_is_the_smallest_that_holds_the_batch(size: int) -> None:
    assert choose_bucket(size) == min(bucket for bucket in BUCKETS if bucket >= size + 4)


def test_a_batch_beyond_the_largest_bucket_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        seal(K_S, HEAD_BYTES, bytes(BATCH_MAX + 1))
    assert refused.value.code == Code.OVERSIZE


def test_nonces_are_random_unless_a_vector_gives_one() -> None:
    assert seal(K_S, HEAD_BYTES, b"x") != seal(K_S, HEAD_BYTES, b"x")
    fixed = seal(K_S, HEAD_BYTES, b"x", nonce=b"\6" * 12)
    assert fixed == seal(K_S, HEAD_BYTES, b"x", nonce=b"\6" * 12)
    assert fixed.startswith(b"\6" * 12)


def test_any_bit_changed_is_unsealable() -> None:
    sealed = seal(K_S, HEAD_BYTES, b"batch")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << position % 8
        assert refusal_of_open(bytes(changed)) == Code.UNSEALABLE


def test_a_batch_lifted_under_another_head_is_unsealable() -> None:
    """An attacker strips the signature and puts the ciphertext under a head of its own."""
    stolen = msgspec.structs.replace(HEAD, publisher=MemberId("AR"))
    sealed = seal(K_S, HEAD_BYTES, b"batch")
    assert refusal_of_open(sealed, head=stolen, head_bytes=encode_head(stolen)) == Code.UNSEALABLE


def test_a_key_that_the_head_does_not_commit_to_is_refused() -> None:
    other = os.urandom(32)
    assert refusal_of_open(seal(other, HEAD_BYTES, b"batch"), k_s=other) == Code.KEY_COMMITMENT


@pytest.mark.parametrize("change", [-1, 1, 16, -1_024])
def test_a_size_that_is_no_buckets_is_refused(change: int) -> None:
    sealed = seal(K_S, HEAD_BYTES, b"batch")
    changed = sealed[:change] if change < 0 else sealed + bytes(change)
    assert refusal_of_open(changed) == Code.PADDING


def length(number: int) -> bytes:
    return number.to_bytes(4, "big")


@pytest.mark.parametrize(
    "padded",
    [
        (length(3) + b"abc").ljust(1_023, b"\0") + b"\1",
        length(3) + b"abc\1" + bytes(1_016),
        length(2) + b"abc" + bytes(1_017),
        length(1_021) + bytes(1_020),
        length(0xFFFFFFFF) + bytes(1_020),
        (length(3) + b"abc").ljust(4_096, b"\0"),
    ],
    ids=[
        "last byte set",
        "first byte set",
        "length too short",
        "length one too long",
        "length far too long",
        "a larger bucket than it needs",
    ],
)
def test_padding_in_another_form_is_refused(padded: bytes) -> None:
    assert refusal_of_open(seal_raw(padded)) == Code.PADDING


def test_padding_as_it_must_be_opens() -> None:
    """The cases above fail for their padding, not for the way this file seals."""
    sealed = seal_raw((length(3) + b"abc").ljust(1_024, b"\0"))
    assert open_sealed(K_S, HEAD, HEAD_BYTES, sealed) == b"abc"
