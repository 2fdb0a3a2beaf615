"""Which directory was verified last? One row: a node starts from it, and offline work rests on it."""

from __future__ import annotations

from sqlalchemy import Connection, select

from almenara.store.tables import directory
from almenara.store.upserts import insert


def load(connection: Connection) -> bytes | None:
    """Return the last verified targets as they were saved, None before the first."""
    found: bytes | None = connection.execute(select(directory.c.targets)).scalar()
    return found


def verified_at(connection: Connection) -> int:
    """Return when the directory was last verified, microseconds; 0 before the first time.

    A process that does not verify it itself watches this to know when to load it again.
    """
    return connection.execute(select(directory.c.verified_at)).scalar() or 0


def save(connection: Connection, *, version: int, verified_at: int, targets: bytes) -> None:
    """Keep the newest verified targets."""
    values = {"version": version, "verified_at": verified_at, "targets": targets}
    query = insert(connection, directory).values(only=1, **values)
    connection.execute(query.on_conflict_do_update(index_elements=["only"], set_=values))
