"""Full disks for tests: a limit on the size of files, or a small file system where root may mount one."""

from __future__ import annotations

import resource
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOTHING = 1
"""Bytes: whatever a file has, nothing more can be written to it."""

MIB = 1 << 20


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Make the disk full for this process: no file may grow beyond the limit (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def limit_files(process: psutil.Process, *, full: bool) -> None:
    """Make the disk full for a running process, as a quota would, or give it its space back."""
    _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (NOTHING if full else hard, hard))


@contextmanager
def disk_full_for(pids: Sequence[int]) -> Iterator[None]:
    """Make the disk full for running processes."""
    processes = [psutil.Process(pid) for pid in pids]
    for process in processes:
        limit_files(process, full=True)
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                limit_files(process, full=False)


class SmallDisk:
    """A file system of some MiB in memory, mounted at a folder; a test that uses it is marked `root`."""

    def __init__(self, folder: Path, *, mib: int = 16) -> None:
        self._folder = folder
        self._mib = mib

    def __enter__(self) -> Self:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = f"size={self._mib}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self._folder], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self._folder], check=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Fill it to the last byte, and give the space back."""
        ballast = self._folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        try:
            yield
        finally:
            ballast.unlink()
