"""Measure every path: `make bench`. BENCH_S seconds a path and run, BENCH_RUNS runs, BENCH_BACKLOG alerts.

A real broker with mTLS and a federation of three members, as the tests have it. The callers of the
publisher are tasks in its process; subscriber, broker and clock-keeper are processes of their own.
Ratios are to fastavro alone on the same alerts in the same process, seconds before.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import structlog  # noqa: E402
from rich.console import Console  # noqa: E402

from almenara import clock  # noqa: E402
from almenara.node.settings import load_settings  # noqa: E402
from almenara.wire.messages import encode_message  # noqa: E402
from benchmarks import alerts, machine, paths  # noqa: E402
from benchmarks.report import Figure, Report, column, save, show  # noqa: E402
from federation_site import FederationSite  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

RESULT = HERE.parents[1] / "build" / "bench.json"
MEMBERS = ("PE", "AR", "CL")
RSS_MAX_MIB = 150


@contextmanager
def federation(folder: Path) -> Iterator[FederationSite]:
    """Run a federation of three members with its broker."""
    site = FederationSite(folder)
    asyncio.run(site.start())
    try:
        made = [site.enrol(member) for member in MEMBERS]
        enrolments = [(settings.folder / "enrolment.json").read_bytes() for settings in made]
        admissions = site.federation.admit_all(enrolments, now=clock.now())
        for settings, admission in zip(made, admissions, strict=True):
            settings.admission_path.write_bytes(admission.to_bytes())
            site.members[settings.member] = load_settings(settings.folder, environ={})
        asyncio.run(site.sync())
        yield site
    finally:
        asyncio.run(site.stop())


class Bench:
    """The runs of every path over one federation."""

    def __init__(
        self, site: FederationSite, console: Console, *, seconds: float, runs: int, backlog: int
    ) -> None:
        self._author = site.members["PE"]
        self._reader = site.members["AR"]
        self._console = console
        self._seconds = seconds
        self._runs = runs
        self._backlog = backlog

    def figures(self) -> list[Figure]:
        """Measure all; the quiet paths first, while the streams are short."""
        return [
            *self._latency(),
            *self._sequential(),
            *self._publish(),
            *self._consume(),
            *self._memory(),
        ]

    def _times(self, name: str, measure: Callable[[], T]) -> list[T]:
        found = []
        for number in range(self._runs):
            self._console.print(f"[dim]{name}: run {number + 1} of {self._runs}[/dim]")
            found.append(measure())
        return found

    def _latency(self) -> list[Figure]:
        found = self._times(
            "latency", lambda: paths.latency(self._author, self._reader, seconds=self._seconds)
        )
        path = "latency at 50/s"
        return [
            _ms(path, "call to accepted, p50", [each.accepted_p50 for each in found]),
            _ms(path, "call to accepted, p99", [each.accepted_p99 for each in found]),
            _ms(path, "call to stored, p50", [each.stored_p50 for each in found], at_most=6),
            _ms(path, "call to stored, p99", [each.stored_p99 for each in found], at_most=20),
            Figure(path=path, name="not stored", unit="", runs=column([e.lost for e in found]), at_most=0),
        ]

    def _sequential(self) -> list[Figure]:
        found = self._times(
            "sequential", lambda: paths.load("sequential", self._author, seconds=self._seconds)
        )
        rates = column([each.accepted / each.seconds for each in found])
        return [Figure(path="one caller after another", name="accepted", unit="/s", runs=rates, at_least=400)]

    def _publish(self) -> list[Figure]:
        found = self._times("publish", lambda: paths.load("burst", self._author, seconds=self._seconds))
        path = "publish, durable, 512 callers"
        rates = [each.accepted / each.seconds for each in found]
        ratios = [rate / each.bare_encode for rate, each in zip(rates, found, strict=True)]
        cpu = [each.cpu_s / each.accepted * 1e6 for each in found]
        return [
            Figure(path=path, name="accepted", unit="/s", runs=column(rates)),
            Figure(path=path, name="ratio to bare encode", unit="", runs=column(ratios), at_least=0.8),
            Figure(path=path, name="CPU an alert", unit="us", runs=column(cpu)),
            _cpu_ratio(path, cpu, [each.bare_encode for each in found]),
            Figure(
                path=path,
                name="bare encode",
                unit="/s",
                runs=column([each.bare_encode for each in found]),
            ),
            Figure(
                path=path,
                name="statements not yet sent",
                unit="",
                runs=column([each.unsent for each in found]),
            ),
        ]

    def _consume(self) -> list[Figure]:
        self._console.print("[dim]consume: filling the backlog[/dim]")
        paths.load("drain", self._author)
        found = self._times(
            "consume", lambda: paths.consume(self._reader, seconds=self._seconds, count=sys.maxsize)
        )
        path = "consume a backlog, durable"
        rates = [each.messages / each.seconds for each in found]
        ratios = [rate / each.bare_decode for rate, each in zip(rates, found, strict=True)]
        cpu = [each.cpu_s / each.messages * 1e6 for each in found]
        return [
            Figure(path=path, name="stored", unit="/s", runs=column(rates)),
            Figure(path=path, name="ratio to bare decode", unit="", runs=column(ratios), at_least=0.65),
            Figure(path=path, name="CPU an alert", unit="us", runs=column(cpu)),
            _cpu_ratio(path, cpu, [each.bare_decode for each in found]),
            Figure(
                path=path,
                name="bare decode",
                unit="/s",
                runs=column([each.bare_decode for each in found]),
            ),
        ]

    def _memory(self) -> list[Figure]:
        size = f"{self._backlog:,}"
        self._console.print(f"[dim]memory: {size} alerts accepted without a broker[/dim]")
        waiting = paths.load("backlog", self._author, count=self._backlog)
        self._console.print("[dim]memory: sent when the broker is back[/dim]")
        draining = paths.load("drain", self._author)
        self._console.print("[dim]memory: a new reader catches up[/dim]")
        reader = paths.consume(self._reader, seconds=600, count=self._backlog)
        path = f"memory, backlog of {size}"
        quarter = reader.rss_mib[len(reader.rss_mib) // 4]
        return [
            _rss(path, "publisher, at start", waiting.start_rss_mib),
            _rss(path, "publisher, no broker, peak", waiting.peak_rss_mib),
            _rss(path, "publisher, sending, peak", draining.peak_rss_mib),
            _rss(path, "reader, peak", reader.peak_rss_mib),
            Figure(
                path=path,
                name="reader, growth after 1/4",
                unit="MiB",
                runs=column([reader.rss_mib[-1] - quarter]),
            ),
        ]


def _ms(path: str, name: str, runs: list[float], *, at_most: float | None = None) -> Figure:
    return Figure(path=path, name=name, unit="ms", runs=column(runs), at_most=at_most)


def _cpu_ratio(path: str, cpu_us: list[float], bare: list[float]) -> Figure:
    """Compare processor time alone, all threads together: what stands on a busy machine, too."""
    ratios = [1e6 / rate / cost for rate, cost in zip(bare, cpu_us, strict=True)]
    return Figure(path=path, name="the same by CPU time", unit="", runs=column(ratios))


def _rss(path: str, name: str, mib: float) -> Figure:
    return Figure(path=path, name=name, unit="MiB", runs=column([mib]), at_most=RSS_MAX_MIB)


def main() -> None:
    """Measure, print the table, write build/bench.json."""
    seconds = float(os.environ.get("BENCH_S", "10"))
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    backlog = int(os.environ.get("BENCH_BACKLOG", "100000"))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console()
    pool = alerts.pool()
    with tempfile.TemporaryDirectory(prefix="almenara-bench-") as name:
        folder = Path(name)
        described = machine.describe(folder)
        console.print("[dim]a federation of three members over a real broker starts[/dim]")
        with federation(folder) as site:
            figures = Bench(site, console, seconds=seconds, runs=runs, backlog=backlog).figures()
    report = Report(
        at=clock.now().isoformat(timespec="seconds"),
        machine=described,
        seconds=seconds,
        runs=runs,
        backlog=backlog,
        alert_bytes=round(sum(len(encode_message(alert)) for alert in pool) / len(pool)),
        figures=tuple(figures),
    )
    save(report, RESULT)
    show(report, console)
    console.print(f"written: {RESULT.relative_to(HERE.parents[1])}")


if __name__ == "__main__":
    main()
