"""A log of SQLite that was cut off, deleted or overwritten is an earlier store, never a mixture."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from almenara.store import tables
from almenara.store.database import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRITES = 12

WRITER = f"""
import os, pathlib, signal, sys
from almenara.store import tables
from almenara.store.database import Store

store = Store.create(pathlib.Path(sys.argv[1]))
store.close()  # what made it is in the file itself
store = Store.open(pathlib.Path(sys.argv[1]))
for number in range({WRITES}):
    row = tables.meta.insert().values(name=f"w{{number:02}}", value="x" * 3000)
    store.write_now(lambda c: c.execute(row))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store of a process that was killed after it had written."""
    path = tmp_path_factory.mktemp("killed") / "almenara.db"
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert wal(path).stat().st_size > WRITES * 3000
    return path


def wal(store: Path) -> Path:
    return store.with_name(f"{store.name}-wal")


def cut(part: float) -> Callable[[Path], None]:
    def damage(log: Path) -> None:
        with log.open("r+b") as file:
            file.truncate(int(log.stat().st_size * part))

    return damage


def garbage_at_its_end(log: Path) -> None:
    with log.open("r+b") as file:
        file.seek(-5000, 2)
        file.write(b"\xa5" * 5000)


def garbage_behind_its_end(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"\xa5" * 5000)


DAMAGES: dict[str, tuple[Callable[[Path], None], range]] = {
    "deleted": (lambda log: log.unlink(), range(1)),
    "emptied": (cut(0), range(1)),
    "one half": (cut(0.5), range(1, WRITES)),
    "nine tenths": (cut(0.9), range(1, WRITES)),
    "garbage at its end": (garbage_at_its_end, range(1, WRITES)),
    "garbage behind its end": (garbage_behind_its_end, range(WRITES, WRITES + 1)),
}


@pytest.mark.parametrize(("damage", "kept"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_log_is_an_earlier_store(
    killed: Path, tmp_path: Path, damage: Callable[[Path], None], kept: range
) -> None:
    shutil.copytree(killed.parent, tmp_path / "copy")
    path = tmp_path / "copy" / killed.name
    damage(wal(path))
    with closing(Store.open(path)) as store:
        names = store.read_now(lambda c: [row.name for row in c.execute(tables.meta.select())])
        found = sorted(name for name in names if name.startswith("w"))
        assert len(found) in kept
        assert found == [f"w{number:02}" for number in range(len(found))], "whole up to there"
        store.write_now(lambda c: c.execute(tables.meta.insert().values(name="after", value="")))
