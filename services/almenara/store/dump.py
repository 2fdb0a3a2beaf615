"""What is in a store, as pieces from which another store comes to hold the same, on either database?

    piece: MessagePack [table, [column, ...], [row, ...]]

Read in one transaction, it is the store of one moment, however much is written meanwhile. What belongs
to the database itself is not in it: the version of the schema, and the term of who holds its lease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, func, select

from almenara.errors import Code, Misconfigured
from almenara.store.rows import insert_whole_rows
from almenara.store.tables import message, meta, metadata, quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Table

PIECE_SIZE = 1 << 20
"""Bytes of values from which on a piece is full; a row more may be as large as a record."""

FETCHED = 64
"""Rows that a server sends at a time: at 512 KiB each 32 MiB."""

POSITIONS_SKIPPED = 1_000_000_000
"""How far a restored store begins above the last position that it knows: the lost one may have given more,
and whoever follows the inbox from such a position would never see what takes it again."""

_LEFT_OUT = frozenset({"schema_version", "term"})
_COUNTED = (message, quarantine)
"""The tables whose positions the database gives."""

_PIECE = msgspec.msgpack.Decoder(tuple[str, list[str], list[tuple[Any, ...]]])


def count(connection: Connection) -> int:
    """Return how many rows a dump has."""
    tables = (select(func.count()).select_from(table) for table in metadata.sorted_tables)
    left_out = select(func.count()).where(meta.c.name.in_(_LEFT_OUT))
    return sum(map(connection.scalar, tables)) - connection.execute(left_out).scalar_one()


def dump(connection: Connection, tell: Callable[[str, int], None]) -> Iterator[bytes]:
    """Yield the pieces of a store; `tell` hears the table and how many rows are done."""
    done = 0
    for table in metadata.sorted_tables:
        name, columns = str(table.name), [str(column.name) for column in table.columns]
        for rows in _portions(connection, table):
            yield msgspec.msgpack.encode((name, columns, rows))
            done += len(rows)
            tell(name, done)


def _portions(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a table in portions of a size, an empty one for an empty table."""
    portion: list[tuple[Any, ...]] = []
    size = 0
    for row in connection.execute(select(table).execution_options(yield_per=FETCHED)):
        if table is meta and row.name in _LEFT_OUT:
            continue
        portion.append(tuple(row))
        size += sum(len(value) for value in row if isinstance(value, bytes | str))
        if size >= PIECE_SIZE:
            yield portion
            portion, size = [], 0
    yield portion


def load(connection: Connection, piece: bytes) -> int:
    """Put the rows of one piece into a store that has none of them; return how many.

    Raises Misconfigured CONFIGURATION for a table or column that this program does not know.
    """
    name, columns, rows = _PIECE.decode(piece)
    table = metadata.tables.get(name)
    if table is None or set(columns) != set(table.columns.keys()):
        raise Misconfigured(
            Code.CONFIGURATION,
            f"backup: its table {name} is not as this program has it; restore it with the one that made it",
        )
    insert_whole_rows(connection, table, columns, rows)
    return len(rows)


def skip_positions(connection: Connection, *, above: int) -> None:
    """Have the next positions be given far above all that this store has, and above that one."""
    for table in _COUNTED:
        last = connection.execute(select(func.max(table.c.position))).scalar() or 0
        start = max(last, above) + POSITIONS_SKIPPED
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
            connection.exec_driver_sql("INSERT INTO sqlite_sequence VALUES (?, ?)", (table.name, start))
        else:
            sequence = func.pg_get_serial_sequence(table.name, table.c.position.name)
            connection.execute(select(func.setval(sequence, start)))
