"""How does the disk get back what was dropped, while the store is in use?

SQLite keeps freed pages for later rows; a store with incremental vacuum gives them back some at a time,
in transactions of milliseconds. PostgreSQL's autovacuum does its part by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

SPARE_PAGES = 1024
"""Free pages that stay, 4 MiB: the next messages take them, and need not make the file longer."""

_INCREMENTAL = 2


def give_back(connection: Connection, *, limit: int) -> int:
    """Give some free pages back to the disk, and return how many; 0 once few are left."""
    if connection.dialect.name != "sqlite":
        return 0
    free = free_pages(connection)
    pages = min(limit, free - SPARE_PAGES)
    if pages <= 0 or _pragma(connection, "auto_vacuum") != _INCREMENTAL:
        return 0
    for _ in range(pages):
        # One at a time: Python's driver takes a single step of a statement that has no columns.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    return free - free_pages(connection)


def free_pages(connection: Connection) -> int:
    """Return how many pages of the file hold nothing."""
    return _pragma(connection, "freelist_count")


def size_of(connection: Connection) -> int:
    """Return the bytes that the store takes, free pages among them, without the log."""
    if connection.dialect.name != "sqlite":
        found: int = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        return found
    return _pragma(connection, "page_count") * _pragma(connection, "page_size")


def _pragma(connection: Connection, name: str) -> int:
    found: int = connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
    return found
