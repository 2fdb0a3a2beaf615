"""How does something slow show that it goes on? One line that changes on a terminal, few lines elsewhere."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLEAR = "\r\x1b[K"


@contextmanager
def shown() -> Iterator[Callable[[str, int, int], None]]:
    """Lend a function that shows (step, done, total) on standard error; any thread may call it."""
    terminal = sys.stderr.isatty()
    lock = threading.Lock()
    last = ""

    def progress(step: str, done: int, total: int) -> None:
        nonlocal last
        with lock:
            if terminal:
                click.echo(f"{_CLEAR}[{done}/{total}] {step}" if done < total else _CLEAR, err=True, nl=False)
                return
            kind = step.partition(" ")[0]
            if kind != last or done == total:
                click.echo(f"[{done}/{total}] {step}", err=True)
            last = kind

    yield progress
