"""What does each row of a file become? Messages, a duplicate, somebody else's, or a reject.

Nothing here depends on the moment, the machine or the federation: the same row always becomes the same
bytes. A message's id is a UUIDv7 of the row's own time whose other bits are a hash of mapping, row and
message; so importing again publishes nothing twice, whatever happened in between.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from almenara.errors import Code, Fault, MessageRefused, Misconfigured
from almenara.imports.csvfile import open_csv, tidy
from almenara.model import formats
from almenara.model.ids import MemberId
from almenara.model.json import message_json, parse_message_object
from almenara.model.rules import check
from almenara.model.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from almenara.imports.csvfile import CsvFile, Line
    from almenara.imports.mapping import Draft
    from almenara.imports.mapping import Mapping as RowMapping
    from almenara.imports.template import Cells
    from almenara.model.messages import Message

_LABEL = b"almenara/import/v1"
_ENTROPY_BYTES = 10
_REMEMBERED_BYTES = 8
"""Of the hash of a row already seen: among a million rows two meet by chance once in 37 million runs."""

_INDEX = re.compile(r"\[\d+\]")


class Mapped(NamedTuple):
    """The row's messages in order, those answered first; their recipients are all that the row names."""

    sender: MemberId
    messages: tuple[Message, ...]


class Duplicate(NamedTuple):
    """The row says the same as an earlier one."""

    of: int


class NotOurs(NamedTuple):
    """The row is for another member to publish."""

    sender: MemberId


class Rejected(NamedTuple):
    """The row cannot become messages; the path of a fault is a column, or a field of the message."""

    faults: tuple[Fault, ...]


Outcome: TypeAlias = Mapped | Duplicate | NotOurs | Rejected


class Row(NamedTuple):
    """One row below the header, which is row 1, and what becomes of it."""

    number: int
    cells: Sequence[str]
    outcome: Outcome
    share: float
    """How much of the file is read, 0 to 1."""


class RowFile:
    """A CSV file read through a mapping. `rows` reads it, once."""

    def __init__(self, file: CsvFile, mapping: RowMapping) -> None:
        self._file = file
        self._mapping = mapping
        self._seen: dict[bytes, tuple[int, bytes]] = {}

    @property
    def header(self) -> Sequence[str]:
        """Return the names of the columns."""
        return self._file.header

    def rows(
        self, *, now: datetime, is_ours: Callable[[MemberId], bool] = lambda _sender: True
    ) -> Iterator[Row]:
        """Yield every row with its outcome; `is_ours` says whose rows are to become messages.

        Holds one row at a time, and remembers some 300 bytes of each to know duplicates by.
        """
        for line in self._file.lines():
            yield Row(line.number, line.cells, self._outcome(line, now, is_ours), line.share)

    def _outcome(self, line: Line, now: datetime, is_ours: Callable[[MemberId], bool]) -> Outcome:
        if line.fault is not None:
            return Rejected((line.fault,))
        cells = {column: tidy(cell) for column, cell in zip(self.header, line.cells, strict=True)}
        try:
            sender = _sender(self._mapping, cells)
            if not is_ours(sender):
                return NotOurs(sender)
            identity = _identity(self._mapping, cells)
            messages = _messages(self._mapping, cells, sender=sender, identity=identity, now=now)
            earlier = self._earlier(identity, messages, line.number)
        except MessageRefused as refusal:
            return Rejected(refusal.faults)
        return Mapped(sender, messages) if earlier is None else Duplicate(earlier)

    def _earlier(self, identity: bytes, messages: Sequence[Message], number: int) -> int | None:
        """Return the earlier row that says the same; raise MessageRefused if one says otherwise."""
        content = sha256(msgspec.json.encode([message_json(message) for message in messages])).digest()
        mark = (number, content[:_REMEMBERED_BYTES])
        earlier, said = self._seen.setdefault(identity[:_REMEMBERED_BYTES], mark)
        if earlier == number:
            return None
        if said == mark[1]:
            return earlier
        columns = ", ".join(self._mapping.sources["$.identity"])
        text = f"row {earlier} has the same and says otherwise; the first one counts"
        raise MessageRefused([Fault(Code.CONFLICT, columns, text)])


@contextmanager
def open_rows(path: Path, mapping: RowMapping) -> Iterator[RowFile]:
    """Lend a file read through a mapping.

    Raises Misconfigured CONFIGURATION if it cannot be read, or lacks a column that the mapping needs.
    """
    with open_csv(path) as file:
        missing = [column for column in mapping.columns if column not in file.header]
        if missing:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"{path}: no column {', '.join(repr(column) for column in missing)}, which mapping "
                f"{mapping.name} needs; name the mapping that fits, or correct the header",
            )
        twice = [column for column in mapping.columns if file.header.count(column) > 1]
        if twice:
            raise Misconfigured(
                Code.CONFIGURATION, f"{path}: two columns {twice[0]!r}; rename one that is not meant"
            )
        yield RowFile(file, mapping)


def _sender(mapping: RowMapping, cells: Cells) -> MemberId:
    code = mapping.sender(cells)
    columns = ", ".join(mapping.sources.get("$.sender", ()))
    if code is None:
        raise MessageRefused([Fault(Code.REQUIRED, columns, "names no country: no member sent this")])
    if (flaw := formats.member(code)) is not None:
        raise MessageRefused([Fault(flaw.code, columns, flaw.text)])
    return MemberId(code)


def _identity(mapping: RowMapping, cells: Cells) -> bytes:
    """Return the hash that is the same for this row in every file and every run."""
    values = mapping.identity(cells)
    if values is None:
        columns = ", ".join(mapping.sources["$.identity"])
        raise MessageRefused([Fault(Code.REQUIRED, columns, "empty: nothing tells this row from others")])
    return _hash(mapping.name, *values)


def _messages(
    mapping: RowMapping, cells: Cells, *, sender: MemberId, identity: bytes, now: datetime
) -> tuple[Message, ...]:
    issued_at = mapping.issued_at(cells)
    if issued_at is None:
        columns = ", ".join(mapping.sources["$.issued_at"])
        raise MessageRefused([Fault(Code.REQUIRED, columns, "empty: want the time of the row")])
    recipients = [code for code in mapping.recipients(cells) or () if code != sender]
    made: dict[str, UUID] = {}
    messages = []
    for draft in mapping.drafts:
        if not draft.applies(cells):
            continue
        made[draft.name] = uuid7(issued_at, entropy=_hash(identity.hex(), draft.name)[:_ENTROPY_BYTES])
        try:
            fields = _fields(draft, cells, issued_at, mapping.retention_days)
            if draft.answers in made:
                fields["in_reply_to"] = made[draft.answers]
                fields["body"] |= {"alert_publisher": sender, "alert_id": made[draft.answers]}
            fields |= {"message_id": made[draft.name], "recipients": recipients}
            fields["actions"] = [
                action for action in fields.get("actions", ()) if action.get("member") != sender
            ]
            message = parse_message_object(fields, now=issued_at)
            check(message, now=now, audience=mapping.audience)
        except MessageRefused as refusal:
            sources = {**mapping.sources, **draft.sources}
            raise MessageRefused([_in_columns(fault, sources) for fault in refusal.faults]) from refusal
        messages.append(message)
    return tuple(messages)


def _fields(draft: Draft, cells: Cells, issued_at: datetime, retention_days: int) -> dict[str, Any]:
    """Return the message of a draft as JSON values, but for its id, recipients and what it answers."""
    fields: dict[str, Any] = draft.fields(cells) or {}
    try:
        if draft.valid_days is not None:
            fields["expires_at"] = issued_at + timedelta(days=draft.valid_days)
        retention = issued_at + timedelta(days=retention_days)
    except OverflowError as exc:
        raise MessageRefused([Fault(Code.RANGE, "$.issued_at", "too far ahead")]) from exc
    fields["handling"] = {**fields.get("handling", {}), "retention_until": retention}
    return {**fields, "kind": draft.kind.value, "issued_at": issued_at, "body": draft.body(cells) or {}}


def _in_columns(fault: Fault, sources: Mapping[str, Sequence[str]]) -> Fault:
    """Return the fault with the columns that filled the field, where it was filled from the row."""
    columns = sources.get(_INDEX.sub("[]", fault.path))
    return fault if columns is None else Fault(fault.code, ", ".join(columns), fault.text)


def _hash(*parts: str) -> bytes:
    """Return SHA-256 of the parts, each with its length before it, so that none runs into the next."""
    digest = sha256(_LABEL)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.digest()
