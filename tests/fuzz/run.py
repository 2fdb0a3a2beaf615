"""Fuzz every target in turn, FUZZ_S seconds in all: `make fuzz FUZZ_S=600`.

Everything found stays in build/fuzz: a folder of inputs for each target, its log, and in `found` each
input that broke a property, with the command that plays it again. Exit status 1 if there is one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from fuzz.targets import TARGETS  # noqa: E402 - found on the path just set

WORK = ROOT / "build" / "fuzz"
FOUND = WORK / "found"
DRIVER = Path("tests/fuzz/driver.py")

_START_S = 60
"""How long a process may take beyond its share: start, and the inputs it begins with."""

_RUNS = re.compile(rb"^#(\d+)\s.*?cov: (\d+)", re.MULTILINE)


def main(seconds: int) -> int:
    """Fuzz each target for its share; return the exit status."""
    FOUND.mkdir(parents=True, exist_ok=True)
    share = max(seconds // len(TARGETS), 1)
    print(f"{len(TARGETS)} targets, {share} s each; inputs and logs: {WORK.relative_to(ROOT)}", flush=True)
    begun = time.monotonic()
    broken = [name for name in TARGETS if not _fuzz(name, share)]
    spent = time.monotonic() - begun
    if broken:
        print(f"\n{len(broken)} of {len(TARGETS)} targets broke in {spent:.0f} s: {', '.join(broken)}")
        return 1
    print(f"\nnothing found in {spent:.0f} s")
    return 0


def _fuzz(name: str, share: int) -> bool:
    """Fuzz one target and say what came of it; return False if an input broke its property."""
    folder, log = WORK / name, WORK / f"{name}.log"
    folder.mkdir(exist_ok=True)
    before = set(FOUND.iterdir())
    options = [f"-max_total_time={share}", f"-artifact_prefix={FOUND}/{name}-", "-rss_limit_mb=1024"]
    with log.open("wb") as output, tempfile.TemporaryDirectory(prefix="almenara-fuzz-") as scratch:
        status = subprocess.run(
            [sys.executable, DRIVER, name, *options, folder],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=share + _START_S,
        ).returncode
    text = log.read_bytes()
    runs, lines = (_RUNS.findall(text) or [(b"0", b"0")])[-1]
    print(
        f"  {name:<12} {int(runs):>9,} inputs  {int(lines):>5} edges  {'ok' if not status else 'BROKEN'}",
        flush=True,
    )
    if status:
        sys.stdout.write(text[-4_000:].decode(errors="replace"))
        for path in sorted(set(FOUND.iterdir()) - before):
            print(f"again: {sys.executable} {DRIVER} {name} {path.relative_to(ROOT)}")
    return not status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
