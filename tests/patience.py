"""How long do tests wait? Until it is as wanted; the time runs out only when it never will be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

PATIENCE_S = 60.0
"""For machines that do ten other things: nothing waits so long unless it fails."""

LOOK_S = 0.05


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """Ask again and again, and return the first answer that is as wanted.

    Raises AssertionError with the last answer after PATIENCE_S.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while not holds(answer := await ask()):
        if loop.time() > deadline:
            raise AssertionError(f"still so after {PATIENCE_S:.0f} s: {answer!r:.4000}")
        await asyncio.sleep(LOOK_S)
    return answer
