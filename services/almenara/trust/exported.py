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
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from almenara.errors import Code, DirectoryRefused, RecordRefused, StatementRefused, Unavailable
from almenara.model.ids import MemberId
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
from almenara.trust.exportfile import SUBJECT
from almenara.trust.refresh import METADATA, published_name, refresh, root_fingerprint
from almenara.trust.targets import build_directory
from almenara.wire.avro import sha256_hex
from almenara.wire.records import parse_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from almenara.trust.exportfile import ExportedRecord
    from almenara.wire.messages import Batch


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


def verify_exported(exported: ExportedRecord, *, fingerprint: str) -> VerifiedExport:
    """Return the record with its author proven, and its messages if k_s is disclosed.

    Raises DirectoryRefused if the root is not the one of this fingerprint (SHA-256, lower-case hex) or
    the directory does not follow from it, and what `admit`, `open_sealed` and `decode_batch` raise.
    """
    found = root_fingerprint(exported.root)
    if found != fingerprint:
        raise DirectoryRefused(
            Code.DIRECTORY_INVALID,
            f"{SUBJECT}: its directory begins with root {found}, not {fingerprint}; ask the coordinator "
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
            Code.CONTENT_HASH, f"{SUBJECT}: has the key of a content that was left out; export it again"
        )
    batch = opened_by(exported.k_s, statement)
    schema = hashlib.sha256(exported.schema.encode()).hexdigest()
    if schema not in directory.schemas or schema != sha256_hex("Batch"):
        raise StatementRefused(
            Code.SCHEMA_NOT_ALLOWED,
            f"{SUBJECT}: its schema of a batch is not one that directory {directory.version} allows and "
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
            raise DirectoryRefused(exc.code, f"{SUBJECT}: {exc.text}") from exc
