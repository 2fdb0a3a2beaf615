"""Does a store of every earlier version become, in place, what a new one is, with all that it held?"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from almenara import clock
from almenara.clock import to_micros
from almenara.errors import Misconfigured
from almenara.store import inbox, migrations, outbox, quarantine, tables
from almenara.store.database import Store, describe
from almenara.store.place import Database
from almenara.store.sqlite import SqliteFile
from unit.store.rows import PE, REGION, message_row, own_head, refusal, says, statement_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from almenara.store.place import Place
    from postgres_cluster import Cluster

HERE = Path(__file__).parent

VERSIONS = tuple(range(1, tables.SCHEMA_VERSION))

POSTGRES_WORDS = {
    r"INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT": "BIGSERIAL PRIMARY KEY",
    r"\bBLOB\b": "BYTEA",
    r"\)\s*WITHOUT ROWID": ")",
    # Numbers that grow without end were never short there.
    r"\b((?:directory_)?version) INTEGER": r"\1 BIGINT",
    r"position INTEGER NOT NULL,": "position BIGSERIAL NOT NULL,",
    r"\bonly\b": '"only"',
}
"""What SQLite's words are in PostgreSQL."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Return a place where nothing stands yet."""
    if request.param == "sqlite":
        yield tmp_path / "old.db"
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    made = cluster.make()
    yield made
    cluster.drop(made)


@contextmanager
def connected(place: Place) -> Iterator[Connection]:
    """Lend one transaction at a place, with nothing of ours between."""
    url = place.parsed() if isinstance(place, Database) else f"sqlite:///{place}"
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def make(place: Place, version: int) -> None:
    """Make an empty store as the program of that version did."""
    ddl = (HERE / f"version_{version}.sql").read_text()
    if isinstance(place, Database):
        for ours, theirs in POSTGRES_WORDS.items():
            ddl = re.sub(ours, theirs, ddl)
    with connected(place) as connection:
        for statement in filter(str.strip, ddl.split(";")):
            connection.execute(text(statement))
        connection.execute(tables.meta.insert().values(name="schema_version", value=str(version)))


def shape(place: Place) -> Mapping[str, Any]:
    """Return everything that makes two schemas differ."""
    with connected(place) as connection:
        if isinstance(place, Database):
            looked = inspect(connection)
            return {
                table: (
                    [{**column, "type": str(column["type"])} for column in looked.get_columns(table)],
                    looked.get_pk_constraint(table),
                    looked.get_indexes(table),
                    looked.get_unique_constraints(table),
                )
                for table in looked.get_table_names()
            }
        found = connection.execute(text("SELECT name, sql FROM sqlite_master"))
        made = {name: re.sub(r"\s*([(),])\s*|\s+", r"\1 ", sql or "").replace('"', "") for name, sql in found}
        return {
            **{name: sql.strip() for name, sql in made.items()},
            "auto_vacuum": connection.execute(text("PRAGMA auto_vacuum")).scalar(),
        }


def fresh(place: Place, other: Place) -> Mapping[str, Any]:
    Store.create(other).close()
    assert place != other
    return shape(other)


@pytest.fixture
def other(request: pytest.FixtureRequest, bare: Place, tmp_path: Path) -> Place:
    """Return a place of the same kind for a new store."""
    if isinstance(bare, Database):
        found: Place = request.getfixturevalue("database")
        return found
    return tmp_path / "new.db"


def fill(place: Place) -> None:
    """Write rows as the program of today does, for those tables are what they were."""
    with connected(place) as c:
        head = own_head(0)
        outbox.append(c, before=None, after=head, records=[], messages=[])
        inbox.insert_statements(c, [statement_row(seq) for seq in range(3)])
        inbox.insert_messages(c, [message_row(number) for number in range(5)])
        quarantine.keep(c, [refusal(1), refusal(2, proven=True)])


def contents(place: Place) -> Mapping[str, list[tuple[Any, ...]]]:
    """Return all rows but the version."""

    def rows(connection: Connection, table: str) -> list[tuple[Any, ...]]:
        found = connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - our own tables' names
        return sorted((tuple(row) for row in found), key=repr)

    with connected(place) as connection:
        names = set(inspect(connection).get_table_names()) - {"meta"}
        return {table: rows(connection, table) for table in names}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgraded_store_is_what_a_new_one_is_and_holds_what_it_held(
    bare: Place, other: Place, version: int
) -> None:
    make(bare, version)
    fill(bare)
    before = contents(bare)
    told: list[int] = []
    Store.create(bare, tell=lambda step, _: told.append(step)).close()
    assert told == list(range(version + 1, tables.SCHEMA_VERSION + 1))
    assert shape(bare) == fresh(bare, other)
    assert {name: rows for name, rows in contents(bare).items() if name in before} == before
    assert describe(bare).version == tables.SCHEMA_VERSION


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgraded_store_goes_on_where_it_stood(bare: Place, version: int) -> None:
    make(bare, version)
    fill(bare)
    store = Store.create(bare)
    head = store.read_now(outbox.own_heads)[REGION]
    says(store, head, own_head(1), 7)
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(9)]))
    positions = store.read_now(lambda c: list(c.execute(tables.message.select()).scalars()))
    store.close()
    assert positions == [1, 2, 3, 4, 5, 6], "a follower's cursor goes on"


def test_sender_keys_stay_and_are_kept_as_those_that_came_with_the_upgrade(bare: Place) -> None:
    make(bare, 1)
    with connected(bare) as connection:
        query = "INSERT INTO sender_key VALUES (:audience, :publisher, 1, :key_id, :key)"
        row = {"audience": REGION, "publisher": PE, "key_id": b"id", "key": b"key"}
        connection.execute(text(query), row)
    began = to_micros(clock.now())
    store = Store.create(bare)
    (held,) = store.read_now(lambda c: c.execute(tables.sender_key.select()).all())
    store.close()
    assert held[:5] == (REGION, PE, 1, b"id", b"key")
    assert abs(held.kept_at - began) < 600_000_000


def test_a_second_upgrade_has_nothing_to_do(bare: Place) -> None:
    make(bare, 1)
    Store.create(bare).close()
    told: list[int] = []
    Store.create(bare, tell=lambda step, _: told.append(step)).close()
    assert told == []


def test_an_upgrade_that_was_cut_off_leaves_the_version_before_and_goes_on_later(
    bare: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(bare, 1)
    fill(bare)
    before = contents(bare)
    whole = migrations.STEPS[2]
    # The last statement fails as a crash would cut it off: what the step did before is not kept.
    cut = whole._replace(statements=(*whole.statements, "SELECT no_such_column FROM meta"))
    monkeypatch.setattr(migrations, "STEPS", {2: cut})
    with pytest.raises(Exception, match="no_such_column"):
        Store.create(bare)
    assert describe(bare).version == 1
    assert contents(bare) == before
    monkeypatch.setattr(migrations, "STEPS", {2: whole})
    Store.create(bare).close()
    assert describe(bare).version == tables.SCHEMA_VERSION
    assert {name: rows for name, rows in contents(bare).items() if name in before} == before


def test_what_only_reads_leaves_an_older_store_as_it_is(bare: Place) -> None:
    make(bare, 1)
    with pytest.raises(Misconfigured, match="almenara store migrate"):
        Store.open(bare)
    assert describe(bare).version == 1


def test_a_sqlite_store_can_shrink_once_it_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    make(path, 1)
    fill(path)
    Store.create(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert SqliteFile(path).name == str(path)


def test_every_version_has_its_step_and_its_text() -> None:
    assert sorted(migrations.STEPS) == [version + 1 for version in VERSIONS]
    assert all((HERE / f"version_{version}.sql").is_file() for version in VERSIONS)
