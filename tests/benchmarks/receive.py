"""One subscriber in a process of its own; started by run.py, runs until SIGTERM.

First says on a line what fastavro alone decodes here, then receives into the member's store.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

import structlog

from almenara.node.memory import settle_memory
from almenara.node.node import make_state_folder, open_node, prepare
from almenara.node.settings import load_settings
from almenara.store.lease import lease
from benchmarks import alerts, bare


async def run(member: Path) -> None:
    settings = load_settings(member, environ={})
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    make_state_folder(settings)
    with lease(settings.lease_path, settings.store_place) as held:
        await prepare(settings, term=held.term)
        async with open_node(settings, held.term, publishing=False) as node:
            await node.run(stopping)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    _, decode_rate = bare.bare_rates(alerts.pool())
    print(decode_rate, flush=True)
    settle_memory()  # as the node's own process does
    asyncio.run(run(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
