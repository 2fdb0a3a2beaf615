"""How do the nodes of a demonstration run, and how does nothing of it stay behind?

Every node is a child process with its log beside its settings. Children are bound to this process:
they end with it even if it is killed. To end them: SIGTERM, which drains; 15 s; SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from almenara.bus import bound
from almenara.errors import AlmenaraError, Code, Unavailable
from almenara.node.remote import RemoteNode
from almenara.node.settings import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from almenara.node.settings import MemberSettings

STOP_TIMEOUT_S = 15.0
"""A node drains in under a second; with many in one process and a busy machine it takes longer."""

_POLL_S = 0.05


class Planned(NamedTuple):
    """A process to be started, and where its log goes."""

    name: str
    command: Sequence[str]
    log: Path


class _Running(NamedTuple):
    planned: Planned
    process: subprocess.Popen[bytes]


def node_process(settings: MemberSettings) -> Planned:
    """Return the process of one member's node: what `almenara node run` is, in one process."""
    command = (sys.executable, "-m", "almenara.cli", "node", "run", "--single-process")
    return Planned(
        f"node of {settings.member}",
        (*command, "--config", str(settings.file)),
        settings.folder / "node.log",
    )


def shared_process(number: int, members: Sequence[MemberSettings], log: Path) -> Planned:
    """Return one process for the nodes of several members."""
    folders = (str(settings.folder) for settings in members)
    return Planned(f"nodes, part {number}", (sys.executable, "-m", "almenara.demo.host", *folders), log)


@asynccontextmanager
async def running(
    planned: Sequence[Planned], *, environment: Mapping[str, str]
) -> AsyncIterator[Callable[[], None]]:
    """Run the processes until the block is left; then end them all.

    `environment` are settings of the nodes, in place of those that this process was given. Lends a
    function that raises Unavailable NODE_DOWN if one of them has ended by itself.
    """
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    started: list[_Running] = []

    def check() -> None:
        for each, process in started:
            if process.poll() is not None:
                raise Unavailable(
                    Code.NODE_DOWN, f"{each.name}: ended with status {process.returncode}; read {each.log}"
                )

    try:
        for each in planned:
            started.append(_start(each, {**inherited, **environment}))  # noqa: PERF401 - kept one by one, to end
        yield check
    finally:
        await _end([running.process for running in started])


def _start(planned: Planned, environment: Mapping[str, str]) -> _Running:
    with planned.log.open("ab") as log:
        process = subprocess.Popen(
            bound.command(list(planned.command)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            # Ctrl-C in a terminal reaches us, and we end them in our order.
            start_new_session=True,
        )
    return _Running(planned, process)


async def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    try:
        while any(process.poll() is None for process in processes):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_POLL_S)
    finally:
        # Also when the wait itself is cancelled, by an impatient second Ctrl-C.
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


async def until_ready(
    settings: MemberSettings, *, directory_version: int, check: Callable[[], None], until: float
) -> None:
    """Return when the member's node answers and has this version of the directory.

    `until` is a time of `time.monotonic`. Raises Unavailable: what `check` raises, NODE_DOWN after it.
    """
    while True:
        check()
        if settings.socket_path.is_socket():
            try:
                async with RemoteNode(settings.socket_path) as node:
                    if (await node.status()).directory_version >= directory_version:
                        return
            except AlmenaraError as error:
                if error.code != Code.NODE_DOWN:
                    raise
        if time.monotonic() > until:
            raise Unavailable(Code.NODE_DOWN, f"node of {settings.member}: not ready in time; read its log")
        await asyncio.sleep(_POLL_S)
