"""Admission: what proves its author is admitted; every other record is refused by its reason."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from almenara.clock import from_micros, to_micros
from almenara.errors import AlmenaraError, Code, Held, RecordRefused, StatementRefused
from almenara.model.ids import AudienceId, Stream
from almenara.trust.admit import (
    RefusedInChain,
    VerifiedHeartbeat,
    VerifiedLink,
    VerifiedStatement,
    admit,
    admit_link,
    proven,
    read_statement,
)
from almenara.trust.directory import MemberStatus
from almenara.trust.signatures import CLOCK_TOLERANCE
from almenara.trust.signer import sign_record
from almenara.trust.targets import audience_target, member_target
from almenara.wire.records import (
    PAYLOAD_HEARTBEAT,
    PAYLOAD_STATEMENT,
    RECORD_MAX,
    Signature,
    SignedRecord,
    encode_content,
    encode_record,
    encode_statement,
    pae,
    parse_content,
    parse_record,
    parse_statement,
    without_content,
)
from unit.trust.federation import (
    AR,
    CL,
    CONDOR,
    DAY,
    ENROLMENTS,
    KEYS,
    NOW,
    PE,
    REGION,
    UY,
    audience_file,
    directory,
    enrol,
    member_file,
    new_keys,
    targets,
)
from unit.trust.statements import CONTEXT, STREAM, announcement, heartbeat, statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from almenara.model.ids import MemberId
    from almenara.trust.directory import Directory

DIRECTORY = directory()
GOOD = statement()


def judge(
    value: bytes, *, stream: Stream = STREAM, found: Directory = DIRECTORY, now: datetime = NOW
) -> VerifiedStatement | VerifiedHeartbeat:
    return admit(value, stream=stream, directory=found, now=now)


def test_a_statement_of_its_author_is_admitted() -> None:
    verified = judge(GOOD.record)
    assert isinstance(verified, VerifiedStatement)
    assert verified.stream == STREAM
    assert (verified.head.publisher, verified.head.seq) == (PE, 4)
    assert verified.statement_hash == GOOD.hash
    assert verified.record == GOOD.record
    assert verified.content == CONTENT
    assert verified.key_id == KEYS[PE].signing.key_id


def test_a_heartbeat_of_its_author_is_admitted() -> None:
    verified = judge(heartbeat())
    assert isinstance(verified, VerifiedHeartbeat)
    assert (verified.stream, verified.heartbeat.head_seq) == (STREAM, 4)


def test_a_heartbeat_may_know_a_newer_directory() -> None:
    assert isinstance(judge(heartbeat(directory_version=2)), VerifiedHeartbeat)


def test_an_old_statement_is_as_good_as_on_its_day() -> None:
    assert judge(GOOD.record, now=NOW + 365 * DAY) == judge(GOOD.record)


PAYLOAD, CONTENT = parse_record(GOOD.record).payload, parse_record(GOOD.record).content
PE_ID, AR_ID = KEYS[PE].signing.key_id, KEYS[AR].signing.key_id


def record(payload: bytes, *signatures: Signature, payload_type: str = PAYLOAD_STATEMENT) -> bytes:
    return encode_record(SignedRecord(payload_type=payload_type, payload=payload, signatures=signatures))


def signature(
    payload: bytes, *, by: MemberId = PE, key_id: bytes | None = None, payload_type: str = PAYLOAD_STATEMENT
) -> Signature:
    key = KEYS[by].signing
    return Signature(key_id=key_id or key.key_id, signature=key.sign(pae(payload_type, payload)))


def of_another_algorithm(payload: bytes) -> Signature:
    key = ec.generate_private_key(ec.SECP256R1())
    signed = key.sign(pae(PAYLOAD_STATEMENT, payload), ec.ECDSA(SHA256()))
    return Signature(key_id=PE_ID, signature=signed)


UNPROVEN: dict[str, tuple[Callable[[bytes], bytes], Code]] = {
    "too large": (lambda _: GOOD.record + bytes(RECORD_MAX), Code.OVERSIZE),
    "nothing": (lambda _: b"", Code.UNKNOWN_SCHEMA),
    "another schema": (lambda _: b"\xc3\x01" + bytes(20), Code.UNKNOWN_SCHEMA),
    "cut short": (lambda _: GOOD.record[:-1], Code.MALFORMED),
    "with a tail": (lambda _: GOOD.record + b"\0", Code.MALFORMED),
    "an unknown payload type": (
        lambda payload: sign_record(KEYS[PE].signing, "application/json", payload),
        Code.PAYLOAD_TYPE,
    ),
    "no signature": (record, Code.UNSIGNED),
    "three signatures": (
        lambda payload: record(payload, *[signature(payload)] * 3),
        Code.MALFORMED,
    ),
    "the key of nobody": (lambda payload: record(payload, signature(payload, by=UY)), Code.UNKNOWN_KEY),
    "another's key id over the signature": (
        lambda payload: record(payload, signature(payload, key_id=AR_ID)),
        Code.BAD_SIGNATURE,
    ),
    "another's signature under the key id": (
        lambda payload: record(payload, signature(payload, by=AR, key_id=PE_ID)),
        Code.BAD_SIGNATURE,
    ),
    "the signature of another payload": (
        lambda payload: record(payload, signature(payload + b"\0")),
        Code.BAD_SIGNATURE,
    ),
    "an empty signature": (
        lambda payload: record(payload, Signature(key_id=PE_ID, signature=b"")),
        Code.BAD_SIGNATURE,
    ),
    "another algorithm": (
        lambda payload: record(payload, of_another_algorithm(payload)),
        Code.BAD_SIGNATURE,
    ),
    "a statement that calls itself a heartbeat": (
        lambda payload: record(payload, signature(payload), payload_type=PAYLOAD_HEARTBEAT),
        Code.BAD_SIGNATURE,
    ),
    "a heartbeat that calls itself a statement": (
        lambda payload: record(payload, signature(payload, payload_type=PAYLOAD_HEARTBEAT)),
        Code.BAD_SIGNATURE,
    ),
    "a signature of the payload alone": (
        lambda payload: record(payload, Signature(key_id=PE_ID, signature=KEYS[PE].signing.sign(payload))),
        Code.BAD_SIGNATURE,
    ),
}


@pytest.mark.attacks
@pytest.mark.parametrize("payload", [PAYLOAD, b"no decoder may see this"], ids=["genuine", "hostile"])
@pytest.mark.parametrize(("value", "code"), UNPROVEN.values(), ids=UNPROVEN.keys())
def test_a_record_that_proves_nothing_is_refused_before_its_payload_is_decoded(
    value: Callable[[bytes], bytes], code: Code, payload: bytes
) -> None:
    # A decoder would have answered UNKNOWN_SCHEMA or MALFORMED to the hostile payload.
    with pytest.raises(RecordRefused) as refusal:
        judge(value(payload))
    assert refusal.value.code is code


@pytest.mark.attacks
@pytest.mark.parametrize("value", [statement().record, heartbeat()], ids=["statement", "heartbeat"])
def test_no_bit_of_a_record_can_be_changed(value: bytes) -> None:
    changed = bytearray(value)
    for position in range(len(value)):
        for bit in range(8):
            changed[position] ^= 1 << bit
            with pytest.raises(RecordRefused):
                judge(bytes(changed))
            changed[position] ^= 1 << bit
    assert bytes(changed) == value


def with_content(value: bytes, content: bytes) -> bytes:
    """Return the record as its author signed it, with a content that somebody else put there."""
    return encode_record(msgspec.structs.replace(parse_record(value), content=content))


EXCHANGED: dict[str, tuple[bytes, Code]] = {
    "another content": (with_content(GOOD.record, encode_content((), b"")), Code.CONTENT_HASH),
    "the content of a neighbour": (
        with_content(GOOD.record, parse_record(statement(seq=5).record).content),
        Code.CONTENT_HASH,
    ),
    "a byte more": (with_content(GOOD.record, CONTENT + b"\0"), Code.CONTENT_HASH),
    "no content": (without_content(GOOD.record), Code.CONTENT_HASH),
    "a heartbeat with a content": (with_content(heartbeat(), CONTENT), Code.MALFORMED),
    "on another stream, too": (
        with_content(statement(AR).record, b"no decoder may see this"),
        Code.CONTENT_HASH,
    ),
}


@pytest.mark.attacks
@pytest.mark.parametrize(("value", "code"), EXCHANGED.values(), ids=EXCHANGED.keys())
def test_a_content_that_its_author_did_not_sign_proves_nothing(value: bytes, code: Code) -> None:
    with pytest.raises(RecordRefused) as refusal:
        judge(value)
    assert refusal.value.code is code


def signed(content: bytes) -> bytes:
    """Return a statement of PE with this content, whatever it is."""
    payload = encode_statement(parse_statement(PAYLOAD).head_bytes, sha256(content).digest())
    return sign_record(KEYS[PE].signing, PAYLOAD_STATEMENT, payload, content)


NO_CONTENT: dict[str, tuple[bytes, Code]] = {
    "nothing": (b"", Code.UNKNOWN_SCHEMA),
    "a statement": (PAYLOAD, Code.UNKNOWN_SCHEMA),
    "cut short": (CONTENT[:-1], Code.MALFORMED),
    "with a tail": (CONTENT + b"\0", Code.MALFORMED),
    "slots twice": (encode_content(announcement()[:1] * 2, b""), Code.NOT_CANONICAL),
}


@pytest.mark.parametrize(("content", "code"), NO_CONTENT.values(), ids=NO_CONTENT.keys())
def test_a_content_that_is_none_is_its_authors_fault_and_found_when_it_is_read(
    content: bytes, code: Code
) -> None:
    verified = judge(signed(content))
    assert isinstance(verified, VerifiedStatement)
    with pytest.raises(StatementRefused) as refusal:
        read_statement(verified)
    assert refusal.value.code is code


def test_a_statement_is_read_in_its_parts() -> None:
    verified = judge(statement(key_wraps=announcement()).record)
    assert isinstance(verified, VerifiedStatement)
    read, parts = read_statement(verified), parse_content(verified.content)
    assert (read.verified, read.key_wraps, read.sealed) == (verified, parts.key_wraps, parts.sealed)
    assert len(read.key_wraps) == 3


def link_of(value: bytes, *, found: Directory = DIRECTORY, stream: Stream = STREAM) -> VerifiedLink:
    return admit_link(value, stream=stream, directory=found, now=NOW)


@pytest.mark.parametrize(
    "value",
    [GOOD.record, without_content(GOOD.record), with_content(GOOD.record, b"anything")],
    ids=["whole", "without its content", "with another content"],
)
def test_a_link_proves_author_place_and_which_content(value: bytes) -> None:
    link, whole = link_of(value), judge(GOOD.record)
    assert isinstance(whole, VerifiedStatement)
    assert type(link) is VerifiedLink
    assert (link.stream, link.head, link.statement, link.key_id, link.statement_hash) == (
        whole.stream,
        whole.head,
        whole.statement,
        whole.key_id,
        whole.statement_hash,
    )
    assert link.statement.content_hash == sha256(CONTENT).digest()
    assert link.record == value


def test_a_link_is_refused_for_all_that_a_statement_is_refused_for() -> None:
    values = [(value(PAYLOAD), code) for value, code in UNPROVEN.values()]
    values += [(value(), code) for name, (value, code) in NOT_HERE.items() if "heartbeat" not in name]
    for value, code in values:
        with pytest.raises((RecordRefused, StatementRefused)) as refusal:
            link_of(value)
        assert refusal.value.code is code
    with pytest.raises(Held):
        link_of(statement(directory_version=2).record)


def test_a_heartbeat_is_no_link() -> None:
    with pytest.raises(StatementRefused) as refusal:
        link_of(heartbeat())
    assert refusal.value.code is Code.PAYLOAD_TYPE


def test_a_departed_author_can_be_held_to_its_links() -> None:
    for _, stream, found, said, _ in without_pe():
        link = link_of(without_content(said), found=found, stream=stream)
        assert (link.stream, link.head.publisher) == (stream, PE)


def elsewhere(stream: Stream) -> bytes:
    """Return PE's genuine statement of another stream."""
    context = msgspec.structs.replace(CONTEXT, audience=stream.audience, publisher=stream.publisher)
    return statement(context=context).record


NOT_HERE: dict[str, tuple[Callable[[], bytes], Code]] = {
    "another member's key": (lambda: statement(AR).record, Code.STREAM_OWNER),
    "another member's heartbeat": (lambda: heartbeat(AR), Code.STREAM_OWNER),
    "moved from another audience": (lambda: elsewhere(Stream(CONDOR, PE)), Code.WRONG_STREAM),
    "in another's name": (lambda: elsewhere(Stream(REGION, AR)), Code.WRONG_STREAM),
    "moved from another federation": (
        lambda: statement(context=msgspec.structs.replace(CONTEXT, federation="eur")).record,
        Code.WRONG_STREAM,
    ),
    "a heartbeat moved": (lambda: heartbeat(audience=CONDOR), Code.WRONG_STREAM),
    "no statement in it": (
        lambda: sign_record(KEYS[PE].signing, PAYLOAD_STATEMENT, b"signed, but nothing"),
        Code.UNKNOWN_SCHEMA,
    ),
    "a heartbeat in it": (
        lambda: sign_record(KEYS[PE].signing, PAYLOAD_STATEMENT, parse_record(heartbeat()).payload),
        Code.UNKNOWN_SCHEMA,
    ),
    "a statement cut short in it": (
        lambda: sign_record(KEYS[PE].signing, PAYLOAD_STATEMENT, PAYLOAD[:-1]),
        Code.MALFORMED,
    ),
    "a statement as heartbeat": (
        lambda: sign_record(KEYS[PE].signing, PAYLOAD_HEARTBEAT, b"signed, but nothing"),
        Code.UNKNOWN_SCHEMA,
    ),
}


@pytest.mark.attacks
@pytest.mark.parametrize(("value", "code"), NOT_HERE.values(), ids=NOT_HERE.keys())
def test_what_is_signed_and_does_not_belong_here_touches_no_chain(
    value: Callable[[], bytes], code: Code
) -> None:
    with pytest.raises(StatementRefused) as refusal:
        judge(value())
    assert refusal.value.code is code
    assert not isinstance(refusal.value, RefusedInChain)


def test_a_stream_of_an_unknown_audience_is_refused() -> None:
    stream = Stream(AudienceId("nowhere"), PE)
    with pytest.raises(StatementRefused) as refusal:
        judge(elsewhere(stream), stream=stream)
    assert refusal.value.code is Code.UNKNOWN_AUDIENCE


def without_pe() -> list[tuple[str, Stream, Directory, bytes, bytes]]:
    """Return ways in which PE may not be in the audience, with a statement and a heartbeat of it."""
    suspended = {
        **targets(),
        member_target(PE): member_file(ENROLMENTS[PE], status=MemberStatus.SUSPENDED),
    }
    others = targets(ENROLMENTS[AR], ENROLMENTS[CL], ENROLMENTS[PE])
    condor = Stream(CONDOR, PE)
    return [
        ("suspended", STREAM, directory(suspended), GOOD.record, heartbeat()),
        ("not a member", condor, directory(others), elsewhere(condor), heartbeat(audience=CONDOR)),
    ]


@pytest.mark.parametrize("case", without_pe(), ids=lambda case: str(case[0]))
def test_a_statement_from_outside_the_audience_is_refused_in_its_place_in_the_chain(
    case: tuple[str, Stream, Directory, bytes, bytes],
) -> None:
    _, stream, found, said, alive = case
    with pytest.raises(RefusedInChain) as refusal:
        judge(said, stream=stream, found=found)
    assert refusal.value.code is Code.NOT_IN_AUDIENCE
    assert (refusal.value.verified.head.seq, refusal.value.verified.stream) == (4, stream)
    with pytest.raises(StatementRefused) as beat:
        judge(alive, stream=stream, found=found)
    assert beat.value.code is Code.NOT_IN_AUDIENCE


@pytest.mark.parametrize("case", without_pe(), ids=lambda case: str(case[0]))
def test_what_a_departed_author_said_can_still_be_proven(
    case: tuple[str, Stream, Directory, bytes, bytes],
) -> None:
    _, stream, found, said, _ = case
    verified = proven(said, stream=stream, directory=found, now=NOW)
    assert isinstance(verified, VerifiedStatement)
    assert (verified.stream, verified.record) == (stream, said)
    with pytest.raises(RecordRefused):
        proven(said[:-1], stream=stream, directory=found, now=NOW)


def test_what_was_issued_once_the_audience_was_over_is_refused_in_its_place_in_the_chain() -> None:
    condor, tick = Stream(CONDOR, PE), timedelta(microseconds=1)

    def ending(end: datetime) -> Directory:
        closed = audience_file(PE, AR, closes_at=end - 30 * DAY)
        return directory({**targets(), audience_target(CONDOR): closed})

    said = elsewhere(condor)
    issued_at = from_micros(parse_statement(parse_record(said).payload).head.issued_at)
    in_time = judge(said, stream=condor, found=ending(issued_at - CLOCK_TOLERANCE + tick))
    assert isinstance(in_time, VerifiedStatement)
    over = ending(issued_at - CLOCK_TOLERANCE)
    with pytest.raises(RefusedInChain) as refusal:
        judge(said, stream=condor, found=over)
    assert refusal.value.code is Code.AUDIENCE_CLOSED
    assert proven(said, stream=condor, directory=over, now=NOW) == in_time


def test_a_statement_of_a_newer_directory_is_held_until_it_has_come() -> None:
    newer = statement(directory_version=2).record
    with pytest.raises(Held) as held:
        judge(newer)
    assert held.value.code is Code.DIRECTORY_BEHIND
    assert isinstance(judge(newer, found=directory(version=2)), VerifiedStatement)


def key_matrix() -> dict[str, tuple[timedelta, timedelta, bool]]:
    """Name how long after the start of a key it signs, and a reader reads."""
    tick = timedelta(microseconds=1)
    return {
        "in force": (DAY, DAY, True),
        "in force, read a year later": (DAY, 365 * DAY, True),
        "before its start": (-DAY, DAY, False),
        "before its start, by the clock's tolerance": (-CLOCK_TOLERANCE, DAY, True),
        "not yet in force": (DAY, -CLOCK_TOLERANCE - tick, False),
        "in force by the clock's tolerance": (timedelta(), -CLOCK_TOLERANCE, True),
    }


@pytest.mark.attacks
@pytest.mark.parametrize(("signed", "read", "speaks"), key_matrix().values(), ids=list(key_matrix()))
def test_a_key_speaks_for_its_member_from_its_start_on(
    signed: timedelta,
    read: timedelta,
    speaks: bool,  # noqa: FBT001 - a column of the table
) -> None:
    issued_at = to_micros(NOW + signed)
    for value in (statement(issued_at=issued_at).record, heartbeat(issued_at=issued_at)):
        if speaks:
            verified = judge(value, now=NOW + read)
            assert (verified.record, verified.ended) == (value, False)
        else:
            with pytest.raises(RecordRefused) as refusal:
                judge(value, now=NOW + read)
            assert refusal.value.code is Code.KEY_NOT_VALID


@pytest.mark.attacks
@pytest.mark.parametrize("signed", [timedelta(), 9 * DAY, 10 * DAY, 11 * DAY])
def test_a_key_that_has_ended_proves_no_time_whatever_it_writes(signed: timedelta) -> None:
    """Its holder can write any date: only the chain can show what its member stands by."""
    retired = msgspec.structs.replace(ENROLMENTS[PE].signing_keys[0], valid_until=NOW + 10 * DAY)
    successor = enrol(PE, new_keys(), at=NOW + 10 * DAY, retired=(retired,))
    found = directory({**targets(), member_target(PE): member_file(successor)})
    issued_at = to_micros(NOW + signed)
    for value in (statement(issued_at=issued_at).record, heartbeat(issued_at=issued_at)):
        assert judge(value, found=found, now=NOW + 20 * DAY).ended
    assert not found.is_in_force(KEYS[PE].signing.key_id)
    assert found.is_in_force(KEYS[AR].signing.key_id)
    assert not found.is_in_force(b"")
    assert (KEYS[PE].signing.key_id, True) in found.signing_key_ends()


def test_every_refusal_names_its_subject_and_says_what_to_do() -> None:
    values = [value(PAYLOAD) for value, _ in UNPROVEN.values()] + [value() for value, _ in NOT_HERE.values()]
    for value in values:
        with pytest.raises(AlmenaraError) as refusal:
            judge(value)
        subject, colon, rest = refusal.value.text.partition(": ")
        fault, semicolon, remedy = rest.rpartition("; ")
        assert all((subject, colon, fault, semicolon, remedy)), refusal.value.text
