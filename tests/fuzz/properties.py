"""What must hold for any bytes whatever: one function for each place where others' bytes come in.

Each returns if it accepts the bytes. Nothing but an AlmenaraError may end one early: that is a refusal.
What is accepted has one form, so writing it again gives the same bytes; what may be written in more
than one (a message's JSON) gives the same message again.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from almenara.errors import AlmenaraError, Held, MessageRefused
from almenara.model.ids import REGION
from almenara.model.json import message_json, parse_message
from almenara.model.rules import check
from almenara.trust.admission import read_admission, read_member_certificate
from almenara.trust.admit import (
    VerifiedHeartbeat,
    admit,
    admit_link,
    open_statement,
    read_statement,
    unwrap_sender_key,
)
from almenara.trust.enrolment import read_enrolment, verify_enrolment
from almenara.trust.exported import verify_exported
from almenara.trust.exportfile import parse_exported
from almenara.trust.keybackup import read_backup
from almenara.trust.keys import load_sealing_key, load_signing_key
from almenara.trust.proposal import merged, parse_proposal
from almenara.trust.refresh import refresh
from almenara.trust.renewal import is_renewal, read_renewal, verify_renewal
from almenara.trust.targets import build_directory
from almenara.wire.messages import decode_batch, decode_message, encode_batch, encode_message
from almenara.wire.records import (
    PAYLOAD_STATEMENT,
    encode_content,
    encode_heartbeat,
    encode_record,
    encode_statement,
    parse_content,
    parse_heartbeat,
    parse_record,
    parse_statement,
    without_content,
)
from conformance.cases import FIRST
from conformance.federation import CL, KEYS, NOW, PE, SENDER_KEYS
from fuzz.world import DIRECTORY, FILES, GOLDEN, STREAM, published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from almenara.model.messages import Message

GOLDEN_RECORD = FIRST.record
PE_ENROLMENT = verify_enrolment(GOLDEN.members[PE].enrolment)
SENDER_KEY_BY_ID = {key.id: key for key in SENDER_KEYS.values()}


def record(data: bytes) -> None:
    """Read a Kafka value, and its payload and content as if they had been signed."""
    signed = parse_record(data)
    assert encode_record(signed) == data, "the record has another form"
    if signed.payload_type != PAYLOAD_STATEMENT:
        assert encode_heartbeat(parse_heartbeat(signed.payload)) == signed.payload, "another form"
        return
    statement = parse_statement(signed.payload)
    again = encode_statement(statement.head_bytes, statement.content_hash)
    assert again == signed.payload, "the payload has another form"
    content = parse_content(signed.content)
    again = encode_content(content.key_wraps, content.sealed)
    assert again == signed.content, "the content has another form"


def admitted(data: bytes) -> None:
    """Take a record the whole way of a reader: signature, stream, slot, seal, batch, messages, rules."""
    verified = admit(data, stream=STREAM, directory=DIRECTORY, now=NOW)
    if isinstance(verified, VerifiedHeartbeat):
        return
    link = admit_link(without_content(data), stream=STREAM, directory=DIRECTORY, now=NOW)
    assert link.statement_hash == verified.statement_hash, "its link is another statement"
    read = read_statement(verified)
    key = SENDER_KEY_BY_ID.get(verified.head.sender_key) or unwrap_sender_key(read, [KEYS[CL].sealing])
    opened = open_statement(read, reader=CL, sender_key=key, directory=DIRECTORY)
    for each in opened.messages:
        if not isinstance(each.message, MessageRefused):
            _judge(each.message)


def batch(data: bytes) -> None:
    """Read what a statement seals; each message is judged alone, from its own bytes."""
    read = decode_batch(data)
    assert encode_batch(read.recipients, read.items) == data, "the batch has another form"
    for item, message in zip(read.items, read.messages, strict=True):
        if not isinstance(message, MessageRefused):
            alone = decode_message(item, read.recipients)
            assert encode_message(alone) == encode_message(message), "alone it is another message"
            _judge(message)


def document(data: bytes) -> None:
    """Read the JSON of a national system, and judge it by the rules."""
    _judge(parse_message(data, now=NOW))


def enrolment(data: bytes) -> None:
    """Read a member's word on its keys; what is accepted proves itself again."""
    read = read_enrolment(data)
    assert verify_enrolment(read.signed) == read, "the enrolment is another"


def directory(data: bytes) -> None:
    """Build the directory with one of its files replaced, as a quorum of coordinators could."""
    built = build_directory(msgspec.structs.replace(FILES, targets=_with_one(FILES.targets, data)))
    built.standing(NOW)
    for audience in built.audiences.values():
        audience.is_open(NOW, tolerance=timedelta(minutes=5))
        audience.is_over(NOW)
        built.sealing_slots(audience.id)
    with suppress(AlmenaraError, Held):
        admit(GOLDEN_RECORD, stream=STREAM, directory=built, now=NOW)


def refreshed(data: bytes) -> None:
    """Take the directory from its topic with one file replaced, as the operator could."""
    shown = published()
    with tempfile.TemporaryDirectory(dir=_scratch().name) as folder:
        verified = refresh(
            _with_one(shown.files, data), cache=Path(folder), root=shown.root, now=NOW + timedelta(hours=1)
        )
    # A root that is a year old and a version that nobody points to may be damaged without effect.
    assert verified.targets == FILES.targets, "the directory is not what was signed"


def renewal(data: bytes) -> None:
    """Read a request for the next certificate, and judge it."""
    is_renewal(data)
    verify_renewal(read_renewal(data), enrolment=PE_ENROLMENT, now=NOW)


def proposal(data: bytes) -> None:
    """Read what coordinators pass on, and merge it with itself."""
    read = parse_proposal(data)
    assert merged(read, read) == read, "with itself it is another proposal"
    assert parse_proposal(read.to_bytes()) == read, "written again it is another proposal"


def backup(data: bytes) -> None:
    """Read what a backup says in clear."""
    read_backup(_file(data))


def admission(data: bytes) -> None:
    """Read what a coordinator sends back, and the certificate in it."""
    read = read_admission(_file(data))
    read_member_certificate(read.certificate.encode(), ca=read.ca.encode())


def key_file(data: bytes) -> None:
    """Read a key file as either kind of key."""
    path = _file(data)
    with suppress(AlmenaraError):
        load_sealing_key(path, passphrase=None)
    load_signing_key(f"file:{path}", passphrase=None)


def exported(data: bytes) -> None:
    """Verify an exported record, as somebody without a network does."""
    file = parse_exported(data)
    assert file.to_bytes() == data, "the file has another form"
    verify_exported(file, fingerprint=published().fingerprint)


def _judge(message: Message) -> None:
    """Check the rules; what keeps them is the same message on the wire and as JSON."""
    check(message, now=message.issued_at, audience=REGION)
    item = encode_message(message)
    again = decode_message(item, message.recipients)
    assert encode_message(again) == item, "on the wire it is another message"
    said = message_json(again)
    text = msgspec.json.encode(said)
    assert message_json(parse_message(text, now=NOW)) == said, "as JSON it is another message"


def _with_one(files: Mapping[str, bytes], data: bytes) -> dict[str, bytes]:
    """Return the files with the one that the first byte chooses replaced by the rest."""
    return {**files, sorted(files)[data[0] % len(files) if data else 0]: data[1:]}


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    # In memory where the system offers it: a disk would be most of the time.
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="almenara-fuzz-", dir=memory if memory.is_dir() else None)


def _file(data: bytes) -> Path:
    path = Path(_scratch().name) / "input"
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path
