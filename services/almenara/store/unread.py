"""How much of each stream does the broker hold that was not read yet? By the broker's own word.

For display and estimates alone: nothing is admitted or refused by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store.rows import insert_rows
from almenara.store.tables import unread

if TYPE_CHECKING:
    from collections.abc import Mapping


_DELETE = delete(unread).where(unread.c.audience == bindparam("a"), unread.c.publisher == bindparam("p"))


class Unread(NamedTuple):
    """How many records were to come, and when that was so, in microseconds."""

    records: int = 0
    at: int = 0


def save(connection: Connection, found: Mapping[Stream, int], *, at: int) -> None:
    """Keep how many records of each of these streams are to come."""
    if found:
        connection.execute(_DELETE, [{"a": stream.audience, "p": stream.publisher} for stream in found])
        rows = [(stream.audience, stream.publisher, records, at) for stream, records in found.items()]
        insert_rows(connection, unread, rows)


def read(connection: Connection) -> dict[Stream, Unread]:
    """Return what is known of every stream."""
    return {
        Stream(AudienceId(row.audience), MemberId(row.publisher)): Unread(row.records, row.at)
        for row in connection.execute(select(unread))
    }
