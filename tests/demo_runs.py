"""How the tests of the demonstrations run one: as a person does, and see what it leaves behind."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-m", "almenara.cli")
_STEP = re.compile(r"\[ *([0-9.]+) s\] ")


class Ran(NamedTuple):
    """A demonstration that has ended."""

    folder: Path
    status: int
    lines: list[str]
    processor_s: float
    """Processor time of it and of all that it started."""

    @property
    def seconds(self) -> float:
        """Return the time that its last step tells."""
        return max(float(found[1]) for line in self.lines if (found := _STEP.match(line)))


def environment() -> dict[str, str]:
    """Return this process's environment, without settings of nodes."""
    return {name: text for name, text in os.environ.items() if not name.startswith("ALMENARA_")}


def almenara(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def run_demo(folder: Path, *arguments: str, timeout_s: float) -> Ran:
    """Run a demonstration in a folder to its end."""
    before = _processor_s()
    ended = almenara("demo", "--state", str(folder), *arguments, timeout_s=timeout_s)
    assert ended.stderr == "", ended.stderr
    return Ran(folder, ended.returncode, ended.stdout.splitlines(), _processor_s() - before)


def _processor_s() -> float:
    """Return the processor time of all children that have ended, theirs included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of what runs over a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if str(folder) in command:
            found.append(command)
    return found
