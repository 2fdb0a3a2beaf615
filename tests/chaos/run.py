"""An hour of storms: `make chaos`, with CHAOS_SEED=2 for others. The same command again goes on.

At least 900 processes and 50 brokers are killed, processes end at every crash point, others are stopped
for a while; networks, disks, clocks and stores fail; two rounds are over a broker of three nodes. Then every
store is compared with what callers were told. Prints a table, writes build/chaos/SEED.json, and exits 1 if
anything was lost, doubled or otherwise wrong. Ctrl-C leaves the rounds that are done.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from chaos.events.clock import LEFT_OUT  # noqa: E402 - found only now
from chaos.rounds import Rounds  # noqa: E402
from chaos.table import table  # noqa: E402

ROUNDS = 10
INTERRUPTED = 130

NOT_THERE = "not killed: sink workers, of which there are none yet"


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Do the rounds that are not done, and print what all came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of what befalls whom, and when (default 1)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many (default {ROUNDS})")
    chosen = parser.parse_args()
    # A shell that runs us in the background has SIGINT ignored; and `kill` is to leave nothing running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # Kafka is started some seventy times: without its second compiler it is up sooner.
    os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
    rounds = Rounds(REPOSITORY / "build" / "chaos", seed=chosen.seed, count=chosen.rounds, say=_say)
    try:
        found = asyncio.run(rounds.run())
    except KeyboardInterrupt:
        _say(f"stopped; {len(rounds.done())} of {chosen.rounds} rounds are done, the same command goes on")
        return INTERRUPTED
    _say(
        "\n".join(
            ["", *table(found), "", NOT_THERE, *filter(None, [LEFT_OUT]), f"written to {rounds.summary}"]
        )
    )
    return 0 if found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
