"""How long may one input take, and how much memory? Hostile bytes must stay cheap (THREATS 16)."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from almenara.errors import AlmenaraError

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_MS_MAX = 50
MEMORY_KB_MAX = 10 * 1024

_TRIES = 3
_RESET_PEAK = b"5"  # proc(5), clear_refs: the peak becomes what is resident now


class OverBound(Exception):
    """An input that costs more than it may."""


def run(
    holds: Callable[[bytes], object],
    data: bytes,
    *,
    cpu_ms_max: int = CPU_MS_MAX,
    memory_kb_max: int = MEMORY_KB_MAX,
) -> None:
    """Run a property on one input; raise what is no refusal, and OverBound for what costs too much.

    Processor time, and the least of three tries: others use this machine too.
    """
    cpu_ms, memory_kb = _cost(holds, data)
    tries = 1
    while (cpu_ms > cpu_ms_max or memory_kb > memory_kb_max) and tries < _TRIES:
        again_ms, again_kb = _cost(holds, data)
        cpu_ms, memory_kb = min(cpu_ms, again_ms), min(memory_kb, again_kb)
        tries += 1
    if cpu_ms <= cpu_ms_max and memory_kb <= memory_kb_max:
        return
    raise OverBound(
        f"{len(data)} bytes took {cpu_ms:.0f} ms and {memory_kb} KB; "
        f"want at most {cpu_ms_max} ms and {memory_kb_max} KB"
    )


def _cost(holds: Callable[[bytes], object], data: bytes) -> tuple[float, int]:
    Path("/proc/self/clear_refs").write_bytes(_RESET_PEAK)
    before, begun = _peak_kb(), time.thread_time_ns()
    with suppress(AlmenaraError):
        holds(data)
    return (time.thread_time_ns() - begun) / 1e6, _peak_kb() - before


def _peak_kb() -> int:
    # getrusage would do, were it not for the peak of whoever started us, which it never goes below.
    status = Path("/proc/self/status").read_bytes()
    return int(status.partition(b"VmHWM:")[2].split(maxsplit=1)[0])
