"""How does SQLite carry out the queries of some work? As its planner says, of each statement that is run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from almenara.store.database import Store

_SMALL = re.compile(
    r"SCAN (access|chain|claim|directory|evidence|gap|meta|owed|own_stream|receipt_sent|refusal_count"
    r"|sender_key|tally|unread|CONSTANT ROW|\(subquery|quarantine USING COVERING"
    r"|outbox USING INDEX outbox_unsent)"
)
"""Tables that hold some rows for each stream or member, whatever was ever said; and indices that do, or have
only what the broker has not taken yet."""


class Plan(NamedTuple):
    """One statement and the steps of its plan."""

    statement: str
    steps: tuple[str, ...]

    @property
    def reads_all(self) -> bool:
        """Tell whether it goes through all of a table that grows with what is said."""
        return any(step.startswith("SCAN") and not _SMALL.match(step) for step in self.steps)

    @property
    def sorts(self) -> bool:
        """Tell whether it sorts before it gives the first row."""
        return any("TEMP B-TREE FOR ORDER BY" in step for step in self.steps)


def plans_of(store: Store, work: Sequence[Callable[[Connection], Any]]) -> list[Plan]:
    """Do the work in one write transaction and return the plan of every statement it ran."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:  # noqa: ANN401 - as SQLAlchemy calls it
        many = rest[-1]
        seen.append((statement, parameters[0] if many else parameters))

    def run(connection: Connection) -> list[Plan]:
        event.listen(connection, "before_cursor_execute", note)
        for each in work:
            each(connection)
        event.remove(connection, "before_cursor_execute", note)
        return [
            Plan(statement, tuple(row.detail for row in _explained(connection, statement, parameters)))
            for statement, parameters in seen
            if not statement.startswith("PRAGMA")
        ]

    return store.write_now(run)


def _explained(connection: Connection, statement: str, parameters: Any) -> Sequence[Any]:  # noqa: ANN401 - a driver's
    return connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
