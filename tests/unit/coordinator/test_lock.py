"""One command changes the federation at a time."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from almenara.coordinator import lock
from almenara.errors import Code, Misconfigured, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_holder_waits_for_the_first(tmp_path: Path) -> None:
    order = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with lock.locked(tmp_path / "lock"):
            order.append("second")

    with lock.locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


async def test_waiting_for_the_lock_does_not_stop_the_loop(tmp_path: Path) -> None:
    async def second() -> None:
        async with lock.locked_async(tmp_path / "lock"):
            return

    async with asyncio.TaskGroup() as tasks:
        with lock.locked(tmp_path / "lock"):
            waiting = tasks.create_task(second())
            await asyncio.sleep(0.1)
            assert not waiting.done()


def test_who_waits_too_long_is_told_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LOCK_TIMEOUT_S", 0.1)
    with (
        lock.locked(tmp_path / "lock"),
        pytest.raises(Unavailable, match=f"process {os.getpid()}") as caught,
        lock.locked(tmp_path / "lock"),
    ):
        pass
    assert caught.value.code is Code.TIMED_OUT


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="missing"), lock.locked(tmp_path / "missing" / "lock"):
        pass
