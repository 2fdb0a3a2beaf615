"""A federation runs for long under load: `make soak`, half an hour; SOAK_S=3600 for an hour.

Memory, open handles, store sizes and the lag of readers are sampled from outside, written to
build/soak/samples.jsonl as they come, drawn as build/soak/soak.svg, and judged after the first ten minutes:
exits 1 if something grows, was lost, doubled or otherwise wrong. Ctrl-C ends it early, with the table of what
it was until then.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from rich.console import Console  # noqa: E402

from soak.long_run import Plan, save, soak  # noqa: E402 - found only now
from soak.picture import draw  # noqa: E402
from soak.report import show  # noqa: E402
from soak.sampling import Samples  # noqa: E402

FOLDER = REPOSITORY / "build" / "soak"
INTERRUPTED = 130
RATE = 10.0
"""Two processors are a third to a half busy with it, callers included."""
WIDTH = 118
"""Columns of the table where no terminal says how wide it is."""


async def _run(folder: Path, plan: Plan, console: Console) -> bool:
    """Run it in a folder, show and keep what it came to, and tell whether all was well."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        console.print("it ends now: callers get their answers, readers what is theirs; again breaks it off")
        loop.remove_signal_handler(signal.SIGINT)
        ending.set()

    loop.add_signal_handler(signal.SIGINT, end)
    loop.add_signal_handler(signal.SIGTERM, end)
    console.print(f"a federation of three members over a real broker starts, for {plan.seconds:.0f} s")
    outcome = await soak(folder, plan, ending=ending, say=lambda line: console.print(line, highlight=False))
    save(outcome, FOLDER / "soak.json")
    show(outcome, console)
    if plan.samples.taken:
        draw(plan.samples.taken, FOLDER / "soak.svg")
    return outcome.sound


def main() -> int:
    """Run it, and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=RATE, help=f"messages a second (default {RATE:.0f})")
    chosen = parser.parse_args()
    seconds = float(os.environ.get("SOAK_S", "1800"))
    # A shell that runs us in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    plan = Plan(seconds, chosen.rate, Samples(FOLDER / "samples.jsonl"))
    # Paths of sockets are short, so it is not below the checkout.
    folder = Path(tempfile.mkdtemp(prefix="almenara-soak-"))
    sound = False
    try:
        sound = asyncio.run(_run(folder, plan, console))
    except KeyboardInterrupt:
        console.print(f"broken off; samples: {FOLDER / 'samples.jsonl'}")
        return INTERRUPTED
    finally:
        if sound:
            shutil.rmtree(folder)
        else:
            console.print(f"stores and logs: {folder}")
    console.print(f"written to {FOLDER.relative_to(REPOSITORY)}: soak.svg, soak.json, samples.jsonl")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
