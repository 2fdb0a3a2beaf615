"""On what was measured: processors, memory, system, the disk's flush, and how busy all of it was."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

FLUSHES = 200
PAGE = b"\0" * 4096


class Machine(Struct, frozen=True, kw_only=True):
    """What the figures depend on."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    fsync_ms: float
    load_before: float

    @property
    def busy(self) -> bool:
        """Tell whether other work had the processors before the first path was measured."""
        return self.load_before > self.cores / 2


def describe(folder: Path) -> Machine:
    """Return the machine, with the flush time of the disk under `folder`."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        fsync_ms=round(fsync_ms(folder), 3),
        load_before=round(os.getloadavg()[0], 2),
    )


def fsync_ms(folder: Path) -> float:
    """Return the median milliseconds of writing one page at the end of a file and flushing it."""
    file = folder / "fsync.probe"
    with file.open("wb", buffering=0) as probe:
        times = sorted(_flushes(probe.fileno()))
    file.unlink()
    return statistics.median(times) * 1000


def _flushes(descriptor: int) -> Iterator[float]:
    for _ in range(FLUSHES):
        began = time.perf_counter()
        os.write(descriptor, PAGE)
        os.fsync(descriptor)
        yield time.perf_counter() - began


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def peak_rss_mib(pid: int) -> float:
    """Return the most resident memory a living process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(pid)
