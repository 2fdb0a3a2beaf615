"""How does an hour of storms go on where it was stopped? By rounds, each with a file once it is done.

    build/chaos/SEED/round-01.json, round-02.json, ...    what each round came to
    build/chaos/SEED.json                                 all rounds together

Each round is a storm over a federation of its own, and judged at its end; its schedule hangs on the seed
and its number alone. A round that was broken off leaves nothing, and is done anew. The stores and logs of
one that found a fault stay.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from almenara.trust.secretfile import replace_file
from chaos.figures import Figures, figures, total
from chaos.storm import round_schedule, round_strength, storm

if TYPE_CHECKING:
    from collections.abc import Callable

SAY_S = 10.0
"""How often a line says how far a round is."""


class Rounds:
    """The rounds of a seed below a folder."""

    def __init__(self, folder: Path, *, seed: int, count: int, say: Callable[[str], None]) -> None:
        self.folder = folder / str(seed)
        self.summary = folder / f"{seed}.json"
        self._seed = seed
        self._count = count
        self._say = say

    def done(self) -> list[Figures]:
        """Return what the rounds came to that are done."""
        files = [self._file(number) for number in range(1, self._count + 1)]
        return [msgspec.json.decode(file.read_bytes(), type=Figures) for file in files if file.exists()]

    async def run(self) -> Figures:
        """Do the rounds that are not done, and return all together; the summary is written too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if done := self.done():
            self._say(f"{len(done)} of {self._count} rounds are done; to begin anew, remove {self.folder}")
        for number in range(1, self._count + 1):
            if not self._file(number).exists():
                _write(self._file(number), await self._round(number))
        found = total(self.done(), seed=self._seed)
        _write(self.summary, found)
        return found

    async def _round(self, number: int) -> Figures:
        # Paths of sockets are short, so it is not below the checkout.
        folder = Path(tempfile.mkdtemp(prefix="almenara-chaos-"))
        keep = False
        try:
            progress = _Progress(f"round {number} of {self._count}", self._say)
            planned = round_schedule(self._seed, number)
            outcome = await storm(
                folder,
                planned,
                seed=self._seed * 1000 + number,
                strength=round_strength(number),
                say=lambda event: progress.tell(event, of=len(planned)),
            )
            found = await asyncio.to_thread(figures, outcome, seed=self._seed)
            keep = not found.sound
        finally:
            if not keep:
                shutil.rmtree(folder)
        report = found.report
        self._say(
            f"round {number} of {self._count}: {found.process_kills} kills of processes,"
            f" {found.broker_kills} of the broker, {report.held} of {report.due} copies held,"
            f" {len(report.faults)} faults, {found.seconds:.0f} s"
            + (f"; stores and logs: {folder}" if keep else "")
        )
        return found

    def _file(self, number: int) -> Path:
        return self.folder / f"round-{number:02}.json"


class _Progress:
    """Say now and then how far a round is."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._began = self._said = time.monotonic()
        self._events = 0

    def tell(self, event: str, *, of: int) -> None:
        self._events += 1
        now = time.monotonic()
        if now - self._said >= SAY_S:
            self._said = now
            self._say(f"{self._name}: {self._events} of {of} events, {now - self._began:.0f} s, now {event}")


def _write(file: Path, found: Figures) -> None:
    replace_file(file, msgspec.json.format(msgspec.json.encode(found)), mode=0o644)
