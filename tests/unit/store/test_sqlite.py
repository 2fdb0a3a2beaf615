"""Does every fault of a store's file and disk have one clear name?"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, event

from almenara.errors import Code, Misconfigured, Unavailable
from almenara.store import sqlite
from almenara.store.database import Store
from full_disk import file_size_limit
from unit.store.rows import names, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

KILOBYTE = "x" * 1024


def put_much(connection: Connection) -> None:
    for number in range(2000):
        put(connection, f"much-{number}", KILOBYTE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "almenara.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.create(path)
    yield store
    store.close()


def test_a_store_is_for_its_owner_alone(tmp_path: Path, store: Store) -> None:
    store.write_now(lambda c: put(c, "a"))
    assert {f.stat().st_mode & 0o777 for f in tmp_path.iterdir()} == {0o600}


def test_a_lock_held_elsewhere_is_waited_for_then_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.create(path).close()
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.2)
    impatient = Store.open(path)
    holder = sqlite3.connect(path, isolation_level=None)
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


def test_a_full_disk_has_its_name_and_loses_nothing(store: Store, path: Path) -> None:
    """SQLite says of its own limit of pages what it says of a disk without space: SQLITE_FULL."""

    def limited(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 150")

    store.write_now(lambda c: put(c, "before"))
    store.close()
    event.listen(Engine, "connect", limited)
    try:
        full = Store.open(path)
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


def test_a_full_disk_at_the_start_has_the_same_name(store: Store, path: Path) -> None:
    store.write_now(lambda c: put(c, "before"))
    store.close()
    with file_size_limit(20_000):
        for attempt in (Store.create, Store.open):
            with pytest.raises(Unavailable) as refusal:
                attempt(path)
            assert refusal.value.code == Code.STORE_FULL


def test_a_store_at_its_quota_is_full_too(store: Store) -> None:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 80")
        put_much(connection)

    with pytest.raises(Unavailable) as refusal:
        store.write_now(work)
    assert refusal.value.code == Code.STORE_FULL
    assert names(store) == set()
