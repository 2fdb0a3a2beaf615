"""How does a child process end with its parent, even when the parent is killed with SIGKILL?

The child is started through this file, which asks the kernel to kill it when its parent dies and
then becomes the program. The request survives exec. Python's `preexec_fn` would do the same between
fork and exec, but may deadlock in a program with threads. Linux only; elsewhere the program just runs.

    python -I -S bound.py PARENT_PID PROGRAM [ARGUMENT...]

The kernel watches the thread that forked: start the child from a thread that lives as long as it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def command(program: list[str]) -> list[str]:
    """Return the command line that runs a program bound to the calling process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *program]


def main() -> None:
    """Bind this process to its parent, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        # SIGKILL, since what stays would hold its port and its lock: Kafka's data survive it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("bound: the parent has gone")
    os.execv(program[0], program)  # noqa: S606 - the program and its arguments come from our own code


if __name__ == "__main__":
    main()
