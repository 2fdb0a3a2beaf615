"""How do many nodes share a process? This module is run as a program, with their folders as arguments.

    python -m almenara.demo.host STATE/PE STATE/AR ...

Each node is whole: its own lease, store, connections and socket. Settings come from member.toml and the
environment, logs go to standard error. SIGTERM and SIGINT end them all, drained.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from almenara import logs
from almenara.errors import AlmenaraError
from almenara.node.api import serve
from almenara.node.memory import settle_memory
from almenara.node.node import sole_node
from almenara.node.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence


async def host(folders: Sequence[Path]) -> None:
    """Run the nodes of these folders until a signal comes; raises what any of them raises."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as tasks:
        for folder in folders:
            tasks.create_task(_run(folder, stopping))


async def _run(folder: Path, stopping: asyncio.Event) -> None:
    settings = load_settings(folder, environ=os.environ)
    async with sole_node(settings) as node:
        if node.service is None:
            raise AssertionError("a node of one process publishes too")
        async with serve(node.service, settings.socket_path) as api, asyncio.TaskGroup() as tasks:
            tasks.create_task(node.run(stopping))
            watching = tasks.create_task(_raise_of(api.crashed))
            await stopping.wait()
            watching.cancel()


async def _raise_of(crashed: asyncio.Future[None]) -> None:
    await asyncio.shield(crashed)


def main() -> None:
    """Run the nodes whose folders are the arguments of this program."""
    logs.configure(level="warning")
    settle_memory()
    try:
        asyncio.run(host([Path(argument) for argument in sys.argv[1:]]))
    except* AlmenaraError as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        sys.exit(f"error: {first}")


if __name__ == "__main__":
    main()
