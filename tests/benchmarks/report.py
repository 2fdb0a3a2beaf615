"""What was measured beside what is wanted, as a table for people and as JSON for later runs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import msgspec
from rich.table import Table

from benchmarks.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

NOT_MEASURED = (
    "faster than hop-client and FastStream (they neither sign nor store)",
    "a publisher's cost from 2 to 186 members",
    "34 members, 34 streams each, 10 alerts/s",
)
"""Targets of PERFORMANCE.md that no path here measures yet."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: the median of its runs, and what is wanted of it, if anything."""

    path: str
    name: str
    unit: str
    runs: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def reached(self) -> bool | None:
        """Tell whether the target is met, None where there is none."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return None if self.at_most is None else self.median <= self.at_most

    @property
    def wanted(self) -> str:
        if self.at_least is not None:
            return f">= {_number(self.at_least)}"
        return "" if self.at_most is None else f"<= {_number(self.at_most)}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run of the benchmark found."""

    at: str
    machine: Machine
    seconds: float
    runs: int
    backlog: int
    alert_bytes: int
    figures: tuple[Figure, ...]
    not_measured: tuple[str, ...] = NOT_MEASURED


def show(report: Report, console: Console) -> None:
    """Print the table; what was not reached is said to be so."""
    machine = report.machine
    console.print(
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB, {machine.system},"
        f" Python {machine.python}; fsync of a page {machine.fsync_ms} ms; load before {machine.load_before}"
    )
    console.print(
        f"one broker, mTLS, 3 members, alerts of {report.alert_bytes} bytes, each distinct;"
        f" medians of {report.runs} runs of {report.seconds:g} s; backlog {report.backlog:,} alerts"
    )
    if machine.busy:
        console.print("[bold]the machine was busy with other work: compare CPU figures, not rates[/bold]")
    table = Table("figure", "median", "runs", "wanted", "reached")
    path = ""
    for figure in report.figures:
        if figure.path != path:
            table.add_section()
            table.add_row(f"[bold]{figure.path}[/bold]")
        table.add_row(
            f"  {figure.name}",
            f"{_number(figure.median)} {figure.unit}".rstrip(),
            " ".join(map(_number, figure.runs)) if len(figure.runs) > 1 else "",
            figure.wanted,
            {True: "yes", False: "[bold]NO[/bold]", None: ""}[figure.reached],
        )
        path = figure.path
    console.print(table)
    console.print("not measured here: " + "; ".join(report.not_measured))


def save(report: Report, file: Path) -> None:
    """Write the report as JSON, the medians beside the runs."""
    figures = [
        msgspec.to_builtins(figure) | {"median": figure.median, "reached": figure.reached}
        for figure in report.figures
    ]
    value = msgspec.to_builtins(report) | {"figures": figures}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"


def column(values: Sequence[float]) -> tuple[float, ...]:
    """Return the runs of a figure, rounded to what they can tell."""
    return tuple(float(f"{value:.4g}") for value in values)
