"""Which messages of the inbox does one answer hold? Few enough that it stays small, however large they are.

A follower asks for one page after another, so a node holds nothing of what a slow one has not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.clock import from_micros
from almenara.model.ids import MemberId
from almenara.node.answers import Item, Page
from almenara.store import views
from almenara.wire.messages import decode_message

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from almenara.store.views import InboxEntry
    from almenara.store.wanted import InboxFilter

PAGE_MAX = 1000
"""Items a page: at 1 KB each a megabyte of JSON."""

PAGE_BYTES = 4 * 1024 * 1024
"""Bytes of their bodies with which a page that a follower reads is full: by one message it may have more."""


def page_of(connection: Connection, *, wanted: InboxFilter, after: int | None, limit: int) -> Page:
    """Return the newest items, newest first, or those after a position, oldest first."""
    last = views.last_position(connection)
    if after is None:
        entries = views.newest_entries(connection, wanted, limit=limit)
        return Page(items=tuple(map(item_of, entries)), position=last)
    entries = views.entries_after(connection, wanted, position=after, limit=limit, enough_bytes=PAGE_BYTES)
    full = len(entries) == limit or sum(len(entry.row.body) for entry in entries) >= PAGE_BYTES
    # What the filter passed over need not be looked at again.
    position = entries[-1].position if full and entries else max(last, after)
    return Page(items=tuple(map(item_of, entries)), position=position)


def item_of(entry: InboxEntry) -> Item:
    """Return an entry as it is answered."""
    row = entry.row
    recipients = tuple(MemberId(member) for member in row.recipients.split())
    return Item(
        position=entry.position,
        publisher=row.publisher,
        audience=row.audience,
        recipients=recipients,
        epoch=row.epoch,
        seq=row.seq,
        flags=tuple(row.flags.split()),
        received_at=from_micros(row.received_at),
        message=decode_message(row.body, recipients),
    )
