"""May two processes speak for one member? The kernel says no, and forgets nobody who died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Misconfigured, Unavailable
from almenara.store.lease import folder_lease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys, time
from pathlib import Path
from almenara.store.lease import folder_lease
with folder_lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lease in another process, which is killed at the end."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    with (
        another_process(path) as holder,
        pytest.raises(Unavailable, match=f"process {holder.pid} ") as refusal,
        folder_lease(path),
    ):
        pass
    assert refusal.value.code == Code.STORE_LOCKED


def test_it_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    with another_process(path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with folder_lease(path):
            assert path.read_text() == f"{os.getpid()}\n"


def test_it_is_free_when_its_holder_let_go_even_by_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    with pytest.raises(ZeroDivisionError), folder_lease(path):
        _ = 1 / 0
    with folder_lease(path):
        pass


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    with folder_lease(path), pytest.raises(Unavailable, match=str(os.getpid())), folder_lease(path):
        pass


def test_a_shorter_process_id_leaves_no_digits_of_a_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    path.write_text("99999999999\n")
    with folder_lease(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_folder_that_is_not_there_is_a_fault_of_configuration(tmp_path: Path) -> None:
    with (
        pytest.raises(Misconfigured, match=r"node\.lock: cannot be made"),
        folder_lease(tmp_path / "no" / "node.lock"),
    ):
        pass
