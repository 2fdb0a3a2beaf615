"""Is a transaction whole or nothing, on whichever database the store stands?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from almenara.errors import Misconfigured
from almenara.store import tables
from almenara.store.database import Store, describe
from almenara.store.place import Database
from unit.store.rows import names, put

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from almenara.store.place import Place


def test_what_was_written_is_there_when_opened_again(place: Place) -> None:
    store = Store.create(place)
    store.write_now(lambda c: put(c, "a"))
    store.close()
    again = Store.open(place)
    assert names(again) == {"a"}
    again.close()


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    def work(connection: Connection) -> None:
        put(connection, "a")
        put(connection, "a")

    with pytest.raises(IntegrityError):
        store.write_now(work)
    assert names(store) == set()


def test_a_reader_sees_one_moment_throughout(store: Store) -> None:
    def work(connection: Connection) -> tuple[int, int]:
        before = len(connection.execute(tables.meta.select()).all())
        store.write_now(lambda c: put(c, "meanwhile"))
        return before, len(connection.execute(tables.meta.select()).all())

    before, after = store.read_now(work)
    assert before == after
    assert names(store) == {"meanwhile"}


async def test_writes_of_one_process_queue_instead_of_failing(store: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(store.write(lambda c, number=number: put(c, str(number))))  # type: ignore[misc]
    assert len(names(store)) == 20


def test_a_store_of_another_version_is_left_alone(store: Store) -> None:
    def say(version: object) -> None:
        of_schema = tables.meta.update().where(tables.meta.c.name == "schema_version")
        store.write_now(lambda c: c.execute(of_schema.values(value=str(version))))

    try:
        for version, remedy in (("99", "use the program that made it"), ("1", "almenara store migrate")):
            say(version)
            with pytest.raises(Misconfigured, match=f"schema version {version}.*{remedy}"):
                Store.open(store.place)
            assert describe(store.place).version == int(version)
    finally:
        say(tables.SCHEMA_VERSION)


def address(place: Place) -> str:
    """Return a place as a process is told it."""
    return place.url if isinstance(place, Database) else str(place)


WRITER = """
import sys
from pathlib import Path
from almenara.store import tables
from almenara.store.database import Store
from almenara.store.place import database
where = sys.argv[1]
store = Store.open(database(where) if "://" in where else Path(where))
number = 0
def work(connection):
    for part in range(50):
        connection.execute(tables.meta.insert().values(name=f"{number}.{part}", value="x" * 500))
while True:
    store.write_now(work)
    print(number, flush=True)
    number += 1
"""


def test_a_process_killed_at_any_moment_leaves_whole_transactions_and_all_it_reported(store: Store) -> None:
    for _ in range(3):
        store.write_now(
            lambda c: c.execute(tables.meta.delete().where(tables.meta.c.name != "schema_version"))
        )
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, address(store.place)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        reported = [int(process.stdout.readline()) for _ in range(7)]
        os.kill(process.pid, signal.SIGKILL)
        reported += [int(line) for line in process.stdout if line.endswith("\n")]
        process.wait()
        process.stdout.close()
        held: dict[int, int] = {}
        for name in names(store):
            held[int(name.split(".")[0])] = held.get(int(name.split(".")[0]), 0) + 1
        assert set(held.values()) == {50}, "no transaction in part"
        assert set(reported) <= held.keys(), "nothing reported is lost"
        assert len(held) <= len(reported) + 1
