"""How are hundreds of rows written in one transaction without a detour through SQLAlchemy's types?

Its executemany looks at every value of every row, which costs more than SQLite's own work (a third
of the store's share of a publish). Only bytes, text and integers stand in our rows, and every driver
takes these as they are. For single rows and for queries SQLAlchemy Core is right.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Connection, Dialect, Table
    from sqlalchemy.engine.default import DefaultDialect


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of a value for each column, in their order, but for a key that the table makes.

    Raises what SQLAlchemy raises for the same insert: IntegrityError for a row that is there.
    """
    if rows:
        columns = tuple(column.name for column in table.columns if column.autoincrement is not True)
        connection.exec_driver_sql(_statement(table, columns, connection.dialect), list(rows))


def insert_whole_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows of these columns in their order, keys that the table makes included."""
    if rows:
        connection.exec_driver_sql(_statement(table, tuple(columns), connection.dialect), list(rows))


@cache
def _statement(table: Table, columns: tuple[str, ...], dialect: Dialect) -> str:
    by_place = dialect
    if not dialect.positional:
        by_place = cast("type[DefaultDialect]", type(dialect))(paramstyle="format")
    return str(table.insert().compile(dialect=by_place, column_keys=list(columns)))
