"""What does a person see of the inbox: messages by filter, in order of arrival?"""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, literal, or_, select, union

from almenara.model.codes import Kind
from almenara.store.inbox import MessageRow
from almenara.store.tables import message, outgoing
from almenara.store.wanted import LEVELS, InboxFilter

PREFIX_MIN = 4
"""Digits of an id that count as its beginning; fewer would hide a reference behind chance."""

FOUND_MAX = 50
"""Ids that begin alike: a person who sees more than this types another digit."""


ID_DIGITS = 32
_HEX = frozenset("0123456789abcdef")


class InboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One delivered message and its place in the inbox."""

    position: int
    row: MessageRow


def _where(wanted: InboxFilter) -> ColumnElement[bool]:
    c = message.c
    parts: list[ColumnElement[bool]] = [literal(value=True)]
    for column, values in (
        (c.area, wanted.areas),
        (c.origin, wanted.origins),
        (c.publisher, wanted.senders),
        (c.kind, wanted.kinds),
        (c.audience, wanted.audiences),
    ):
        if values:
            parts.append(column.in_(values))
    if wanted.min_level:
        parts.append(c.level.in_(LEVELS[LEVELS.index(wanted.min_level) :]))
    if wanted.hs_prefixes:
        parts.append(or_(*(c.hs.contains(f" {prefix}", autoescape=True) for prefix in wanted.hs_prefixes)))
    return and_(*parts)


def _entry(row: Row[tuple[object, ...]]) -> InboxEntry:
    fields = row._asdict()
    return InboxEntry(position=fields.pop("position"), row=MessageRow(**fields))


def entries_after(
    connection: Connection, wanted: InboxFilter, *, position: int, limit: int, enough_bytes: int | None = None
) -> list[InboxEntry]:
    """Return the next entries after `position`, oldest first: what a follower reads.

    None comes behind those whose bodies have `enough_bytes` together.
    """
    where = (message.c.position > position, _where(wanted))
    query = select(message).where(*where).order_by(message.c.position).limit(limit)
    if enough_bytes is not None:
        size = func.length(message.c.body).label("size")
        sizes = query.with_only_columns(message.c.position, size)
        taken = 0
        for row in connection.execute(sizes):
            taken += row.size
            if taken >= enough_bytes:
                query = query.where(message.c.position <= row.position)
                break
    return [_entry(row) for row in connection.execute(query)]


def newest_entries(connection: Connection, wanted: InboxFilter, *, limit: int) -> list[InboxEntry]:
    """Return the newest entries, newest first: what a list shows."""
    rows = connection.execute(
        select(message).where(_where(wanted)).order_by(message.c.position.desc()).limit(limit)
    )
    return [_entry(row) for row in rows]


def entries_of(connection: Connection, message_id: bytes) -> list[InboxEntry]:
    """Return the messages with that id; two members may have used the same one."""
    rows = connection.execute(select(message).where(message.c.message_id == message_id))
    return [_entry(row) for row in rows]


def last_position(connection: Connection) -> int:
    """Return the position of the newest message, 0 when there is none."""
    return connection.execute(select(func.max(message.c.position))).scalar() or 0


def ids_named(connection: Connection, name: str) -> list[bytes]:
    """Return the ids of messages, received or ours, that begin with these digits, or have this reference.

    A reference is kept over the versions of an alert: of each author the message that came last counts.
    """
    return _ids_beginning(connection, name) or _ids_of_reference(connection, name)


def _ids_beginning(connection: Connection, name: str) -> list[bytes]:
    digits = name.replace("-", "").lower()
    if not set(digits) <= _HEX or not PREFIX_MIN <= len(digits) <= ID_DIGITS:
        return []
    low, high = (bytes.fromhex(digits.ljust(ID_DIGITS, fill)) for fill in "0f")
    heard = select(message.c.message_id).where(message.c.message_id.between(low, high))
    ours = select(outgoing.c.message_id).where(
        outgoing.c.message_id.between(low, high), outgoing.c.kind != Kind.RECEIPT
    )
    rows = connection.execute(union(heard, ours).order_by("message_id").limit(FOUND_MAX))
    return [row.message_id for row in rows]


def _ids_of_reference(connection: Connection, reference: str) -> list[bytes]:
    if not reference:
        return []
    last = (
        select(func.max(message.c.position))
        .where(message.c.reference == reference)
        .group_by(message.c.publisher)
    )
    heard = connection.execute(select(message.c.message_id).where(message.c.position.in_(last)))
    ours = connection.execute(
        select(outgoing.c.message_id)
        .where(outgoing.c.reference == reference, outgoing.c.kind != Kind.RECEIPT)
        .order_by(outgoing.c.accepted_at.desc(), outgoing.c.epoch.desc(), outgoing.c.seq.desc())
        .limit(1)
    )
    return sorted({row.message_id for row in (*heard, *ours)})[:FOUND_MAX]
