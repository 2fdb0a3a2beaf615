"""What did a long run come to? Tables for people, and JSON beside the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from chaos.auditor import Report
from chaos.table import audited
from soak.judgement import Judgement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from soak.growth import Growth
    from soak.judgement import ProcessVerdict, ReaderVerdict, StoreVerdict

TOO_SHORT = "too short to tell"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run found."""

    seconds: float
    wanted_s: float
    rate: float
    """Messages a second, of all callers, that were accepted."""
    machine_cpu: float
    """How busy the machine was, 0 to 1, the callers and whatever else ran included."""
    changes: int
    """How often a member was given a new certificate, and all a new directory."""
    report: Report
    """What the stores hold; its faults are those of everything else too."""
    judgement: Judgement

    @property
    def sound(self) -> bool:
        """Tell whether nothing grew, nothing was lost, doubled or misdelivered, and all else was well."""
        return self.judgement.sound and self.report.sound


def show(outcome: Outcome, console: Console) -> None:
    """Print what each process, store and reader did after the warm-up, and what the stores hold."""
    judgement = outcome.judgement
    early = f" of {outcome.wanted_s:.0f}, ended early" if outcome.seconds < outcome.wanted_s else ""
    console.print(
        f"{outcome.seconds:.0f} s{early}: {outcome.rate:.1f} messages a second, the machine"
        f" {outcome.machine_cpu:.0%} busy; judged after the warm-up"
    )
    _print(
        console,
        "process",
        ("MiB: start", "end", "max", "in 1/2 h", "handles", "end", "max", "threads", "end", "CPU", "grows"),
        map(_process, judgement.processes),
    )
    _print(
        console,
        "store",
        ("MiB: start", "end", "log: start", "end", "max", "messages", "one more: early", "late", "grows"),
        map(_store, judgement.stores),
    )
    _print(
        console,
        "reader",
        ("lag, s: median", "start", "end", "max", "grows"),
        map(_reader, judgement.readers),
    )
    for line in _lines(outcome):
        console.print(Text(line))


def _print(console: Console, first: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(first, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="left" if column == "grows" else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _process(each: ProcessVerdict) -> tuple[str, ...]:
    slope = f"{each.memory.per_half_hour:+.1f}" if each.memory else "-"
    memory, handles, threads = _cells(each.memory, 1), _cells(each.handles, 0), _cells(each.threads, 0)
    return each.name, *memory, slope, *handles, *threads[:2], f"{each.cpu:.1%}", _grows(each.grows)


def _store(each: StoreVerdict) -> tuple[str, ...]:
    one_more = ("-" if size is None else f"{size:,.0f} B" for size in (each.early, each.late))
    sizes = (f"{each.file_start:.1f}", f"{each.file_end:.1f}")
    return each.name, *sizes, *_cells(each.log, 1), f"{each.messages:,}", *one_more, _grows(each.grows)


def _reader(each: ReaderVerdict) -> tuple[str, ...]:
    start, end, _ = _cells(each.lag, 2)
    return each.name, f"{each.median_s:.2f}", start, end, f"{each.highest_s:.2f}", _grows(each.grows)


def _cells(growth: Growth | None, digits: int) -> tuple[str, str, str]:
    if growth is None:
        return "-", "-", "-"
    return f"{growth.start:.{digits}f}", f"{growth.end:.{digits}f}", f"{growth.highest:.{digits}f}"


def _grows(grows: tuple[str, ...] | None) -> str:
    if grows is None:
        return TOO_SHORT
    return f"[bold]{', '.join(grows).upper()}[/bold]" if grows else "no"


def _lines(outcome: Outcome) -> Iterator[str]:
    yield from audited(outcome.report)
    yield f"changes   {outcome.changes:>6}   of a certificate and the directory"
    yield ""
    yield from _verdict(outcome.judgement)


def _verdict(judgement: Judgement) -> Iterator[str]:
    """Yield a line for each that grows; one for all where none does or none can be told."""
    kinds = (
        ("", judgement.processes),
        ("store of ", judgement.stores),
        ("reader of ", judgement.readers),
    )
    growing = [
        f"grows: {what} of {kind}{each.name}"
        for kind, verdicts in kinds
        for each in verdicts
        for what in each.grows or ()
    ]
    if growing:
        yield from growing
    else:
        yield "nothing grows" if judgement.sound else f"{TOO_SHORT}: let it run for longer"
