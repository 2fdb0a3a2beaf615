"""Does a test notice when a control is taken away? `make mutants`

Each mutant is applied to a copy of the tree, and the one test that names it must fail there; without
a mutant all of them must pass. Prints a table and exits 1 if one survives.
"""

from __future__ import annotations

import itertools
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from mutants.table import MUTANTS  # noqa: E402 - found only now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mutants.mutant import Mutant

AT_ONCE = 2
"""Copies of the tree in which tests run beside each other; CI has two processors."""

TEST_TIMEOUT_S = 300.0
PASSED, FAILED, UNKNOWN = 0, 1, -1
"""What pytest says of tests that ran; any other status means that they did not."""

COPIED = ("services", "tests", "schemas", "pyproject.toml")


class Outcome(NamedTuple):
    """How a mutant ended, and what pytest printed."""

    mutant: Mutant
    word: str
    seconds: float
    output: str


class Tree:
    """A copy of the tree, in which one mutant at a time lives."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._edits = itertools.count(1)
        leave = shutil.ignore_patterns("__pycache__")
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=leave)
            else:
                shutil.copyfile(source, folder / name)

    def run(self, tests: Sequence[str]) -> tuple[int, str]:
        """Return pytest's status and its output for these tests of the copy."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root / "services"), "CI": "true"},
            capture_output=True,
            text=True,
            timeout=TEST_TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def try_mutant(self, mutant: Mutant) -> Outcome:
        """Return whether the mutant's test notices it, and leave the copy as it was."""
        path = self.root / "services" / "almenara" / mutant.file
        before, patched = path.read_text("utf-8"), mutant.patched(self.root)
        started = time.monotonic()
        try:
            self._write(path, patched)
            status, output = self.run([mutant.test])
        except subprocess.TimeoutExpired:
            status, output = UNKNOWN, f"no end within {TEST_TIMEOUT_S:.0f} s"
        finally:
            self._write(path, before)
        word = {PASSED: "SURVIVED", FAILED: "killed"}.get(status, "BROKEN")
        return Outcome(mutant, word, time.monotonic() - started, output)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        # Compiled files are told apart by time and size: no two edits may have the same.
        moment = int(time.monotonic()) + 1000 * next(self._edits)
        os.utime(path, (moment, moment))


def try_all(folder: Path, mutants: Sequence[Mutant]) -> list[Outcome]:
    """Return the outcome of each mutant, in the order of the table."""
    trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
    for number in range(AT_ONCE):
        (place := folder / f"tree{number}").mkdir()
        trees.put(Tree(place))
    first = trees.get()
    names = sorted({mutant.test for mutant in mutants})
    started = time.monotonic()
    status, output = first.run(names)
    if status != PASSED:
        sys.exit(f"{output}\nmutants: the tests do not pass without any mutant; mend them first")
    print(f"{len(names)} tests pass without a mutant, in {time.monotonic() - started:.1f} s")
    trees.put(first)

    def work(mutant: Mutant) -> Outcome:
        tree = trees.get()
        try:
            outcome = tree.try_mutant(mutant)
        finally:
            trees.put(tree)
        print(f"  {outcome.word:8} {outcome.seconds:5.1f} s  {mutant.name}", flush=True)
        return outcome

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, mutants))


def main(wanted: Sequence[str]) -> int:
    """Try all mutants, or those whose name contains a word; return the exit status."""
    mutants = [each for each in MUTANTS if not wanted or any(word in each.name for word in wanted)]
    for mutant in mutants:
        mutant.patched(REPOSITORY)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="almenara-mutants-") as folder:
        outcomes = try_all(Path(folder), mutants)
    left = [outcome for outcome in outcomes if outcome.word != "killed"]
    for outcome in left:
        print(f"\n== {outcome.word}: {outcome.mutant.name} ({outcome.mutant.test})\n{outcome.output}")
    seconds = time.monotonic() - started
    print(f"\n{len(outcomes)} mutants, {len(outcomes) - len(left)} killed, in {seconds:.0f} s")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
