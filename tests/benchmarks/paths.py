"""Each path, measured once: what the processes did, and what stood in the stores meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

from almenara.bus import bound
from benchmarks.load import Load
from benchmarks.machine import peak_rss_mib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from almenara.node.settings import MemberSettings

HERE = Path(__file__).resolve().parent
LOOK_S = 0.0005
START_TIMEOUT_S = 60.0


class Reader:
    """A running subscriber, seen from outside."""

    def __init__(self, settings: MemberSettings, process: subprocess.Popen[str], bare_decode: float) -> None:
        self._store = settings.store_path
        self._process = psutil.Process(process.pid)
        self.pid = process.pid
        self.bare_decode = bare_decode

    def held(self) -> int:
        """Return how many messages its inbox holds, 0 before there is one."""
        try:
            with closing(self._connect()) as connection:
                query = "SELECT coalesce(max(position), 0) FROM message"
                return int(connection.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return 0

    def cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def rss_mib(self) -> float:
        return self._process.memory_info().rss / 2**20

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)

    def wait_for(self, count: int) -> None:
        until = time.perf_counter() + START_TIMEOUT_S
        while self.held() < count:
            if time.perf_counter() > until:
                raise TimeoutError(f"the reader holds {self.held()} messages, not {count}")
            time.sleep(0.02)

    def arrivals(self, count: int) -> dict[str, int]:
        """Return when each of the next messages was there for others to read, in monotonic ns."""
        found: dict[str, int] = {}
        with closing(self._connect()) as connection:
            last, version = self.held(), -1
            until = time.perf_counter() + START_TIMEOUT_S
            while len(found) < count and time.perf_counter() < until:
                time.sleep(LOOK_S)
                now_version = connection.execute("PRAGMA data_version").fetchone()[0]
                if now_version == version:
                    continue
                seen, version = time.monotonic_ns(), now_version
                rows = connection.execute(
                    "SELECT position, message_id FROM message WHERE position > ? ORDER BY position", (last,)
                )
                for position, message_id in rows:
                    found[message_id.hex()] = seen
                    last = position
        return found


def _child(script: str, *arguments: str) -> list[str]:
    return bound.command([sys.executable, str(HERE / script), *arguments])


def _environment() -> dict[str, str]:
    path = [str(HERE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def load(what: str, settings: MemberSettings, *, seconds: float = 0.0, count: int = 0) -> Load:
    """Run a process of callers to its end."""
    command = _child(
        "load.py", what, f"--member={settings.folder}", f"--seconds={seconds}", f"--count={count}"
    )
    done = subprocess.run(command, env=_environment(), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Load)


@contextmanager
def reading(settings: MemberSettings, *, anew: bool) -> Iterator[Reader]:
    """Run a subscriber; `anew` gives it an empty store, so that all retained is backlog to it."""
    if anew:
        shutil.rmtree(settings.state, ignore_errors=True)
    command = _child("receive.py", str(settings.folder))
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Reader(settings, process, float(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


class Consumed(msgspec.Struct, frozen=True, kw_only=True):
    """What one reader did with a backlog."""

    messages: int
    seconds: float
    cpu_s: float
    bare_decode: float
    rss_mib: list[float]
    peak_rss_mib: float


def consume(settings: MemberSettings, *, seconds: float, count: int) -> Consumed:
    """Let a new reader catch up for some seconds, or until it holds `count` messages."""
    with reading(settings, anew=True) as reader:
        reader.wait_for(1)
        first, began, cpu = reader.held(), time.perf_counter(), reader.cpu_s()
        last, ended, cpu_end, rss = first, began, cpu, [reader.rss_mib()]
        while last < count and time.perf_counter() - began < seconds:
            time.sleep(0.1)
            rss.append(reader.rss_mib())
            held = reader.held()
            if held > last:  # past the end of the backlog nothing is measured
                last, ended, cpu_end = held, time.perf_counter(), reader.cpu_s()
        return Consumed(
            messages=last - first,
            seconds=ended - began,
            cpu_s=cpu_end - cpu,
            bare_decode=reader.bare_decode,
            rss_mib=rss,
            peak_rss_mib=peak_rss_mib(reader.pid),
        )


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from the call at 50 a second."""

    accepted_p50: float
    accepted_p99: float
    stored_p50: float
    stored_p99: float
    lost: int


def latency(author: MemberSettings, reader_settings: MemberSettings, *, seconds: float) -> Latency:
    """Measure from each call to its answer, and to the message standing in the reader's inbox."""
    with reading(reader_settings, anew=False) as reader:
        time.sleep(3)  # assigned and caught up
        found: dict[str, int] = {}
        watch = threading.Thread(target=lambda: found.update(reader.arrivals(int(seconds * 50))))
        watch.start()
        done = load("steady", author, seconds=seconds)
        watch.join()
    accepted = [(answered - called) / 1e6 for called, answered in done.calls.values()]
    stored = [(found[key] - called) / 1e6 for key, (called, _) in done.calls.items() if key in found]
    return Latency(
        accepted_p50=statistics.median(accepted),
        accepted_p99=_percentile(accepted, 0.99),
        stored_p50=statistics.median(stored),
        stored_p99=_percentile(stored, 0.99),
        lost=len(done.calls) - len(stored),
    )


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
