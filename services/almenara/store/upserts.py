"""How is a row inserted that may be there already, on SQLite and on PostgreSQL alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sqlalchemy import Connection, Table

Insert = sqlite.Insert | postgresql.Insert


def insert(connection: Connection, table: Table) -> Insert:
    """Return an insert that knows ON CONFLICT as the store's database writes it."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there; return whether there was none."""
    query = insert(connection, table).values(row).on_conflict_do_nothing()
    # Of an insert SQLAlchemy keeps the driver's count only when it is asked to.
    return connection.execute(query, execution_options={"preserve_rowcount": True}).rowcount == 1
