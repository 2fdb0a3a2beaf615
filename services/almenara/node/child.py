"""How does one half of a supervised node start? `python -m almenara.node.child publisher|subscriber`.

Its settings and its term come on standard input from the parent, which started it through bus.bound.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import structlog

from almenara import logs
from almenara.errors import AlmenaraError, Superseded
from almenara.node.memory import settle_memory
from almenara.node.supervise import Start, run_child

log = structlog.get_logger()


async def _run(part: str, data: bytes) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    # Ctrl-C reaches every process of the terminal; the parent decides.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await run_child(part, Start.from_bytes(data), stopping=stopping)


def main() -> None:
    """Run the half of the node that the command line names; exit with the status of its error."""
    logs.configure()
    settle_memory()
    part = sys.argv[1]
    structlog.contextvars.bind_contextvars(part=part)
    overtaken = False
    try:
        _run_to_its_end(part)
    except* Superseded:  # the node has said so
        overtaken = True
    if overtaken:
        sys.exit(Superseded.exit_status)


def _run_to_its_end(part: str) -> None:
    try:
        asyncio.run(_run(part, sys.stdin.buffer.read()))
    except AlmenaraError as error:
        log.critical("child.failed", code=error.code, error=error.text)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
