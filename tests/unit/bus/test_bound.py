"""A bound child does not outlive its parent, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil

from almenara.bus import bound

PARENT = """
import subprocess, sys, time
from almenara.bus import bound
child = subprocess.Popen(bound.command(["/bin/sleep", "60"]), stdout=subprocess.DEVNULL)
while open(f"/proc/{child.pid}/comm").read() != "sleep\\n":
    time.sleep(0.01)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_child_is_killed_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs([child], timeout=5)[1]


def test_a_child_whose_parent_has_gone_already_does_not_start() -> None:
    command = bound.command(["/bin/sleep", "60"])
    command[command.index(str(os.getpid()))] = "1"
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "bound: the parent has gone\n")
    assert time.monotonic() - started < 30


def test_the_program_gets_its_arguments_and_its_status_comes_back() -> None:
    command = bound.command([sys.executable, "-c", "import sys; sys.exit(len(sys.argv))", "a b", "", "c"])
    assert subprocess.run(command, check=False).returncode == 4
