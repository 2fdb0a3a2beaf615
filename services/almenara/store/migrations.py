"""How does a store of an earlier schema version become one of this program's, in place?

    version n --step n+1, one transaction with its number--> version n+1 --...--> SCHEMA_VERSION

A crash leaves the version before the step or after it, and the next attempt goes on from there. A step
is SQL as it was written for its version: the tables of today would make what did not exist then. What
cannot stand in a transaction comes before it, and does nothing when it was done already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, Engine, inspect, select, update

from almenara.store import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Step(NamedTuple):
    """What makes one version out of the one before it; `summary` is for the person who watches."""

    summary: str
    statements: tuple[str, ...]
    besides: Mapping[str, tuple[str, ...]] = {}
    before: Callable[[Engine], None] | None = None


def _give_space_back(engine: Engine) -> None:
    """Have SQLite give free pages back as it goes, which it only learns while it writes the file anew."""
    if engine.dialect.name != "sqlite":
        return
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        if cursor.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("VACUUM")
        cursor.close()
    finally:
        raw.close()


_INCREMENTAL = 2

_BYTES = {"sqlite": "BLOB", "postgresql": "BYTEA"}

STEPS: Mapping[int, Step] = {
    2: Step(
        "keys owed to others, records unread; a SQLite file that can shrink, written anew",
        (
            """
            CREATE TABLE owed (
                member VARCHAR NOT NULL,
                audience VARCHAR NOT NULL,
                epoch BIGINT NOT NULL,
                key_id {bytes} NOT NULL,
                entitled INTEGER NOT NULL,
                PRIMARY KEY (member, audience, epoch, key_id)
            )
            """,
            """
            CREATE TABLE unread (
                audience VARCHAR NOT NULL,
                publisher VARCHAR NOT NULL,
                records BIGINT NOT NULL,
                at BIGINT NOT NULL,
                PRIMARY KEY (audience, publisher)
            )
            """,
            "CREATE INDEX outgoing_accepted ON outgoing (audience, accepted_at)",
            "CREATE INDEX message_received ON message (audience, received_at)",
        ),
        # When older keys came nobody knows: they are kept for as long as one that came just now.
        {
            "sqlite": (
                "ALTER TABLE sender_key RENAME TO sender_key_before",
                """
                CREATE TABLE sender_key (
                    audience VARCHAR NOT NULL,
                    publisher VARCHAR NOT NULL,
                    epoch BIGINT NOT NULL,
                    key_id BLOB NOT NULL,
                    "key" BLOB,
                    kept_at BIGINT NOT NULL,
                    PRIMARY KEY (audience, publisher, epoch, key_id)
                )
                """,
                """
                INSERT INTO sender_key SELECT audience, publisher, epoch, key_id, "key", unixepoch() * 1000000
                FROM sender_key_before
                """,
                "DROP TABLE sender_key_before",
            ),
            "postgresql": (
                "ALTER TABLE sender_key ADD COLUMN kept_at BIGINT",
                "UPDATE sender_key SET kept_at = extract(epoch FROM now()) * 1000000",
                "ALTER TABLE sender_key ALTER COLUMN kept_at SET NOT NULL",
            ),
        },
        _give_space_back,
    ),
}
"""By the version that a step makes. What was released here is never changed: stores were made by it."""

_VERSION = tables.meta.c.name == "schema_version"


def version_of(connection: Connection) -> int | None:
    """Return the schema version of a store, None where there are no tables of one."""
    if not inspect(connection).has_table(tables.meta.name):
        return None
    found = connection.execute(select(tables.meta.c.value).where(_VERSION)).scalar()
    return None if found is None else int(found)


def found_store(connection: Connection) -> None:
    """Make the tables of this program's version where there are none."""
    tables.metadata.create_all(connection)
    connection.execute(tables.meta.insert().values(name="schema_version", value=str(tables.SCHEMA_VERSION)))


def upgrade(engine: Engine, tell: Callable[[int, str], None]) -> int:
    """Take a store from its version to this program's; return the version that it had.

    `tell` hears of each step before it is taken. Raises what the driver raises; then the store is of the
    version of the last whole step.
    """
    with engine.connect() as connection, connection.begin():
        before = version_of(connection) or tables.SCHEMA_VERSION
    found = before
    while found < tables.SCHEMA_VERSION:
        step = STEPS[found + 1]
        tell(found + 1, step.summary)
        if step.before is not None:
            step.before(engine)
        founding = engine.connect().execution_options(purpose="found", write=True)
        with founding as connection, connection.begin():
            if version_of(connection) == found:  # else another process was quicker
                for statement in (*step.statements, *step.besides.get(connection.dialect.name, ())):
                    connection.exec_driver_sql(statement.format(bytes=_BYTES[connection.dialect.name]))
                connection.execute(update(tables.meta).where(_VERSION).values(value=str(found + 1)))
        found += 1
    return before
