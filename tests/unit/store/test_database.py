"""Is a transaction whole or nothing, and does every fault of the disk have one clear name?"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from almenara.errors import Code, Misconfigured, Unavailable
from almenara.store import database, tables
from almenara.store.database import Store
from full_disk import file_size_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

KILOBYTE = "x" * 1024


def put(connection: Connection, name: str, value: str = "") -> None:
    connection.execute(tables.meta.insert().values(name=name, value=value))


def names(store: Store) -> set[str]:
    found = store.read_now(lambda c: {row.name for row in c.execute(tables.meta.select())})
    return found - {"schema_version"}


def put_much(connection: Connection) -> None:
    for number in range(2000):
        put(connection, f"much-{number}", KILOBYTE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / "almenara.db")
    yield store
    store.close()


def test_what_was_written_is_there_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "almenara.db"
    store = Store.create(path)
    store.write_now(lambda c: put(c, "a"))
    store.close()
    again = Store.open(path)
    assert names(again) == {"a"}
    again.close()


def test_a_store_is_for_its_owner_alone(tmp_path: Path, store: Store) -> None:
    store.write_now(lambda c: put(c, "a"))
    assert {f.stat().st_mode & 0o777 for f in tmp_path.iterdir()} == {0o600}


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


def test_a_lock_held_elsewhere_is_waited_for_then_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    impatient = Store.open(store.path)
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(Unavailable) as refusal:
        impatient.write_now(lambda c: put(c, "a"))
    assert time.monotonic() - began >= 0.2
    assert refusal.value.code == Code.STORE_LOCKED
    assert "almenara.db" in refusal.value.text
    assert names(impatient) == set(), "reading goes on"
    holder.execute("ROLLBACK")
    holder.close()
    impatient.write_now(lambda c: put(c, "a"))
    impatient.close()


def test_a_missing_store_is_named_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="almenara node run") as refusal:
        Store.open(tmp_path / "none.db")
    assert refusal.value.code == Code.STORE_MISSING
    assert not list(tmp_path.iterdir()), "asking for it makes nothing"


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b""], ids=["text", "empty"])
def test_a_file_that_is_no_store_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "almenara.db"
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match="not a store"):
        Store.open(path)


def test_a_damaged_store_is_named_and_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "almenara.db"
    Store.create(path).close()
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    damaged = path.read_bytes()
    with pytest.raises(Misconfigured, match="not a store, or damaged"):
        Store.create(path)
    assert path.read_bytes() == damaged


def test_a_store_of_another_version_is_left_alone(store: Store) -> None:
    store.write_now(lambda c: c.execute(tables.meta.update().values(value="99")))
    with pytest.raises(Misconfigured, match="schema version 99"):
        Store.open(store.path)


@pytest.mark.parametrize("name", ["missing/almenara.db", "folder"])
def test_a_place_that_cannot_be_written_is_a_fault_of_configuration(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Misconfigured, match="cannot be written here"):
        Store.create(tmp_path / name)


NOBODY = 65534

# Modes do not bind root, so it becomes somebody else, once all that is needed was read.
AS_SOMEBODY_ELSE = f"""
import os, pathlib, sys
from almenara.errors import Misconfigured
from almenara.store.database import Store

folder = pathlib.Path(sys.argv[1])
Store.create(folder / "almenara.db").close()
(folder / "almenara.db").chmod(0o444)
folder.chmod(0o555)
if os.geteuid() == 0:
    os.setgid({NOBODY})
    os.setuid({NOBODY})
for name in ("almenara.db", "other.db"):
    try:
        Store.create(folder / name)
    except Misconfigured as fault:
        print(fault.text)
"""


def test_a_read_only_home_is_a_fault_of_configuration() -> None:
    with tempfile.TemporaryDirectory() as home:  # the folders of pytest are closed to others
        path = Path(home)
        path.chmod(0o755)
        (path / "store").mkdir()
        ended = subprocess.run(
            [sys.executable, "-c", AS_SOMEBODY_ELSE, str(path / "store")],
            capture_output=True,
            text=True,
            check=False,
        )
        (path / "store").chmod(0o755)
        assert ended.stderr == ""
        for name, said in zip(("almenara.db", "other.db"), ended.stdout.splitlines(), strict=True):
            assert name in said
            assert "cannot be written here" in said


def test_a_full_disk_has_its_name_and_loses_nothing(store: Store) -> None:
    """SQLite says of its own limit of pages what it says of a disk without space: SQLITE_FULL."""

    def limited(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 150")

    store.write_now(lambda c: put(c, "before"))
    store.close()
    event.listen(Engine, "connect", limited)
    try:
        full = Store.open(store.path)
        with pytest.raises(Unavailable, match="the disk is full") as refusal:
            full.write_now(put_much)
        assert refusal.value.code == Code.STORE_FULL
        assert names(full) == {"before"}
        full.close()
    finally:
        event.remove(Engine, "connect", limited)


def test_a_full_disk_keeps_what_was_accepted_and_goes_on_when_there_is_space(store: Store) -> None:
    store.write_now(lambda c: put(c, "before"))
    with file_size_limit(300_000), pytest.raises(Unavailable) as refusal:
        store.write_now(put_much)
    assert refusal.value.code == Code.STORE_FULL
    assert names(store) == {"before"}
    shown = store.fault
    assert shown is refusal.value, "for those who ask how the store does"
    store.write_now(lambda c: put(c, "after"))
    assert store.fault is None
    assert names(store) == {"before", "after"}


def test_a_full_disk_at_the_start_has_the_same_name(store: Store) -> None:
    store.write_now(lambda c: put(c, "before"))
    store.close()
    with file_size_limit(20_000):
        for attempt in (Store.create, Store.open):
            with pytest.raises(Unavailable) as refusal:
                attempt(store.path)
            assert refusal.value.code == Code.STORE_FULL


def test_a_store_at_its_quota_is_full_too(store: Store) -> None:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 80")
        put_much(connection)

    with pytest.raises(Unavailable) as refusal:
        store.write_now(work)
    assert refusal.value.code == Code.STORE_FULL
    assert names(store) == set()


WRITER = """
import sys
from pathlib import Path
from almenara.store import tables
from almenara.store.database import Store
store = Store.open(Path(sys.argv[1]))
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
            [sys.executable, "-c", WRITER, str(store.path)], stdout=subprocess.PIPE, text=True
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
