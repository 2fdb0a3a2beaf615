"""How much has this store seen in its life? Counted in the transaction that brings it, so never off.

Counting rows instead would read a table of millions whenever somebody asks for the status.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from almenara.store.tables import tally
from almenara.store.upserts import insert

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tally(StrEnum):
    """Name what is counted."""

    PUBLISHED = "PUBLISHED"
    """Messages of ours accepted, receipts apart."""
    HELD = "HELD"
    """Messages delivered to the inbox."""
    OPENED = "OPENED"
    """Statements of others opened."""
    NOT_FOR_ME = "NOT_FOR_ME"
    """Statements to a list that does not name this member."""


def add(connection: Connection, counts: Mapping[Tally, int]) -> None:
    """Add to the counts."""
    rows = [{"name": name.value, "count": count} for name, count in counts.items() if count]
    if rows:
        query = insert(connection, tally)
        query = query.on_conflict_do_update(
            index_elements=["name"], set_={"count": tally.c["count"] + query.excluded["count"]}
        )
        connection.execute(query, rows)


def tallies(connection: Connection) -> dict[Tally, int]:
    """Return every count, 0 for what has not been seen."""
    rows = connection.execute(select(tally.c.name, tally.c["count"]))
    found = {row[0]: row[1] for row in rows}
    return {name: found.get(name.value, 0) for name in Tally}
