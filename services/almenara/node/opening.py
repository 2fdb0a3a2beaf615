"""What did a statement say that stands in the store, and which record proves it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, Refused, StatementRefused
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store import inbox, outbox, views
from almenara.trust.admit import VerifiedStatement, open_statement, proven, read_statement
from almenara.wire.seal import SenderKey

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Connection

    from almenara.trust.admit import OpenedStatement
    from almenara.trust.directory import Directory


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A message's statement in the store: where it stands, its signed bytes, and when they came."""

    audience: AudienceId
    publisher: MemberId
    epoch: int
    seq: int
    record: bytes
    at: int

    @property
    def stream(self) -> Stream:
        """Return the stream of the statement."""
        return Stream(self.audience, self.publisher)


def unknown_message(message_id: UUID) -> Refused:
    """Return the refusal of an id that no message here has."""
    return Refused(
        Code.UNKNOWN_MESSAGE,
        f"message {message_id}: neither received nor published here; see: almenara inbox list",
    )


def not_kept(stream: Stream, epoch: int, seq: int) -> Refused:
    """Return the refusal of a statement that the housekeeping has dropped."""
    return Refused(
        Code.UNKNOWN_MESSAGE,
        f"statement {stream} {epoch}/{seq}: its signed bytes are no longer kept; its retention is over",
    )


def find_statement(
    connection: Connection, message_id: UUID, *, member: MemberId, publisher: MemberId | None
) -> Found:
    """Return the statement that carried a message, received or `member`'s own.

    Raises Refused UNKNOWN_MESSAGE, or CONFLICT if several members used the id and none is named.
    """
    found = [_received(connection, entry) for entry in views.entries_of(connection, message_id.bytes)]
    ours = outbox.outgoing_by_id(connection, [message_id.bytes]).get(message_id.bytes)
    if ours is not None:
        found.append(_own(connection, ours, member))
    found = [each for each in found if publisher in {None, each.publisher}]
    if not found:
        raise unknown_message(message_id)
    if len(found) > 1:
        names = ", ".join(sorted(each.publisher for each in found))
        raise Refused(Code.CONFLICT, f"message {message_id}: {names} each used this id; name the publisher")
    return found[0]


def open_found(
    connection: Connection, found: Found, *, member: MemberId, directory: Directory, now: datetime
) -> OpenedStatement:
    """Return what a statement says; raise StatementRefused or RecordRefused if it does not open now."""
    verified = proven(found.record, stream=found.stream, directory=directory, now=now)
    if not isinstance(verified, VerifiedStatement):
        raise AssertionError(str(found.stream))  # noqa: TRY004 - a bug: statements alone stand there
    head = verified.head
    known = inbox.sender_key_of(connection, found.stream, head.epoch, head.sender_key)
    if known is None or known.key is None:
        raise StatementRefused(
            Code.KEY_MISSING,
            f"statement {found.stream} {head.epoch}/{head.seq}: its sender key is not held here (any more)",
        )
    key = SenderKey(key=known.key, id=head.sender_key)
    return open_statement(read_statement(verified), reader=member, sender_key=key, directory=directory)


def _received(connection: Connection, entry: views.InboxEntry) -> Found:
    row = entry.row
    stream = Stream(row.audience, row.publisher)
    record = inbox.record_at(connection, stream, row.epoch, row.seq)
    return _found(stream, row.epoch, row.seq, record, at=row.received_at)


def _own(connection: Connection, message: outbox.Outgoing, member: MemberId) -> Found:
    said = outbox.statement_at(connection, message.audience, message.epoch, message.seq)
    stream = Stream(message.audience, member)
    return _found(
        stream, message.epoch, message.seq, None if said is None else said.record, at=message.accepted_at
    )


def _found(stream: Stream, epoch: int, seq: int, record: bytes | None, *, at: int) -> Found:
    if record is None:
        raise not_kept(stream, epoch, seq)
    return Found(
        audience=stream.audience, publisher=stream.publisher, epoch=epoch, seq=seq, record=record, at=at
    )
