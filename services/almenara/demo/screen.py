"""What does somebody who watches a demonstration see? Steps with their times, then tables.

On a terminal the step that runs shows how far it is; elsewhere each step is one line when it is done,
and a long one says every few seconds where it stands.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from almenara.logs import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.status import Status

PLAIN_INTERVAL_S = 5.0
"""How often a step that goes on says so where lines cannot change."""

_NO_TERMINAL_WIDTH = 10_000
_SPINNER_WIDTH = 3


class Step:
    """One step that runs; `note` says how far it is, `result` what came of it."""

    def __init__(self, title: str, live: Status | None, say: Callable[[str], None]) -> None:
        self.title = title
        self.result = ""
        self._live = live
        self._say = say
        self._said_at = time.monotonic()

    def note(self, text: str) -> None:
        """Say how far the step is."""
        if self._live is not None:
            shown = Text(f"{self.title}: {printable(text)}")
            # Cut where the terminal ends: a second line would stay behind when the first one changes.
            shown.truncate(self._live.console.width - _SPINNER_WIDTH, overflow="ellipsis")
            self._live.update(shown)
        elif time.monotonic() - self._said_at >= PLAIN_INTERVAL_S:
            self._said_at = time.monotonic()
            self._say(f"            {self.title}: {printable(text)}")


class Screen:
    """Where a demonstration shows itself: standard output."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        # A pipe has no width: lines are then as long as they are.
        self._console = Console(width=None if terminal else _NO_TERMINAL_WIDTH, highlight=False)
        self._terminal = terminal
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Return how long the demonstration has run."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while it runs, and its result and time when it is done."""
        began = time.monotonic()
        if self._terminal:
            with self._console.status(Text(title)) as live:
                step = Step(title, live, self.line)
                yield step
        else:
            step = Step(title, None, self.line)
            yield step
        self.line(f"[{self.elapsed_s:6.1f} s] {step.title}: {step.result} ({time.monotonic() - began:.1f} s)")

    def line(self, text: str = "") -> None:
        """Write one line as it is."""
        self._console.print(text, markup=False, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str | int]]) -> None:
        """Write a table; numbers stand to the right."""
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for index, column in enumerate(columns):
            numbers = bool(rows) and isinstance(rows[0][index], int)
            table.add_column(column, justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(str(cell))) for cell in row))
        self.line()
        self._console.print(table)
