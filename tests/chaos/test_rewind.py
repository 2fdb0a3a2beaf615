"""A store whose log is cut off is an earlier one, whole, and never earlier than a crash could make it."""

# ruff: noqa: S608 - the queries are this file's own
from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chaos.events.rewind import cut_log
from chaos.store_files import carry_log, copy_store, index_of, log_of, put_aside, rows

if TYPE_CHECKING:
    from pathlib import Path

CARRIED, WRITTEN = 40, 100

WRITER = f"""
import os, signal, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("PRAGMA journal_mode=WAL")
store.execute("PRAGMA wal_autocheckpoint=0")
store.execute("CREATE TABLE said (number INTEGER, text TEXT)")
reader = sqlite3.connect(sys.argv[1], isolation_level=None)
for number in range({WRITTEN}):
    store.execute("INSERT INTO said VALUES (?, ?)", (number, "x" * 5000))
    if number == {CARRIED} - 1:
        # Whoever reads on keeps the log from beginning anew: what was carried stands in both.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM said").fetchone()
        store.execute("PRAGMA wal_checkpoint(PASSIVE)")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store of a process that was killed; part of its log stands in the file too."""
    path = tmp_path_factory.mktemp("killed") / "almenara.db"
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    return path


@pytest.fixture
def store(killed: Path, tmp_path: Path) -> Path:
    shutil.copytree(killed.parent, tmp_path / "copy")
    return tmp_path / "copy" / killed.name


@pytest.mark.parametrize(("part", "kept"), [(0.0, {CARRIED}), (0.5, set(range(60, 80))), (1.0, {WRITTEN})])
def test_a_cut_log_leaves_a_whole_store_up_to_there(store: Path, part: float, kept: set[int]) -> None:
    cut_log(store, part=part)
    found = [number for (number,) in rows(store, "SELECT number FROM said ORDER BY number")]
    assert found == list(range(len(found)))
    assert len(found) in kept
    assert rows(store, "PRAGMA integrity_check") == [("ok",)]


def test_what_is_put_aside_is_all_of_it_and_the_log_stays_as_it_was(store: Path, tmp_path: Path) -> None:
    before = log_of(store).read_bytes(), index_of(store).read_bytes()
    put_aside(store, tmp_path / "aside.db")
    assert rows(tmp_path / "aside.db", "SELECT count(*) FROM said") == [(WRITTEN,)]
    assert (log_of(store).read_bytes(), index_of(store).read_bytes()) == before


def test_a_log_that_was_carried_into_the_file_has_nothing_to_lose(store: Path) -> None:
    assert carry_log(store)
    assert not log_of(store).exists() or log_of(store).stat().st_size == 0
    assert rows(store, "SELECT count(*) FROM said") == [(WRITTEN,)]


def test_a_copy_is_all_of_it(store: Path, tmp_path: Path) -> None:
    copy_store(store, tmp_path / "copy.db")
    assert rows(tmp_path / "copy.db", "SELECT count(*) FROM said") == [(WRITTEN,)]
