"""A process of a node keeps its freed buffers and does not look for cycles all the time."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from almenara.node.memory import COLLECT_AFTER

ROUNDS = 300

PROGRAM = f"""
import gc, json, resource, sys

if "settled" in sys.argv:
    from almenara.node.memory import settle_memory

    settle_memory()
content = b"x" * 500_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    padded = content + bytes(24_288)
    sealed = b"nonce" + padded
    record = b"".join([b"head", sealed, b"tail"])
    opened = bytes(record[9:-4][:500_000])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_minflt - before, used.ru_maxrss, gc.get_threshold(), gc.get_freeze_count()]))
"""


def measured(*arguments: str) -> tuple[int, int, tuple[int, ...], int]:
    """Return the pages asked of the kernel, the most kilobytes held, and how cycles are looked for."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    faults, kilobytes, threshold, frozen = json.loads(ended.stdout)
    return faults, kilobytes, tuple(threshold), frozen


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the options are those of glibc")
def test_buffers_of_statements_are_kept_and_no_more_than_that() -> None:
    asked, before, *_ = measured()
    kept, held, *_ = measured("settled")
    assert asked > ROUNDS * 30
    assert kept < ROUNDS * 10
    assert held < before + 32 * 1024


def test_cycles_are_looked_for_rarely_and_not_in_what_stood_at_the_start() -> None:
    *_, threshold, frozen = measured("settled")
    assert threshold == COLLECT_AFTER
    assert frozen > 1000
