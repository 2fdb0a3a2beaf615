"""Do the rows written past SQLAlchemy fit their tables, value by value?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import fields

from almenara.store import tables
from almenara.store.inbox import MessageRow, StatementRow
from almenara.store.outbox import OutboxRecord, Outgoing

if TYPE_CHECKING:
    import msgspec
    from sqlalchemy import Table


@pytest.mark.parametrize(
    ("struct", "table", "besides"),
    [
        (MessageRow, tables.message, ("position",)),
        (StatementRow, tables.statement, ()),
        (OutboxRecord, tables.outbox, ("sent",)),
        (Outgoing, tables.outgoing, ()),
    ],
    ids=lambda value: getattr(value, "__name__", None) or getattr(value, "name", None) or "besides",
)
def test_a_struct_has_its_tables_columns_in_their_order(
    struct: type[msgspec.Struct], table: Table, besides: tuple[str, ...]
) -> None:
    columns = [column.name for column in table.columns if column.name not in besides]
    assert [field.name for field in fields(struct)] == columns
