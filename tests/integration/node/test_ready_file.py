"""The ready file that `almenara node run` was asked for speaks of that node, never of one before it."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.bus import bound
from almenara.clock import now
from almenara.node.supervise import Ready

if TYPE_CHECKING:
    from pathlib import Path

    from node_site import NodeSite

pytestmark = pytest.mark.integration

TIMEOUT_S = 60.0


def test_what_a_killed_node_left_is_not_shown_again(site: NodeSite, tmp_path: Path) -> None:
    settings, ready = site["UY"], tmp_path / "ready.json"
    left = Ready(pid=1, member="UY", socket=str(settings.socket_path), children={"publisher": 1}, at=now())
    settings.state.mkdir(exist_ok=True)
    for path in (ready, settings.ready_path):
        path.write_bytes(msgspec.json.encode(left))
    program = [sys.executable, "-m", "almenara.cli", "node", "run", "--config", str(settings.file)]
    shown: set[int] = set()
    with subprocess.Popen(
        bound.command([*program, "--ready-file", str(ready)]), stderr=subprocess.DEVNULL
    ) as node:
        until = time.monotonic() + TIMEOUT_S
        gone = False
        while node.poll() is None and node.pid not in shown and time.monotonic() < until:
            if not ready.exists():
                gone = True
            elif gone:
                shown.add(msgspec.json.decode(ready.read_bytes(), type=Ready).pid)
            time.sleep(0.01)
        node.terminate()
    assert shown == {node.pid}
    assert node.returncode == 0
    assert not ready.exists()
