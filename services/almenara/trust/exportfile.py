"""What does the file hold that `inbox export` writes? Nothing of it is proven yet (trust.exported)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from almenara.clock import is_usable
from almenara.errors import Code, RecordRefused, Refused
from almenara.hidden import Hiding
from almenara.model.ids import AudienceId, MemberId, Stream, audience_id, member_id

EXPORT_MAX = 64 * 1024 * 1024
"""Bytes of an exported record: 1 MB of record and 192 members of 6 KiB, in base64, are below 4 MiB."""

FORMAT: Literal["almenara record 1"] = "almenara record 1"

SUBJECT = "exported record"


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


def parse_exported(data: bytes) -> ExportedRecord:
    """Return what the file says, unproven.

    Raises RecordRefused: OVERSIZE, MALFORMED for what is no exported record or was damaged,
    NOT_CANONICAL for any other form of the same.
    """
    if len(data) > EXPORT_MAX:
        raise RecordRefused(Code.OVERSIZE, f"{SUBJECT}: more than {EXPORT_MAX} bytes; name another file")
    try:
        exported = _EXPORTED.decode(data)
        member_id(exported.publisher)
        audience_id(exported.audience)
    except (msgspec.DecodeError, UnicodeDecodeError, Refused) as exc:
        raise RecordRefused(
            Code.MALFORMED, f"{SUBJECT}: not one ({exc}); write it with: almenara inbox export"
        ) from exc
    if not (is_usable(exported.directory_at) and is_usable(exported.exported_at)):
        raise RecordRefused(
            Code.MALFORMED, f"{SUBJECT}: a time without its zone, or outside 1970 to 8999; export it again"
        )
    if exported.checksum != exported.sha256:
        raise RecordRefused(
            Code.MALFORMED, f"{SUBJECT}: damaged, its checksum is another; export or copy it again"
        )
    if exported.to_bytes() != data:
        raise RecordRefused(
            Code.NOT_CANONICAL, f"{SUBJECT}: written in another form than its only one; export it again"
        )
    return exported
