"""A checkpoint is proven by two keys of its author, and what strips or adds a signature proves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from almenara.errors import Code, DirectoryRefused, Held, Misconfigured, RecordRefused, StatementRefused
from almenara.trust.admit import (
    VerifiedStatement,
    admit,
    admit_link,
    open_statement,
    read_statement,
)
from almenara.trust.enrolment import make_enrolment, read_enrolment, succeed
from almenara.trust.keys import CheckpointKey, checkpoint_public, create_checkpoint_key, load_checkpoint_key
from almenara.trust.targets import member_target
from almenara.wire.messages import encode_batch
from almenara.wire.records import Signature, encode_record, parse_record, without_content
from unit.trust.federation import (
    AR,
    CL,
    DAY,
    ENROLMENTS,
    KEYS,
    NOW,
    PE,
    directory,
    enrol,
    member_file,
    targets,
)
from unit.trust.statements import BATCH, STREAM, K, heartbeat, statement

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.directory import Directory

KEY, RETIRED, STRANGER = (CheckpointKey(MLDSA65PrivateKey.generate()) for _ in range(3))
EMPTY = encode_batch((), [])


def enrolled() -> bytes:
    """Return PE's enrolment after its checkpoint key has taken over from another."""
    first = enrol(PE, checkpoint=RETIRED)
    return succeed(first, held=[KEYS[PE].signing], checkpoint_key=KEY, now=NOW)


WITH_KEY = {**targets(), member_target(PE): member_file(read_enrolment(enrolled()))}
DIRECTORY = directory(WITH_KEY)
CHECKPOINT = statement(batch=EMPTY, elicits_receipt=False, checkpoint_key=KEY)


def judge(value: bytes, found: Directory = DIRECTORY) -> VerifiedStatement:
    verified = admit(value, stream=STREAM, directory=found, now=NOW)
    assert isinstance(verified, VerifiedStatement)
    return verified


def signed_with(value: bytes, *second: Signature) -> bytes:
    """Return the record with other signatures beside its first."""
    record = parse_record(value)
    return encode_record(msgspec.structs.replace(record, signatures=(record.signatures[0], *second)))


def second(value: bytes) -> Signature:
    return parse_record(value).signatures[1]


def test_a_checkpoint_signed_with_both_keys_is_post_quantum_and_so_is_its_link() -> None:
    verified = judge(CHECKPOINT.record)
    assert (verified.head.checkpoint, verified.post_quantum) == (True, True)
    link = admit_link(without_content(CHECKPOINT.record), stream=STREAM, directory=DIRECTORY, now=NOW)
    assert link.post_quantum
    assert not judge(statement().record).post_quantum


def test_a_key_that_another_took_over_from_proves_what_it_signed() -> None:
    earlier = statement(batch=EMPTY, checkpoint_key=RETIRED)
    assert judge(earlier.record).post_quantum


ALTERED: dict[str, tuple[bytes, Code]] = {
    "stripped": (signed_with(CHECKPOINT.record), Code.UNSIGNED),
    "of another key": (
        signed_with(CHECKPOINT.record, second(statement(batch=EMPTY, checkpoint_key=STRANGER).record)),
        Code.UNKNOWN_KEY,
    ),
    "of another statement": (
        signed_with(CHECKPOINT.record, second(statement(seq=5, batch=EMPTY, checkpoint_key=KEY).record)),
        Code.BAD_SIGNATURE,
    ),
    "empty": (
        signed_with(CHECKPOINT.record, Signature(key_id=KEY.key_id, signature=b"")),
        Code.BAD_SIGNATURE,
    ),
    "Ed25519 twice": (
        signed_with(CHECKPOINT.record, parse_record(CHECKPOINT.record).signatures[0]),
        Code.UNKNOWN_KEY,
    ),
    "three": (
        signed_with(CHECKPOINT.record, second(CHECKPOINT.record), second(CHECKPOINT.record)),
        Code.MALFORMED,
    ),
    "on another statement": (signed_with(statement().record, second(CHECKPOINT.record)), Code.MALFORMED),
    "on a heartbeat": (signed_with(heartbeat(), second(CHECKPOINT.record)), Code.MALFORMED),
}


@pytest.mark.attacks
@pytest.mark.parametrize(("value", "code"), ALTERED.values(), ids=ALTERED.keys())
def test_a_second_signature_left_out_or_altered_proves_nothing(value: bytes, code: Code) -> None:
    with pytest.raises(RecordRefused) as refusal:
        judge(value)
    assert refusal.value.code is code


@pytest.mark.attacks
def test_the_ml_dsa_signature_alone_is_no_authors_word() -> None:
    record = parse_record(CHECKPOINT.record)
    turned = encode_record(msgspec.structs.replace(record, signatures=record.signatures[::-1]))
    alone = encode_record(msgspec.structs.replace(record, signatures=record.signatures[1:]))
    for value in (turned, alone):
        with pytest.raises(RecordRefused) as refusal:
            judge(value)
        assert refusal.value.code is Code.UNKNOWN_KEY


def test_no_bit_of_a_checkpoint_can_be_changed() -> None:
    value = CHECKPOINT.record
    for position in range(0, len(value), 3):
        changed = bytearray(value)
        changed[position] ^= 1 << position % 8
        with pytest.raises(RecordRefused):
            judge(bytes(changed))


def test_without_a_listed_key_a_checkpoint_counts_as_any_statement() -> None:
    """A directory that is about to arrive may list the key: then it is judged again."""
    for value in (CHECKPOINT.record, signed_with(CHECKPOINT.record)):
        assert not judge(value, directory()).post_quantum
    newer = statement(batch=EMPTY, checkpoint_key=KEY, directory_version=2)
    with pytest.raises(Held):
        judge(newer.record, directory())
    assert judge(newer.record, directory(WITH_KEY, version=2)).post_quantum


@pytest.mark.parametrize(
    ("batch", "checkpoint_key"), [(BATCH, KEY), (EMPTY, None)], ids=["a checkpoint that speaks", "silence"]
)
def test_a_batch_is_empty_exactly_in_a_checkpoint(batch: bytes, checkpoint_key: CheckpointKey | None) -> None:
    said = read_statement(judge(statement(batch=batch, checkpoint_key=checkpoint_key).record))
    with pytest.raises(StatementRefused) as refusal:
        open_statement(said, reader=AR, sender_key=K, directory=DIRECTORY)
    assert refusal.value.code is Code.MALFORMED


def test_a_checkpoint_opens_to_no_message() -> None:
    said = read_statement(judge(CHECKPOINT.record))
    opened = open_statement(said, reader=AR, sender_key=K, directory=DIRECTORY)
    assert (opened.recipients, opened.messages) == ((), ())


def test_the_key_stands_in_a_file_like_the_others(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    made = create_checkpoint_key(path, passphrase=None)
    loaded = load_checkpoint_key(path, passphrase=None)
    assert (loaded.key_id, loaded.spki) == (made.key_id, made.spki)
    checkpoint_public(made.spki).verify(loaded.sign(b"a"), b"a")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Misconfigured):
        create_checkpoint_key(path, passphrase=None)


def test_an_enrolment_lists_the_key_and_what_follows_it_keeps_it() -> None:
    enrolment = read_enrolment(enrolled())
    assert [entry.key_id for entry in enrolment.checkpoint_keys] == [KEY.key_id, RETIRED.key_id]
    assert DIRECTORY.member(PE).checkpoint_key_id == KEY.key_id
    later = read_enrolment(succeed(enrolment, held=[KEYS[PE].signing], now=NOW + DAY))
    assert later.checkpoint_keys == enrolment.checkpoint_keys
    assert directory().member(PE).checkpoint_key_id == b""


def test_another_kind_of_key_is_no_checkpoint_key_and_no_two_members_share_one() -> None:
    with pytest.raises(DirectoryRefused) as other_kind:
        checkpoint_public(KEYS[PE].signing.spki)
    assert "ML-DSA-65" in other_kind.value.text
    shared = {**WITH_KEY, member_target(CL): member_file(enrol(CL, checkpoint=KEY))}
    with pytest.raises(DirectoryRefused):
        directory(shared)


def test_an_older_enrolment_without_the_key_is_the_same_bytes_as_before() -> None:
    assert b"checkpoint" not in ENROLMENTS[PE].signed.payload
    made = make_enrolment(
        federation="ams",
        member=PE,
        name="Customs of PE",
        signing_key=KEYS[PE].signing,
        sealing_key=None,
        tls_request=b"",
        now=NOW,
    )
    assert read_enrolment(made).checkpoint_keys == ()


def test_the_link_of_a_checkpoint_is_below_4_kb() -> None:
    assert len(without_content(CHECKPOINT.record)) < 4_096
