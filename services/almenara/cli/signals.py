"""How does a daemon learn that it is to end? SIGTERM and SIGINT set one event; it drains and returns."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def until_signalled(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run the work with an event that the first signal sets; a second one ends it where it stands."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await work(stopping)
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
