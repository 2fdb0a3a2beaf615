"""How can somebody check, years later and without any network, who signed a record?

`inbox export` writes one JSON file that proves itself from the root fingerprint on, which people
compared by hand: the signed record, the first root, and the directory's files of the moment that
prove its author's key. With `k_s` it also opens that one statement and no other.

    fingerprint -> root -> TUF metadata -> member's file -> signature -> statement -> k_s -> messages

As evidence it also carries receipts of other members and the links that lead to what they name; then
two members bound the time of the statement, else it is TIME UNPROVEN. Or it carries a rival, and the
two prove EQUIVOCATION (trust.evidence). The directory's files are judged as of the moment when the
exporter's node verified them: they may be long expired when the file is read. The file's own checksum
tells damage, it proves nothing; everything else here does.
"""

from __future__ import annotations

import hashlib
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from almenara.clock import is_usable
from almenara.errors import Code, DirectoryRefused, RecordRefused, Refused, StatementRefused, Unavailable
from almenara.hidden import Hiding
from almenara.model.ids import AudienceId, MemberId, Stream, audience_id, member_id
from almenara.trust.admit import OpenedMessage, VerifiedLink, VerifiedStatement, admit_link
from almenara.trust.directory import Directory
from almenara.trust.evidence import (
    VerifiedReceipt,
    opened_by,
    proven_statement,
    require_standing,
    verify_links,
    verify_receipt,
    verify_rival,
)
from almenara.trust.refresh import METADATA, published_name, refresh, root_fingerprint
from almenara.trust.targets import build_directory
from almenara.wire.avro import sha256_hex
from almenara.wire.records import parse_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from almenara.wire.messages import Batch

EXPORT_MAX = 64 * 1024 * 1024
"""Bytes of an exported record: 1 MB of record and 192 members of 6 KiB, in base64, are below 4 MiB."""

FORMAT: Literal["almenara record 1"] = "almenara record 1"

_SUBJECT = "exported record"


class Receipted(Hiding, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receipt in the file: whose it is, its statement's record, and the key of that one statement."""

    hidden: ClassVar = frozenset({"k_s"})

    member: MemberId
    record: bytes
    k_s: bytes


class ExportedRecord(Hiding, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says; nothing of it is proven before `verify_exported`.

    `directory_at` is when the exporter's node verified these directory files, `k_s` the key of this
    one statement if its content is disclosed.
    """

    hidden: ClassVar = frozenset({"k_s"})

    format: Literal["almenara record 1"] = FORMAT
    audience: AudienceId
    publisher: MemberId
    record: bytes
    root: bytes
    directory: dict[str, bytes]
    directory_at: datetime
    exported_at: datetime
    k_s: bytes | None = None
    schema: str = ""
    links: tuple[bytes, ...] = ()
    receipts: tuple[Receipted, ...] = ()
    rival: bytes | None = None
    sha256: str = ""

    @property
    def stream(self) -> Stream:
        """Return the stream on which the record is said to stand."""
        return Stream(self.audience, self.publisher)

    def to_bytes(self) -> bytes:
        """Return the bytes of the file, its checksum filled in."""
        whole = msgspec.structs.replace(self, sha256=self.checksum)
        return msgspec.json.format(msgspec.json.encode(whole)) + b"\n"

    @property
    def checksum(self) -> str:
        """Return what `sha256` must say: the SHA-256, in hex, of everything else in the file."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, sha256=""))).hexdigest()


# Made with the module: two threads that first decode a type at once crash msgspec (model/messages.py).
_EXPORTED = msgspec.json.Decoder(ExportedRecord)


class VerifiedExport(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose author is proven from the root on; `messages` is None if it stays sealed."""

    statement: VerifiedLink
    directory: Directory
    root_fingerprint: str
    recipients: tuple[MemberId, ...] = ()
    messages: tuple[OpenedMessage, ...] | None = None
    links: tuple[VerifiedLink, ...] = ()
    receipts: tuple[VerifiedReceipt, ...] = ()
    rival: VerifiedLink | None = None

    @property
    def checkpoint(self) -> VerifiedLink | None:
        """Return the checkpoint in the file up to which the statement is signed with ML-DSA too."""
        return next((link for link in (self.statement, *self.links) if link.post_quantum), None)


def directory_files(cache: Path, targets: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the directory's files under their published names, from the TUF client's cache.

    `targets` are the target files by their own names. Raises Unavailable DIRECTORY_MISSING if the
    cache does not lead to exactly these: a newer directory is just being taken.
    """
    try:
        root = (cache / "root.json").read_bytes()
        history = {path.name: path.read_bytes() for path in (cache / "root_history").glob("*.root.json")}
        timestamp, snapshot, signed = (
            (cache / f"{role}.json").read_bytes() for role in ("timestamp", "snapshot", "targets")
        )
        listed: Metadata[Targets] = Metadata.from_bytes(signed)
        newest: Metadata[Root] = Metadata.from_bytes(root)
        files = {published_name(file): targets[name] for name, file in listed.signed.targets.items()}
        snapshot_version = Metadata.from_bytes(snapshot).signed.version
    except (OSError, KeyError, DeserializationError) as exc:
        raise Unavailable(
            Code.DIRECTORY_MISSING,
            f"directory in {cache}: not all of it is there ({exc}); see that the node runs, and try again",
        ) from exc
    history[f"{newest.signed.version}.root.json"] = root
    return {
        **{f"{METADATA}{name}": data for name, data in sorted(history.items())},
        **files,
        f"{METADATA}{listed.signed.version}.targets.json": signed,
        f"{METADATA}{snapshot_version}.snapshot.json": snapshot,
        f"{METADATA}timestamp.json": timestamp,
    }


def parse_exported(data: bytes) -> ExportedRecord:
    """Return what the file says, unproven.

    Raises RecordRefused: OVERSIZE, MALFORMED for what is no exported record or was damaged,
    NOT_CANONICAL for any other form of the same.
    """
    if len(data) > EXPORT_MAX:
        raise RecordRefused(Code.OVERSIZE, f"{_SUBJECT}: more than {EXPORT_MAX} bytes; name another file")
    try:
        exported = _EXPORTED.decode(data)
        member_id(exported.publisher)
        audience_id(exported.audience)
    except (msgspec.DecodeError, UnicodeDecodeError, Refused) as exc:
        raise RecordRefused(
            Code.MALFORMED, f"{_SUBJECT}: not one ({exc}); write it with: almenara inbox export"
        ) from exc
    if not (is_usable(exported.directory_at) and is_usable(exported.exported_at)):
        raise RecordRefused(
            Code.MALFORMED, f"{_SUBJECT}: a time without its zone, or outside 1970 to 8999; export it again"
        )
    if exported.checksum != exported.sha256:
        raise RecordRefused(
            Code.MALFORMED, f"{_SUBJECT}: damaged, its checksum is another; export or copy it again"
        )
    if exported.to_bytes() != data:
        raise RecordRefused(
            Code.NOT_CANONICAL, f"{_SUBJECT}: written in another form than its only one; export it again"
        )
    return exported


def verify_exported(exported: ExportedRecord, *, fingerprint: str) -> VerifiedExport:
    """Return the record with its author proven, and its messages if k_s is disclosed.

    Raises DirectoryRefused if the root is not the one of this fingerprint (SHA-256, lower-case hex) or
    the directory does not follow from it, and what `admit`, `open_sealed` and `decode_batch` raise.
    """
    found = root_fingerprint(exported.root)
    if found != fingerprint:
        raise DirectoryRefused(
            Code.DIRECTORY_INVALID,
            f"{_SUBJECT}: its directory begins with root {found}, not {fingerprint}; ask the coordinator "
            "for the federation's fingerprint, over the telephone",
        )
    directory = _directory(exported)
    now = exported.exported_at
    statement = _statement(exported, directory)
    links = verify_links(statement, exported.links, directory=directory, now=now)
    receipts = tuple(
        verify_receipt(
            each.record,
            each.k_s,
            member=each.member,
            chain=(statement, *links),
            directory=directory,
            now=now,
        )
        for each in exported.receipts
    )
    require_standing(statement, links, receipts)
    rival = None
    if exported.rival is not None:
        rival = verify_rival(statement, exported.rival, directory=directory, now=now)
    batch = _batch(exported, statement, directory)
    return VerifiedExport(
        statement=statement,
        directory=directory,
        root_fingerprint=found,
        recipients=batch.recipients if batch else (),
        messages=tuple(map(OpenedMessage, batch.messages, batch.items)) if batch else None,
        links=links,
        receipts=receipts,
        rival=rival,
    )


def _statement(exported: ExportedRecord, directory: Directory) -> VerifiedLink:
    """Return the statement, with its content if the file has it; a departure since takes nothing back."""
    judge = proven_statement if parse_record(exported.record).content else admit_link
    return judge(exported.record, stream=exported.stream, directory=directory, now=exported.exported_at)


def _batch(exported: ExportedRecord, statement: VerifiedLink, directory: Directory) -> Batch | None:
    """Return what the statement says if its key is disclosed, by the schema in the file."""
    if exported.k_s is None:
        return None
    if not isinstance(statement, VerifiedStatement):
        raise RecordRefused(
            Code.CONTENT_HASH, f"{_SUBJECT}: has the key of a content that was left out; export it again"
        )
    batch = opened_by(exported.k_s, statement)
    schema = hashlib.sha256(exported.schema.encode()).hexdigest()
    if schema not in directory.schemas or schema != sha256_hex("Batch"):
        raise StatementRefused(
            Code.SCHEMA_NOT_ALLOWED,
            f"{_SUBJECT}: its schema of a batch is not one that directory {directory.version} allows and "
            "this release reads; verify it with the release that exported it",
        )
    return batch


def _directory(exported: ExportedRecord) -> Directory:
    with tempfile.TemporaryDirectory(prefix="almenara-") as cache:
        try:
            return build_directory(
                refresh(exported.directory, cache=Path(cache), root=exported.root, now=exported.directory_at)
            )
        except Unavailable as exc:
            # What a file lacks will not come: here it is a refusal, not a wait.
            raise DirectoryRefused(exc.code, f"{_SUBJECT}: {exc.text}") from exc
