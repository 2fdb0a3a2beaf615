"""A member's store as files: read, copied, put aside, without a line of the nodes' own code."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def log_of(store: Path) -> Path:
    """Return SQLite's log beside the store."""
    return store.with_name(f"{store.name}-wal")


def index_of(store: Path) -> Path:
    """Return the index of the log."""
    return store.with_name(f"{store.name}-shm")


def rows(store: Path, query: str, *values: object) -> list[Any]:
    """Return what a query finds in a store, in use or not."""
    with closing(_opened(store)) as connection:
        return connection.execute(query, values).fetchall()


def copy_store(store: Path, to: Path) -> None:
    """Copy a store, in use or not, as it stands now."""
    with closing(_opened(store)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def carry_log(store: Path) -> bool:
    """Have SQLite carry its log into the file, as it does by itself; tell whether all of it came there."""
    with closing(sqlite3.connect(store)) as connection:
        _, written, carried = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(written == carried)


def put_aside(store: Path, to: Path) -> None:
    """Copy a store that nobody uses, and change nothing of it, neither its log nor the index of that."""
    for file, copy in ((store, to), (log_of(store), log_of(to))):
        if file.exists():
            shutil.copyfile(file, copy)
    with closing(sqlite3.connect(to)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _opened(store: Path) -> sqlite3.Connection:
    # Read-only: a missing file must be an error, and whoever closes a store last empties its log.
    return sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)
