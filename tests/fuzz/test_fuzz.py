"""Whatever bytes come in, they are accepted or refused, soon and in little memory; never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fuzz import bounds
from fuzz.kept import read_kept
from fuzz.planted import PLANTED
from fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable

DRIVER = Path(__file__).with_name("driver.py")
SECONDS, RUNS = 1, 250
"""Each target's share: enough for its kept inputs and a first look beyond them."""


@pytest.mark.parametrize("name", TARGETS)
def test_the_kept_inputs_break_nothing(name: str) -> None:
    target = TARGETS[name]
    inputs = [*target.seeds(), *read_kept(name)]
    assert inputs
    for data in inputs:
        bounds.run(target.holds, data, cpu_ms_max=target.cpu_ms)


def test_what_keeps_its_meaning_is_kept() -> None:
    assert {name for name in TARGETS if read_kept(name)} == {name for name in TARGETS if TARGETS[name].lasts}


def test_what_an_input_takes_shows_whatever_whoever_started_us_had_taken() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(DRIVER.parents[1])!r})\n"
        "from fuzz import bounds, planted\n"
        "bounds.run(planted.takes_much, b'\\x80')"
    )
    taken = bytearray(b"\x01" * 300_000_000)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "OverBound" in ended.stderr
    del taken


def _driven(names: Iterable[str], folder: Path, *, seconds: int, runs: int) -> dict[str, tuple[int, str]]:
    """Fuzz these targets side by side; return the exit status and output of each."""
    processes = {}
    for name in names:
        (folder / name).mkdir()
        options = [
            f"-max_total_time={seconds}",
            f"-runs={runs}",
            "-seed=1",
            f"-artifact_prefix={folder}/found-",
        ]
        processes[name] = subprocess.Popen(
            [sys.executable, DRIVER, name, *options, folder / name],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    try:
        said = {name: process.communicate(timeout=60)[0] for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return {name: (process.returncode, said[name]) for name, process in processes.items()}


@pytest.mark.fuzz
def test_a_few_seconds_of_fuzzing_find_nothing(tmp_path: Path) -> None:
    broken = {
        name: text[-2_000:]
        for name, (status, text) in _driven(TARGETS, tmp_path, seconds=SECONDS, runs=RUNS).items()
        if status
    }
    assert not broken


@pytest.mark.fuzz
def test_planted_faults_are_found_and_their_inputs_kept(tmp_path: Path) -> None:
    told = {"crashes": "ValueError: planted", "takes_long": "OverBound", "takes_much": "OverBound"}
    driven = _driven(PLANTED, tmp_path, seconds=30, runs=1_000_000)  # ends with the first fault
    for name, (status, text) in driven.items():
        assert status != 0, name
        assert told[name] in text
    assert len(list(tmp_path.glob("found-crash-*"))) >= 1
