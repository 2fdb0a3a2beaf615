"""A process dies at the point that a file names, once, and nowhere without it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

from almenara.crash import VARIABLE, Point

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from almenara.crash import Point, crash_point
for point in Point:
    crash_point(point)
    print(point, flush=True)
"""


def passed(**environment: str) -> tuple[int, list[str], int]:
    """Return the status of a process that comes to every point, those that it passed, and its id."""
    inherited = {name: text for name, text in os.environ.items() if name != VARIABLE}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        output, _ = process.communicate(timeout=60)
        return process.returncode, output.split(), process.pid


def test_without_the_variable_nothing_dies() -> None:
    assert passed()[:2] == (0, list(Point))


def test_without_the_file_nothing_dies(tmp_path: Path) -> None:
    assert passed(**{VARIABLE: str(tmp_path / "crash")})[:2] == (0, list(Point))


def test_a_process_dies_at_the_named_point_and_the_next_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "crash"
    file.write_text(f"{Point.OUTBOX_COMMITTED}\n")
    status, points, pid = passed(**{VARIABLE: str(file)})
    before = list(Point)[: list(Point).index(Point.OUTBOX_COMMITTED)]
    assert (status, points) == (-signal.SIGKILL, before)
    assert [each.name for each in tmp_path.iterdir()] == [f"crash.{pid}"]
    assert passed(**{VARIABLE: str(file)})[:2] == (0, list(Point))


def test_a_name_that_is_no_points_ends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "crash"
    file.write_text("outbox")
    assert passed(**{VARIABLE: str(file)})[:2] == (0, list(Point))
    assert file.exists()


def test_every_point_stands_at_one_place(repository: Path) -> None:
    places: Counter[str] = Counter()
    for path in (repository / "services").rglob("*.py"):
        places.update(re.findall(r"crash_point\(Point\.(\w+)\)", path.read_text(encoding="utf-8")))
    assert places == Counter(point.name for point in Point)
