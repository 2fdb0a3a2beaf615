"""A member's node as people run it: `almenara node run` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import msgspec

from almenara.bus import bound
from almenara.node.supervise import Ready

if TYPE_CHECKING:
    from collections.abc import Mapping

    from almenara.node.settings import MemberSettings

TIMEOUT_S = 60.0


class NodeProcess:
    """Start it, wait until it is ready, and end it as a test wants."""

    def __init__(
        self,
        settings: MemberSettings,
        *,
        single: bool = False,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.settings = settings
        self._environment = environment
        self._arguments = ["--single-process"] if single else []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        self.settings.ready_path.unlink(missing_ok=True)
        with (self.settings.folder / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                bound.command([*self.command, "--config", str(self.settings.file)]),
                stderr=log,
                stdout=log,
                env={**os.environ, **self._environment},
            )

    @property
    def command(self) -> list[str]:
        """Return the command that runs a node, without its configuration."""
        return [sys.executable, "-m", "almenara.cli", "node", "run", *self._arguments]

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def ready(self) -> Ready:
        """Return what the node says of itself, once it is ready."""
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"{self.settings.member} ended with {self.process.returncode}\n{self.log()}"
                )
            try:
                return msgspec.json.decode(self.settings.ready_path.read_bytes(), type=Ready)
            except FileNotFoundError:
                time.sleep(0.05)
        raise AssertionError(f"{self.settings.member} is not ready\n{self.log()}")

    def log(self) -> str:
        return (self.settings.folder / "node.log").read_text()

    def kill(self) -> None:
        """End the parent as a power cut does."""
        self.process.kill()
        self.process.wait(TIMEOUT_S)

    def end(self) -> int:
        """Ask it to end and return its status."""
        self.process.terminate()
        return self.process.wait(TIMEOUT_S)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
